"""What is read of tables in every format, and that no row or text is lost."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.config.data import DataSettings
from learn.data.tables import load_tables
from tests.data.synthetic_tables import (
    INTERACTIONS,
    ITEMS,
    compressed,
    encoded,
    interactions_at,
    load,
    source_of,
    times,
    write,
)
from tests.real_data import REAL

# What is right.


@pytest.mark.parametrize("ending", ["", "gz", "zst"])
@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl", "ndjson"])
def test_every_format_gives_the_same_tables(tmp_path: Path, kind: str, ending: str) -> None:
    source = tmp_path / "in [1]*"
    suffix = kind + (f".{ending}" if ending else "")
    write(source, f"items.{suffix}", compressed(encoded(ITEMS, kind), ending))
    write(source, f"interactions.{suffix}", compressed(encoded(INTERACTIONS, kind), ending))
    summary = load(source)
    assert summary.items == 2
    assert summary.interactions == 3
    assert summary.item_columns == ("row", "item_id", "title")
    assert summary.interaction_columns == ("row", "user_id", "item_id", "timestamp", "timestamp_text")
    items = pl.read_parquet(summary.folder / "items.parquet")
    assert items.schema == {"row": pl.Int64, "item_id": pl.String, "title": pl.String}
    assert items.to_dicts() == [{"row": row, **record} for row, record in enumerate(ITEMS)]
    interactions = pl.read_parquet(summary.folder / "interactions.parquet")
    assert interactions.dtypes == [pl.Int64, pl.String, pl.String, pl.Int64, pl.String]
    assert interactions.drop("timestamp_text").to_dicts() == [
        {"row": row, **record} for row, record in enumerate(INTERACTIONS)
    ]
    assert interactions["timestamp_text"].null_count() == 3


def test_gzip_files_of_several_members_are_read_whole(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    parts = gzip.compress(b"user_id,item_id,timestamp\nu,b,1\n") + gzip.compress(b"v,b,2\n")
    write(source, "interactions.csv.gz", parts)
    assert load(source).interactions == 2


def test_excel_marks_and_line_ends_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeffuser_id,item_id,timestamp\r\n007,b,1\r\n\r\n008,b,2\r\n"
    summary = load(source_of(tmp_path / "in", interactions=text))
    assert pl.read_parquet(summary.folder / "interactions.parquet")["user_id"].to_list() == ["007", "008"]


def test_ids_are_text_whatever_they_were(tmp_path: Path) -> None:
    source = source_of(
        tmp_path / "in",
        items='{"item_id": 7, "title": 2048}\n{"item_id": "x7", "title": "t"}\n{"item_id": 12345678901234567890123}\n',
    )
    (source / "interactions.csv").unlink()
    pl.DataFrame({"user_id": [1.0, None, 2.5], "item_id": [7, 8, 9], "timestamp": [1, 2, 3]}).write_parquet(
        source / "interactions.parquet"
    )
    folder = load(source).folder
    items = pl.read_parquet(folder / "items.parquet")
    assert items["item_id"].to_list() == ["7", "x7", "12345678901234567890123"]
    assert items["title"].to_list() == ["2048", "t", None]
    interactions = pl.read_parquet(folder / "interactions.parquet")
    assert interactions["user_id"].to_list() == ["1", None, "2.5"]
    assert interactions["item_id"].to_list() == ["7", "8", "9"]


def test_rows_without_ids_are_kept_for_validation(tmp_path: Path) -> None:
    text = 'user_id,item_id,timestamp\n,b,1\n"",,2\n"  ",b,3\n'
    summary = load(source_of(tmp_path / "in", interactions=text))
    assert pl.read_parquet(summary.folder / "interactions.parquet")["user_id"].to_list() == [None, None, "  "]


def test_columns_of_learns_own_names_do_not_clash(tmp_path: Path) -> None:
    source = source_of(
        tmp_path / "in",
        items='{"row": 9, "item_id": "a", "title": "old", "name": "new", "source_row": 1}\n',
        interactions="user_id,item_id,timestamp,row,timestamp_text\nu,b,5,9,x\n",
    )
    summary = load(source, mapped={"item_columns": {"title": "name"}})
    assert pl.read_parquet(summary.folder / "items.parquet").to_dicts() == [
        {"row": 0, "item_id": "a", "title": "new", "source_source_row": 9, "source_title": "old", "source_row": 1}
    ]
    interaction = pl.read_parquet(summary.folder / "interactions.parquet").to_dicts()[0]
    assert interaction["row"] == 0
    assert interaction["source_row"] == 9
    assert interaction["timestamp_text"] is None
    assert interaction["source_timestamp_text"] == "x"


def test_a_row_column_can_be_mapped(tmp_path: Path) -> None:
    summary = load(
        source_of(tmp_path / "in", items='{"row": 9, "title": "t"}\n'), mapped={"item_columns": {"item_id": "row"}}
    )
    assert pl.read_parquet(summary.folder / "items.parquet").to_dicts() == [{"row": 0, "item_id": "9", "title": "t"}]


def test_csv_columns_are_numbers_only_where_nothing_is_lost(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "items.jsonl").unlink()
    write(
        source,
        "items.csv",
        "item_id,title,price,stock,gtin,brand,none\n1,first,1.50,3,0123,1883,\n2,second,,4,4567,1883,\n",
    )
    items = pl.read_parquet(load(source).folder / "items.parquet")
    assert items["price"].to_list() == [1.5, None]
    assert items["stock"].to_list() == [3, 4]
    assert items["gtin"].to_list() == ["0123", "4567"]
    assert items["brand"].to_list() == ["1883", "1883"]
    assert items["none"].dtype == pl.String


def test_lists_and_records_become_text(tmp_path: Path) -> None:
    line = {"item_id": "a", "title": "t", "category": ["Toys", "Games"], "extra": {"k": 1}, "empty": {}}
    items = pl.read_parquet(load(source_of(tmp_path / "in", items=json.dumps(line) + "\n")).folder / "items.parquet")
    assert items.select("category", "extra", "empty").row(0) == (["Toys", "Games"], "k: 1", None)


# Timestamps.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2020-09-13", 1_599_955_200.0),
        ("2020/9/13", 1_599_955_200.0),
        ("2020-09-13 12:26:40", 1_600_000_000.0),
        ("2020-09-13T12:26", 1_599_999_960.0),
        ("2020-09-13T12:26:40.250Z", 1_600_000_000.25),
        # A leap second is the first one of the minute after it.
        ("2016-12-31T23:59:60Z", 1_483_228_800.0),
        ("2020-09-13T14:26:40+02:00", 1_600_000_000.0),
        ("2020-09-13 07:56:40 -0430", 1_600_000_000.0),
        ("2020-09-13 12:26:40 UTC", 1_600_000_000.0),
        (" 1600000000 ", 1.6e9),
        ("1.6e9", 1.6e9),
        ("-5.5", -5.5),
    ],
)
def test_dates_and_numbers_as_text_are_read(tmp_path: Path, text: str, seconds: float) -> None:
    source = source_of(tmp_path / "in", interactions=f"user_id,item_id,timestamp\nu,b,{text}\n")
    assert times(source) == [(seconds, None)]


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2020-13-01",
        "2020-02-30",
        "2020-01-01 25:00",
        "2020-01-01 23:60",
        "2020-01-01 23:59:61",
        "nan",
        "inf",
        "1_000",
    ],
)
def test_what_is_no_timestamp_keeps_its_text(tmp_path: Path, text: str) -> None:
    source = source_of(tmp_path / "in", interactions=f"user_id,item_id,timestamp\nu,b,{text}\nu,b,1970-01-02\n")
    assert times(source) == [(None, text), (86_400.0, None)]


def test_dates_of_parquet_are_read(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    naive = dt.datetime(2020, 9, 13, 12, 26, 40, 500_000)
    columns: list[pl.Series] = [
        pl.Series("timestamp", [naive, None], dtype=pl.Datetime(unit)) for unit in ("ms", "us", "ns")
    ]
    aware = pl.Series("timestamp", [naive, None], dtype=pl.Datetime("us"))
    columns.append(aware.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"))
    for column in columns:
        frame = pl.DataFrame({"user_id": ["u", "v"], "item_id": ["b", "b"]}).with_columns(column)
        frame.write_parquet(source / "interactions.parquet")
        assert times(source) == [(1_600_000_000.5, None), (None, None)]
    pl.DataFrame({"user_id": ["u"], "item_id": ["b"], "timestamp": [dt.date(2020, 9, 13)]}).write_parquet(
        source / "interactions.parquet"
    )
    assert times(source) == [(1_599_955_200.0, None)]


def test_numbers_that_are_none_keep_their_text(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    pl.DataFrame({"user_id": ["u"] * 3, "item_id": ["b"] * 3, "timestamp": [1.0, math.nan, math.inf]}).write_parquet(
        source / "interactions.parquet"
    )
    assert times(source) == [(1.0, None), (None, "NaN"), (None, "inf")]


def test_json_may_mix_numbers_and_dates(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    write(source, "interactions.jsonl", interactions_at([1.6e9, "1970-01-02", None, "?"]))
    assert times(source) == [(1.6e9, None), (86_400.0, None), (None, None), (None, "?")]


# Hypothesis needs its own folder for each example.
@settings(max_examples=40, deadline=None)
@given(moment=st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1)), hours=st.integers(-12, 14))
def test_iso_text_is_the_moment_that_python_reads(
    tmp_path_factory: pytest.TempPathFactory, moment: dt.datetime, hours: int
) -> None:
    aware = moment.replace(tzinfo=dt.timezone(dt.timedelta(hours=hours)))
    source = source_of(
        tmp_path_factory.mktemp("iso") / "in", interactions=f"user_id,item_id,timestamp\nu,b,{aware.isoformat()}\n"
    )
    ((seconds, text),) = times(source)
    assert text is None
    assert seconds == pytest.approx(aware.timestamp(), abs=1e-5)


FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=6), kind=st.sampled_from(["csv", "tsv", "jsonl"]))
def test_no_text_is_changed_and_no_row_is_lost(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], kind: str
) -> None:
    source = source_of(tmp_path_factory.mktemp("text") / "in")
    (source / "items.jsonl").unlink()
    write(source, f"items.{kind}", encoded([{"item_id": name, "title": title} for name, title in rows], kind))
    items = pl.read_parquet(load(source).folder / "items.parquet")
    # An empty field of a CSV file cannot be distinguished from a missing one.
    given_rows = rows if kind == "jsonl" else [(name or None, title or None) for name, title in rows]
    assert items.select("item_id", "title").rows() == given_rows
    assert items["row"].to_list() == list(range(len(rows)))


# Real data.

COUNTS = {"scientific": (4_385, 59_384), "games": (16_859, 452_989), "online_retail": (3_958, 397_924)}


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_the_real_sets_load_as_they_are(tmp_path: Path, name: str) -> None:
    if not (REAL / name).is_dir():
        pytest.skip(f"the real data is not at {REAL / name}")
    summary = load_tables(REAL / name, tmp_path, settings=DataSettings())
    assert (summary.items, summary.interactions) == COUNTS[name]
    interactions = pl.read_parquet(tmp_path / "interactions.parquet")
    assert interactions["timestamp"].null_count() == 0
    assert interactions.null_count().select("user_id", "item_id").row(0) == (0, 0)
    if name == "scientific":
        assert interactions["timestamp"].min() == 0
