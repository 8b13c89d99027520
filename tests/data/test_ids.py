"""Ids keep every character and digit; one id spelt in two ways is one, and two ids are never one."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.data.ids import match_item_ids, match_user_ids, replace_ids, to_id_text
from tests.data.synthetic_tables import load, source_of, write

SPELLINGS: dict[str, Callable[[str], str]] = {
    "blank": lambda text: f" {text}\t",
    "padded": lambda text: text.ljust(20),
    "no-break blank": lambda text: f"{text}\u00a0",
    "zero width": lambda text: f"\u200b{text}\ufeff",
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "fraction": lambda text: f"{text}.0",
    "longer fraction": lambda text: f"{text}.000",
    "formula": lambda text: f'="{text}"',
    "leading zeros": lambda text: text.zfill(10),
    "capitals": str.upper,
}
NUMBERS = st.integers(1, 10**9).map(str)
WORDS = st.text("aéñ日b1-", min_size=1, max_size=6).map(lambda text: unicodedata.normalize("NFC", f"x{text}"))


def match(items: list[str], interactions: list[str]) -> list[str]:
    """Return the ids of the interactions as they are after matching."""
    log = pl.LazyFrame({"item_id": interactions})
    matched, notes = match_item_ids(pl.LazyFrame({"item_id": items}), log)
    assert bool(notes) == bool(matched.height)
    return replace_ids(log, matched, name="item_id").collect()["item_id"].to_list()


@pytest.mark.parametrize("name", SPELLINGS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_an_items_id_in_another_spelling_is_that_items(name: str, data: st.DataObject) -> None:
    kind = NUMBERS if "fraction" in name or "zeros" in name else WORDS
    items = data.draw(st.lists(kind, min_size=1, max_size=12, unique_by=str.casefold))
    assert match(items, [SPELLINGS[name](text) for text in items]) == items
    if name != "formula":
        spelt = [SPELLINGS[name](text) for text in items]
        assert match(spelt, items) == spelt


@settings(max_examples=100, deadline=None)
@given(ids=st.lists(st.text("0aA. \u200bé", max_size=4), min_size=1, max_size=12, unique=True), data=st.data())
def test_ids_of_two_items_are_never_merged(ids: list[str], data: st.DataObject) -> None:
    """Whatever the items are called, each interaction with one of them is with that one afterwards."""
    interactions = data.draw(st.lists(st.sampled_from(ids), min_size=1))
    assert match(ids, interactions) == interactions


def test_a_spelling_that_fits_two_items_fits_none() -> None:
    assert match(["Ab", "aB"], ["AB"]) == ["AB"]
    assert match(["007", "07"], ["7"]) == ["7"]


def test_a_single_unknown_id_that_looks_alike_stays_unknown() -> None:
    """One of many unknown ids without its zeros is no habit of the export."""
    assert match(["007", "a"], ["7", "p", "q", "r", "a"]) == ["7", "p", "q", "r", "a"]


def merge_users(ids: list[str]) -> list[str]:
    log = pl.LazyFrame({"user_id": ids})
    return replace_ids(log, match_user_ids(log)[0], name="user_id").collect()["user_id"].to_list()


@pytest.mark.parametrize("name", ["blank", "padded", "no-break blank", "zero width", "NFD", "fraction", "formula"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_user_in_two_spellings_is_one(name: str, data: st.DataObject) -> None:
    users = data.draw(st.lists(NUMBERS if name == "fraction" else WORDS, min_size=1, max_size=12, unique=True))
    assert merge_users([*users, *(SPELLINGS[name](text) for text in users)]) == [*users, *users]


@pytest.mark.parametrize(
    "ids", [["a", "A"], ["7", "007"], ["7", "7.0", "7.5"], ["a b", "ab"], ["7.0", "8.0"], ["a ", "b"], ["1.10", "1.1"]]
)
def test_users_that_differ_stay_apart(ids: list[str]) -> None:
    assert merge_users(ids) == ids


def test_two_odd_spellings_of_one_user_become_the_first() -> None:
    assert merge_users(["7.0", "7.00", " 8"]) == ["7.0", "7.0", " 8"]


LARGE = 9_007_199_254_740_993
TITLES = pa.array(["One", "Two"])
ARRAYS: dict[str, pa.Array[Any]] = {
    "int64": pa.array([LARGE, LARGE + 1], pa.int64()),
    "uint64": pa.array([2**64 - 1, 2**64 - 2], pa.uint64()),
    "decimal(38,0)": pa.array([Decimal(10**37 + 1), Decimal(10**37 + 2)], pa.decimal128(38, 0)),
    "decimal(38,4)": pa.array([Decimal(LARGE), Decimal(LARGE + 1)], pa.decimal128(38, 4)),
    "float64": pa.array([1.0, float(2**53)], pa.float64()),
    "text": pa.array(["0123", "1e5"], pa.string()),
    "dictionary": pa.array(["a", "b"], pa.string()).dictionary_encode(),
    "bytes of text": pa.array([b"ab", b"cd"], pa.binary()),
}
TEXTS = {
    "int64": [str(LARGE), str(LARGE + 1)],
    "uint64": [str(2**64 - 1), str(2**64 - 2)],
    "decimal(38,0)": [str(10**37 + 1), str(10**37 + 2)],
    "decimal(38,4)": [str(LARGE), str(LARGE + 1)],
    "float64": ["1", str(2**53)],
    "text": ["0123", "1e5"],
    "dictionary": ["a", "b"],
    "bytes of text": ["ab", "cd"],
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_ids_of_every_type_keep_their_digits(tmp_path: Path, kind: str) -> None:
    source = source_of(tmp_path / "in")
    (source / "items.jsonl").unlink()
    pq.write_table(pa.table([ARRAYS[kind], TITLES], names=["item_id", "title"]), source / "items.parquet")
    assert pl.read_parquet(load(source).folder / "items.parquet")["item_id"].to_list() == TEXTS[kind]


def test_bytes_that_are_no_text_are_a_uuid_or_digits() -> None:
    one = uuid.UUID("ffeeddcc-bbaa-9988-7766-554433221100")
    column = pl.Series("item_id", [one.bytes, b"\xff\x01"], pl.Binary)
    texts = column.to_frame().select(to_id_text(pl.col("item_id"), column.dtype, name="item_id", path=Path("x")))
    assert texts["item_id"].to_list() == [str(one), "ff01"]


def test_floats_that_may_have_lost_digits_are_noted(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "items.jsonl").unlink()
    ids = pa.array([2.0**60, 5.0])
    pq.write_table(pa.table([ids, TITLES], names=["item_id", "title"]), source / "items.parquet")
    summary = load(source)
    assert "2^53" in summary.record.notes[0]
    assert pl.read_parquet(summary.folder / "items.parquet")["item_id"].to_list() == [str(2**60), "5"]


def test_what_was_read_as_the_same_is_noted(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    write(source, "items.jsonl", '{"item_id": "=\\"007\\"", "title": "One"}\n')
    write(source, "interactions.csv", "user_id,item_id,timestamp\n7,7.0,1600000000\n7.0,007 ,1600000001\n")
    summary = load(source)
    table = pl.read_parquet(summary.folder / "interactions.parquet")
    assert table["item_id"].to_list() == ["007", "007"]
    assert table["user_id"].to_list() == ["7", "7"]
    assert [note.split(":")[0] for note in summary.record.notes] == ["items.jsonl", *["interactions.csv"] * 3]
