"""Raw tables in every format, and every way in which they can be bad."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.config import DataSettings
from learn.data.tables import TablesSummary, load_tables
from learn.errors import DataError, StorageError

ITEMS: list[dict[str, object]] = [{"item_id": "007", "title": "Silver spoon"}, {"item_id": "b", "title": 'Pipe, 12"'}]
INTERACTIONS: list[dict[str, object]] = [
    {"user_id": "01", "item_id": "007", "timestamp": 1_600_000_000},
    {"user_id": "01", "item_id": "b", "timestamp": 1_600_000_060},
    {"user_id": "2", "item_id": "b", "timestamp": 1_600_000_120},
]
Mapped = dict[str, dict[str, str]]
REAL = Path(__file__).parents[3] / "shared" / "data"


def compressed(data: bytes, ending: str) -> bytes:
    if ending == "gz":
        return gzip.compress(data)
    if ending == "zst":
        return bytes(pa.Codec("zstd").compress(data, asbytes=True))
    return data


def encoded(rows: list[dict[str, object]], ending: str) -> bytes:
    if ending in {"jsonl", "ndjson"}:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    buffer = io.BytesIO()
    frame = pl.DataFrame(rows)
    if ending == "parquet":
        frame.write_parquet(buffer)
    else:
        frame.write_csv(buffer, separator="\t" if ending == "tsv" else ",")
    return buffer.getvalue()


def write(folder: Path, name: str, data: bytes | str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def source_of(folder: Path, *, items: bytes | str | None = None, interactions: bytes | str | None = None) -> Path:
    write(folder, "items.jsonl", encoded(ITEMS, "jsonl") if items is None else items)
    write(folder, "interactions.csv", encoded(INTERACTIONS, "csv") if interactions is None else interactions)
    return folder


def load(source: Path, destination: Path | None = None, *, mapped: Mapped | None = None) -> TablesSummary:
    names = DataSettings.model_validate(mapped or {})
    return load_tables(source, destination or source.parent / "out", settings=names)


def refused(source: Path, *, mapped: Mapped | None = None) -> DataError:
    """Load what must be refused, and check that nothing is left behind."""
    destination = source.parent / "fresh" / "out"
    with pytest.raises(DataError) as caught:
        load(source, destination, mapped=mapped)
    assert not destination.parent.exists()
    assert caught.value.fix
    return caught.value


def times(source: Path) -> list[tuple[float | None, str | None]]:
    load(source)
    return list(
        pl.read_parquet(source.parent / "out" / "interactions.parquet")
        .select("timestamp", "timestamp_text")
        .iter_rows()
    )


def interactions_at(values: list[object]) -> str:
    rows = [{"user_id": "u", "item_id": "b", "timestamp": value} for value in values]
    return "".join(json.dumps(row) + "\n" for row in rows)


# What is wrong with the folder.


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    fault = refused(tmp_path / "nowhere")
    assert "no such folder" in str(fault)
    assert "nowhere" in str(fault)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    assert "not a folder" in refused(write(tmp_path, "items.csv", "x")).what


@pytest.mark.parametrize("table", ["items", "interactions"])
def test_a_missing_table_says_what_was_looked_for_and_what_is_there(tmp_path: Path, table: str) -> None:
    source = source_of(tmp_path / "in")
    next(source.glob(f"{table}.*")).rename(source / f"{table}_old.csv")
    fault = refused(source)
    assert f"`{table}`" in fault.what
    assert f"{table}.parquet" in fault.fix
    assert f"{table}_old.csv" in fault.fix


def test_two_files_for_one_table_are_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    write(source, "items.csv.gz", compressed(encoded(ITEMS, "csv"), "gz"))
    fault = refused(source)
    assert "`items.csv.gz`" in fault.what
    assert "`items.jsonl`" in fault.what


def test_other_names_are_no_candidates(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    for name in ("interactions_by_day.csv", "items.jsonl.dvc", ".items.csv", "items.txt"):
        write(source, name, "x")
    assert load(source).sources == ("items.jsonl", "interactions.csv")


# What is wrong with a table.


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("interactions.csv", b""),
        ("interactions.csv", b"user_id,item_id,timestamp\n"),
        ("interactions.csv", b"user_id,item_id,timestamp"),
        ("interactions.csv.gz", gzip.compress(b"")),
        ("interactions.jsonl", b"\n \n"),
        ("interactions.jsonl.gz", gzip.compress(b"")),
        ("interactions.parquet", encoded(INTERACTIONS, "parquet")),
    ],
)
def test_an_empty_table_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    if name.endswith("parquet"):
        pl.DataFrame(INTERACTIONS).clear().write_parquet(source / name)
    else:
        write(source, name, data)
    fault = refused(source)
    assert "empty" in fault.what
    assert name in str(fault.where)


@pytest.mark.parametrize(
    ("wrong", "right", "table"),
    [
        ("product_title", "title", "items"),
        ("asin", "item_id", "items"),
        ("user", "user_id", "interactions"),
        ("itemId", "item_id", "interactions"),
        ("time", "timestamp", "interactions"),
    ],
)
def test_a_misnamed_column_is_suggested(tmp_path: Path, wrong: str, right: str, table: str) -> None:
    rows = [
        {(wrong if name == right else name): value for name, value in row.items()}
        for row in (ITEMS if table == "items" else INTERACTIONS)
    ]
    data = encoded(rows, "jsonl" if table == "items" else "csv")
    source = source_of(tmp_path / "in")
    write(source, "items.jsonl" if table == "items" else "interactions.csv", data)
    fault = refused(source)
    setting = "item_columns" if table == "items" else "interaction_columns"
    assert f"`{right}`" in fault.what
    assert f'{setting} = {{{right} = "{wrong}"}}' in fault.fix
    assert load(source, mapped={setting: {right: wrong}}).items == 2


def test_a_column_that_nothing_is_like_lists_what_is_there(tmp_path: Path) -> None:
    fault = refused(source_of(tmp_path / "in", items='{"item_id": "a", "zzz": 1, "qqq": 2}\n'))
    assert "`zzz`" in fault.fix
    assert "`qqq`" in fault.fix


def test_a_mapped_column_that_is_not_there_names_the_mapping(tmp_path: Path) -> None:
    fault = refused(source_of(tmp_path / "in"), mapped={"item_columns": {"brand": "titel"}})
    assert "`titel`" in fault.what
    assert 'brand = "title"' in fault.fix


def test_another_separator_is_recognised(tmp_path: Path) -> None:
    fault = refused(source_of(tmp_path / "in", interactions="user_id;item_id;timestamp\na;b;1\n"))
    assert "one column" in fault.fix


def test_a_doubled_column_is_refused(tmp_path: Path) -> None:
    assert "`user_id`" in refused(source_of(tmp_path / "in", interactions="user_id,user_id\n1,2\n")).what


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_file_cut_off_mid_stream_is_named(tmp_path: Path, kind: str, ending: str) -> None:
    rows: list[dict[str, object]] = [
        {"user_id": f"u{n * n % 997}", "item_id": f"i{n * n % 89}", "timestamp": n * n} for n in range(5_000)
    ]
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    whole = compressed(encoded(rows, kind), ending)
    path = write(source, f"interactions.{kind}.{ending}", whole[: len(whole) // 2])
    fault = refused(source)
    assert "cut off" in fault.what
    assert path.name in str(fault.where)


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    write(source, "interactions.csv.gz", b"this is no gzip file at all")
    assert "damaged" in refused(source).what


def test_a_parquet_file_cut_off_is_named(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "items.jsonl").unlink()
    write(source, "items.parquet", encoded(ITEMS, "parquet")[:-20])
    fault = refused(source)
    assert "items.parquet" in str(fault.where)


@pytest.mark.parametrize(
    ("row", "said"), [("u,b", "too few"), ("u,b,1,2", "too many"), ('u,"b,1', "too few"), ("u,\xff,3", "UTF-8")]
)
def test_a_bad_csv_row_is_named(tmp_path: Path, row: str, said: str) -> None:
    text = f"user_id,item_id,timestamp\nu,b,1\n{row}\nv,b,2\n"
    fault = refused(source_of(tmp_path / "in", interactions=text.encode("latin-1")))
    assert said in fault.what
    assert "interactions.csv" in str(fault.where)
    if said.startswith("too"):
        assert "line 3" in str(fault.where)


def test_a_header_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    assert "UTF-8" in refused(source_of(tmp_path / "in", interactions="user_id,ä\n".encode("latin-1"))).what


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"item_id": "b", "title": "x"', "not JSON"),
        (b'{"item_id": "b", "title": NaN}', "no number"),
        (b'["item_id", "title"]', "one object"),
        (b'{"item_id": "b", "title": "\xff"}', "UTF-8"),
        (b'{"item_id": "b"} {"item_id": "c"}', "not JSON"),
    ],
)
def test_a_bad_json_line_is_named_by_its_number(tmp_path: Path, line: bytes, said: str) -> None:
    good = b'{"item_id": "a", "title": "good"}\n'
    fault = refused(source_of(tmp_path / "in", items=good + b"\n" + good + line + b"\n" + good))
    assert said in fault.what
    assert str(fault.where).endswith("items.jsonl, line 4")


def test_ids_must_not_be_lists(tmp_path: Path) -> None:
    assert "not ids" in refused(source_of(tmp_path / "in", items='{"item_id": ["a"], "title": "x"}\n')).what


def test_timestamps_that_are_all_text_name_the_first(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\nu,b,\nu,b,yesterday\nu,b,today\n"
    fault = refused(source_of(tmp_path / "in", interactions=text))
    assert "`yesterday`" in fault.what
    assert "data row 1" in str(fault.where)


def test_an_empty_timestamp_column_is_refused(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\nu,b,\nv,b,\n"
    assert "timestamps is empty" in refused(source_of(tmp_path / "in", interactions=text)).what


def test_timestamps_of_a_type_that_is_none_are_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    pl.DataFrame({"user_id": ["u"], "item_id": ["b"], "timestamp": [dt.time(1)]}).write_parquet(
        source / "interactions.parquet"
    )
    assert "Time" in refused(source).what


def test_a_weight_that_is_no_number_is_refused(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp,weight\nu,b,1,1.5\nu,b,2,heavy\n"
    fault = refused(source_of(tmp_path / "in", interactions=text))
    assert "`heavy`" in fault.what
    assert "data row 1" in str(fault.where)


# The disk.


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False).returncode
    ):
        pytest.skip("a small file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_full_disk_is_one_clear_error(tmp_path: Path, tiny_disk: Path, kind: str) -> None:
    rows: list[dict[str, object]] = [
        {"user_id": os.urandom(16).hex(), "item_id": os.urandom(16).hex(), "timestamp": n} for n in range(20_000)
    ]
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    write(source, f"interactions.{kind}", encoded(rows, kind))
    with pytest.raises(StorageError, match="No space"):
        load(source, tiny_disk / "out")
    assert list(tiny_disk.iterdir()) == []


def test_a_destination_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises((StorageError, OSError)) as caught:
        load(source_of(tmp_path / "in"), Path("/proc/learn"))
    assert not isinstance(caught.value, DataError)


def test_after_an_error_the_earlier_tables_stand(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    destination = load(source).folder
    before = {path.name: path.read_bytes() for path in destination.iterdir()}
    write(source, "interactions.csv", "user_id,item_id,timestamp\nu,b\n")
    with pytest.raises(DataError):
        load(source)
    assert {path.name: path.read_bytes() for path in destination.iterdir()} == before
    assert set(before) == {"items.parquet", "interactions.parquet"}


def test_a_read_only_source_is_enough(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    for path in source.iterdir():
        path.chmod(0o444)
    source.chmod(0o555)
    try:
        assert load(source).interactions == 3
        assert len(list(source.iterdir())) == 2
    finally:
        source.chmod(0o755)


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
    assert interactions.dtypes == [pl.Int64, pl.String, pl.String, pl.Float64, pl.String]
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
    assert items.select("category", "extra", "empty").row(0) == ("Toys, Games", '{"k":1}', None)


# Timestamps.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2020-09-13", 1_599_955_200.0),
        ("2020/9/13", 1_599_955_200.0),
        ("2020-09-13 12:26:40", 1_600_000_000.0),
        ("2020-09-13T12:26", 1_599_999_960.0),
        ("2020-09-13T12:26:40.250Z", 1_600_000_000.25),
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
    "text", ["yesterday", "2020-13-01", "2020-02-30", "2020-01-01 25:00", "12/31/2020", "nan", "inf", "1_000"]
)
def test_what_is_no_timestamp_keeps_its_text(tmp_path: Path, text: str) -> None:
    source = source_of(tmp_path / "in", interactions=f"user_id,item_id,timestamp\nu,b,{text}\nu,b,1\n")
    assert times(source) == [(None, text), (1.0, None)]


def test_dates_of_parquet_become_unix_seconds(tmp_path: Path) -> None:
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
    write(source, "interactions.jsonl", interactions_at([1.5, "1970-01-02", None, "?"]))
    assert times(source) == [(1.5, None), (86_400.0, None), (None, None), (None, "?")]


# Hypothesis needs a folder of its own for each example.
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
    # An empty field of a CSV file cannot be told from a missing one.
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
