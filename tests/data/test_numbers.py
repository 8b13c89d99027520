"""Numbers as text: the notation of a column is found, a bad cell is reported, and no comma is ever dropped."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.config.data import DataSettings, ValidationSettings
from learn.data.numbers import is_number_name, read_number_columns, read_weights
from learn.data.tables import load_tables
from learn.data.validation.validate import ValidationSummary, validate_tables
from tests.data.synthetic_tables import write


def read_column(cells: list[str | None], *, name: str = "price") -> tuple[list[object], list[object]]:
    table = read_number_columns(pl.LazyFrame({name: cells}, schema={name: pl.String}), [name]).collect()
    return table[name].to_list(), table.get_column(f"unreadable_{name}", default=pl.Series([])).to_list()


def weigh(cells: list[str | None]) -> list[float | str | None]:
    frame = read_weights(pl.LazyFrame({"weight": cells}, schema={"weight": pl.String}), path=Path("x")).collect()
    assert frame["weight"].dtype == pl.Float64
    return [text if number is None else number for number, text in frame.select("weight", "weight_text").iter_rows()]


TEN = [f"{n}.9" for n in range(10, 20)]


@pytest.mark.parametrize("bad", ["n/a", "1.299,00", "12,99", "free", "-", "$5", "1e5", "007", "1 299"])
def test_one_bad_price_is_null_and_reported(bad: str) -> None:
    numbers, texts = read_column([*TEN, bad, None])
    assert numbers == [*map(float, TEN), None, None]
    assert texts == [*[None] * 10, bad, None]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        # Fewer than nine in ten are numbers.
        ("price", ["1.5"] * 8 + ["n/a"]),
        ("price", ["n/a", "free"]),
        # A code is no number, though most are digits.
        ("code", [str(n) for n in range(1, 30)] + ["A7"]),
        ("code", [str(n) for n in range(1, 30)] + ["007"]),
        ("size", [str(n) for n in range(30, 50)] + ["XL"]),
        # Thousands or fractions: nobody can tell.
        ("price", ["1,299", "2,450", "12,999"]),
        # Ids in a list, not fractions.
        ("genres", ["12,15", "3,7"]),
    ],
)
def test_what_is_no_column_of_numbers_stays_text(name: str, cells: list[str | None]) -> None:
    assert read_column(cells, name=name) == (cells, [])


@pytest.mark.parametrize(
    ("name", "cells", "numbers", "texts"),
    [
        ("price", ["12,99", "5", "1.299,00", "0,125"], [12.99, 5, 1299, 0.125], []),
        ("UnitPrice", ["12,99", "-3,5", None], [12.99, -3.5, None], []),
        ("price", ["12,99"] * 10 + ["n/a"], [12.99] * 10 + [None], [None] * 10 + ["n/a"]),
        ("pages", ["100"] * 10 + ["N/A"], [100] * 10 + [None], [None] * 10 + ["N/A"]),
        ("pages", ["100", "7", None], [100, 7, None], []),
        ("price", ["1", "2.5"], [1, 2.5], []),
    ],
)
def test_a_column_of_numbers_is_read_in_its_notation(
    name: str, cells: list[str | None], numbers: list[object], texts: list[object]
) -> None:
    assert read_column(cells, name=name) == (numbers, texts)


PRICES = st.decimals(0, 9_999_999, places=2)


@settings(max_examples=40, deadline=None)
@given(prices=st.lists(PRICES, min_size=1, max_size=10), grouped=st.booleans())
def test_a_price_is_the_same_number_with_a_point_and_with_a_comma(prices: list[Decimal], *, grouped: bool) -> None:
    expected = [float(f"{price}") for price in prices]
    with_point = [f"{price}" for price in prices]
    swapped = str.maketrans(",.", ".,")
    with_comma = [(f"{price:,}" if grouped else f"{price}").translate(swapped) for price in prices]
    assert read_column(list(with_point)) == (expected, [])
    assert read_column(list(with_comma)) == (expected, [])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "1,5", "0,25", ""], [1, 1.5, 0.25, None]),
        (["1.5", "1,5"], [1.5, 1.5]),
        (["1.299,00", "1,299.00", "1,299,000"], [1299, 1299, 1_299_000]),
        # Where another cell shows a fraction by comma, three digits are one too; if none does, nobody knows.
        (["1,500", "0,5"], [1.5, 0.5]),
        (["1,500", "2"], ["1,500", 2]),
        (["1.500", "2"], [1.5, 2]),
        (["1.500", "0,5"], ["1.500", 0.5]),
        (["1.500", "0,5", "0.5"], [1.5, 0.5, 0.5]),
        (["NaN", "inf", "-1", "-0,5", "1,5"], ["NaN", "inf", "-1", "-0,5", 1.5]),
        (["heavy", "1,5 kg", "1,5,", None], ["heavy", "1,5 kg", "1,5,", None]),
        (["1e3", " 2 ", "0"], [1000, 2, 0]),
    ],
)  # fmt: skip
def test_weights_are_read_or_keep_their_text(cells: list[str | None], expected: list[object]) -> None:
    assert weigh(cells) == expected


def test_names_of_numbers() -> None:
    numbers = ["price", "unit_price", "UnitPrice", "unitprice", "Einzelpreis", "avg_rating", "stock", "release year"]
    assert all(is_number_name(name) for name in numbers)
    assert not any(
        is_number_name(name) for name in ["code", "size", "part_number", "stockings", "attribute_value", "id"]
    )


def validate(folder: Path, items: str, interactions: str) -> ValidationSummary:
    kind = "jsonl" if items.startswith("{") else "csv"
    write(folder / "in", f"items.{kind}", items)
    write(folder / "in", "interactions.csv", interactions)
    load_tables(folder / "in", folder / "raw", settings=DataSettings())
    return validate_tables(
        folder / "raw", folder / "valid", report=folder / "r.html", settings=ValidationSettings(earliest="1970-01-02")
    )


def write_purchases(weights: list[str]) -> str:
    rows = [f'u{n // 4},i{n % 10},{1_700_000_000 + n},"{weight}"\n' for n, weight in enumerate(weights)]
    return "user_id,item_id,timestamp,weight\n" + "".join(rows)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_bad_cells_are_told_and_bad_weights_are_quarantined(tmp_path: Path, kind: str) -> None:
    cells: list[object] = [*(n + 0.5 for n in range(9)), "n/a <b>"]
    rows = [{"item_id": f"i{n}", "title": f"Red lamp {n}", "price": cell} for n, cell in enumerate(cells)]
    items = "item_id,title,price\n" + "".join(f"{row['item_id']},{row['title']},{row['price']}\n" for row in rows)
    if kind == "jsonl":
        items = "".join(json.dumps(row) + "\n" for row in rows)
    summary = validate(tmp_path, items, write_purchases([*["1"] * 35, "1,5", "heavy", "-1", "", "2"]))
    found = {check.name: check for check in (*summary.items.checks, *summary.interactions.checks)}
    assert (found["price_unreadable"].severity, found["price_unreadable"].failing) == ("warning", 1)
    assert [one.shown for one in found["price_unreadable"].examples] == ["price n/a <b>"]
    assert [one.shown for one in found["weight_unreadable"].examples] == ["weight heavy", "weight -1"]
    assert "price n/a &lt;b&gt;" in summary.report.read_text()
    assert (summary.items.valid, summary.interactions.valid, summary.interactions.quarantined) == (10, 38, 2)
    kept = pl.read_parquet(summary.folder / "items.parquet")
    assert kept.columns == ["row", "item_id", "title", "price"]
    assert kept["price"].to_list() == [*(n + 0.5 for n in range(9)), None]
    weights = pl.read_parquet(summary.folder / "interactions.parquet")
    assert weights.columns == ["row", "user_id", "item_id", "timestamp", "weight"]
    assert weights["weight"].to_list() == [*[1.0] * 35, 1.5, None, 2.0]
    lost = pl.read_parquet(summary.quarantine)
    assert [json.loads(record)["weight_text"] for record in lost["record"]] == ["heavy", "-1"]
    assert lost["reasons"].to_list() == [["weight_unreadable"]] * 2
