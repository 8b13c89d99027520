"""One file that holds both tables, and files of any name: mapped by settings, which can be guessed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from learn.cli import learn
from learn.config import Settings
from learn.config.data import DataSettings
from learn.data.guess import guess_settings
from learn.data.sources import require_tables
from learn.data.tables import TablesSummary, load_tables
from learn.errors import DataError
from tests.data.synthetic_tables import write

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
ROWS = [
    "1,85123A,WHITE HEART T-LIGHT HOLDER,6,2010-12-01 08:26,2.55,17850,UK",
    "1,71053,LANTERN,6,2010-12-01 08:26,3.39,17850,UK",
    "2,85123A,damaged,1,2010-12-02 08:00,0,,UK",
    "3,85123A,WHITE HEART HOLDER,2,2010-12-03 09:00,2.95,13047,UK",
    "3,71053,WHITE METAL LANTERN,1,2010-12-03 09:00,3.39,13047,UK",
    "4,22752,,1,2010-12-04 09:00,7.65,13047,UK",
    "5,22752,SET 7 BABUSHKA BOXES,1,2010-12-05 09:00,7.65,,UK",
]
MAPPED = {
    "items_file": "Online Retail.csv",
    "interactions_file": "Online Retail.csv",
    "item_columns": {"item_id": "StockCode", "title": "Description", "price": "UnitPrice"},
    "interaction_columns": {"user_id": "CustomerID", "timestamp": "InvoiceDate"},
}


def load_invoices(folder: Path, rows: list[str], **changes: object) -> TablesSummary:
    write(folder / "in", "Online Retail.csv", "\n".join([HEADER, *rows]) + "\n")
    names = DataSettings.model_validate({**MAPPED, **changes})
    return load_tables(folder / "in", folder / "out", settings=names)


def test_items_are_made_of_an_invoice_export(tmp_path: Path) -> None:
    summary = load_invoices(tmp_path, ROWS)
    items = pl.read_parquet(summary.folder / "items.parquet")
    assert items.rows() == [
        (0, "85123A", "WHITE HEART T-LIGHT HOLDER", 2.95),
        (1, "71053", "WHITE METAL LANTERN", 3.39),
        (2, "22752", "SET 7 BABUSHKA BOXES", 7.65),
    ]
    interactions = pl.read_parquet(summary.folder / "interactions.parquet")
    assert interactions["row"].to_list() == list(range(len(ROWS)))
    assert interactions["item_id"].to_list() == [row.split(",")[1] for row in ROWS]
    assert "title" not in interactions.columns
    assert {"Quantity", "InvoiceNo", "Country"} <= set(interactions.columns)


def test_the_latest_title_can_be_chosen(tmp_path: Path) -> None:
    summary = load_invoices(tmp_path, ROWS, item_text="latest")
    titles = pl.read_parquet(summary.folder / "items.parquet")["title"].to_list()
    assert titles == ["WHITE HEART HOLDER", "WHITE METAL LANTERN", "SET 7 BABUSHKA BOXES"]


def test_rows_without_a_user_are_left_out_and_counted_where_a_setting_says_so(tmp_path: Path) -> None:
    summary = load_invoices(tmp_path, ROWS, rows_without_user="leave_out")
    assert summary.record.left_out == 2
    assert "2 interactions without a user" in summary.record.notes[0]
    assert pl.read_parquet(summary.folder / "interactions.parquet")["row"].to_list() == [0, 1, 3, 4, 5]


def test_a_table_in_which_no_row_has_a_user_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_invoices(tmp_path, [ROWS[2]], rows_without_user="leave_out")
    assert "user" in caught.value.what


TITLE = st.sampled_from(["", "A", "Long name", "Longer name", "Other long"])
ROW = st.tuples(st.sampled_from(["i", "j", "k"]), TITLE, st.integers(0, 3), st.sampled_from(["", "u", "v"]))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=12), rule=st.sampled_from(["longest", "latest"]))
def test_items_and_rows_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int, str]], rule: str
) -> None:
    lines = [f"1,{item},{title},1,2010-12-0{day + 1},1,{user},UK" for item, title, day, user in rows]
    assume(any(row[3] for row in rows))
    summary = load_invoices(tmp_path_factory.mktemp("one"), lines, item_text=rule, rows_without_user="leave_out")
    expected: dict[str, str | None] = {}
    for item in dict.fromkeys(row[0] for row in rows):
        titles = [
            (len(title) if rule == "longest" else 0, day, number, title)
            for number, (name, title, day, _) in enumerate(rows)
            if name == item and title
        ]
        expected[item] = max(titles)[-1] if titles else None
    items = pl.read_parquet(summary.folder / "items.parquet")
    assert dict(items.select("item_id", "title").iter_rows()) == expected
    users = Counter(pl.read_parquet(summary.folder / "interactions.parquet")["user_id"].to_list())
    assert users == Counter(row[3] for row in rows if row[3])
    assert summary.record.left_out == sum(not row[3] for row in rows)


# What is missing, all at once.


def test_what_both_tables_lack_is_told_at_once_with_the_settings(tmp_path: Path) -> None:
    write(tmp_path, "items.csv", "SKU,Product Name\n1,Spoon\n")
    write(tmp_path, "interactions.csv", "Customer ID,SKU,Order Date\nu,1,2024-01-01\n")
    with pytest.raises(DataError) as caught:
        require_tables(tmp_path)
    said = str(caught.value)
    for name in ("item_id", "title", "user_id", "timestamp"):
        assert f"`{name}`" in caught.value.what
    assert 'item_columns = {item_id = "SKU", title = "Product Name"}' in said
    assert 'interaction_columns = {user_id = "Customer ID", item_id = "SKU", timestamp = "Order Date"}' in said


@pytest.mark.parametrize("spell", [str.upper, str.title, lambda name: f" {name} "])
def test_capitals_and_blanks_of_a_columns_name_do_not_matter(tmp_path: Path, spell: Callable[[str], str]) -> None:
    write(tmp_path, "items.csv", f"{spell('item_id')},{spell('title')}\n1,Spoon\n")
    write(tmp_path, "interactions.csv", f"{spell('user_id')},item_id,{spell('timestamp')}\nu,1,1600000000\n")
    require_tables(tmp_path)
    summary = load_tables(tmp_path, tmp_path / "out", settings=DataSettings())
    assert pl.read_parquet(summary.folder / "items.parquet").columns == ["row", "item_id", "title"]


def test_two_columns_that_differ_by_capitals_are_not_guessed(tmp_path: Path) -> None:
    write(tmp_path, "items.csv", "item_id,Title,TITLE\n1,a,b\n")
    write(tmp_path, "interactions.csv", "user_id,item_id,timestamp\nu,1,1600000000\n")
    with pytest.raises(DataError):
        require_tables(tmp_path)


def test_two_missing_files_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "shop.csv", "a\n1\n")
    with pytest.raises(DataError) as caught:
        require_tables(tmp_path)
    assert "`items`" in caught.value.what
    assert "`interactions`" in caught.value.what
    assert "learn data guess" in caught.value.fix


def test_a_misspelt_file_name_is_suggested(tmp_path: Path) -> None:
    write(tmp_path, "products.csv", "a\n1\n")
    with pytest.raises(DataError) as caught:
        require_tables(tmp_path, settings=DataSettings(items_file="product.csv", interactions_file="products.csv"))
    assert "did you mean `products.csv`" in caught.value.fix


# Guessed settings.


def test_the_settings_of_an_invoice_export_are_guessed_and_work(tmp_path: Path) -> None:
    write(tmp_path / "in", "Online Retail.csv", "\n".join([HEADER, *ROWS * 20]) + "\n")
    found = guess_settings(tmp_path / "in")
    assert not found.missing
    guessed = Settings.from_toml(found.text, where="guess").data
    assert guessed.item_columns == MAPPED["item_columns"]
    assert guessed.interaction_columns == {**MAPPED["interaction_columns"], "item_id": "StockCode"}  # type: ignore[dict-item]
    assert guessed.rows_without_user == "leave_out"
    assert load_tables(tmp_path / "in", tmp_path / "out", settings=guessed).items == 3


SHOPS = {
    "fashion": (
        ("articles.csv", "article_id,prod_name,kind\n0108775015,Strap top black,Vest\n0108775044,Strap top,Vest\n"),
        (
            "transactions.csv",
            "t_dat,customer_id,article_id,price\n"
            + "2018-09-20,000058a1,0108775015,0.05\n2018-09-21,00007d2d,0108775044,0.03\n" * 3,
        ),
        {"item_id": "article_id", "title": "prod_name"},
        {"user_id": "customer_id", "item_id": "article_id", "timestamp": "t_dat"},
    ),
    "semicolons": (
        ("products.csv", "SKU;Product name;Maker\nA-1;Garden chair, green;Acme\nA-2;Garden table;Acme\n"),
        ("orders.csv", "client;sku;created_at\n" + "7;A-1;1700000000\n8;A-2;1700000100\n" * 3),
        {"item_id": "SKU", "title": "Product name", "brand": "Maker"},
        {"user_id": "client", "item_id": "sku", "timestamp": "created_at"},
    ),
    "own names": (
        ("items.jsonl", '{"item_id": "a", "title": "Garden chair"}\n'),
        ("interactions.csv", "user_id,item_id,timestamp\n" + "u,a,1700000000\nv,a,1700000001\n" * 2),
        {},
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("shop", SHOPS)
def test_files_and_columns_of_shops_are_guessed(tmp_path: Path, shop: str) -> None:
    items, interactions, item_columns, interaction_columns = SHOPS[shop]
    write(tmp_path, *items)
    write(tmp_path, *interactions)
    found = guess_settings(tmp_path)
    assert not found.missing
    data = Settings.from_toml(found.text, where="guess").data
    contract = {"item_id": "item_id", "title": "title"}
    assert {**contract, **data.item_columns} == {**contract, **item_columns}
    assert data.interaction_columns == {name: column for name, column in interaction_columns.items() if name != column}
    require_tables(tmp_path, settings=data)


def test_the_command_writes_a_file_that_check_takes(tmp_path: Path) -> None:
    rows = [
        f"{n},S{n * 7 % 11},NICE THING {n * 7 % 11},1,2010-12-{1 + n % 28:02} 08:00,2,{n % 9 or ''},UK"
        for n in range(200)
    ]
    write(tmp_path / "in", "Online Retail.csv", "\n".join([HEADER, *rows]) + "\n")
    guessed = CliRunner().invoke(learn, ["data", "guess", str(tmp_path / "in")])
    assert guessed.exit_code == 0
    (tmp_path / "my_shop.toml").write_text(guessed.stdout, encoding="utf-8")
    arguments = ["data", "check", str(tmp_path / "in"), "--config", str(tmp_path / "my_shop.toml"), "--json"]
    checked = CliRunner().invoke(learn, arguments)
    found = json.loads(checked.stdout)
    assert checked.exit_code == 0
    assert found["interactions"]["rows"] == 200
    assert found["interactions"]["rejected"] == sum(n % 9 == 0 for n in range(200))


def test_what_cannot_be_guessed_is_named(tmp_path: Path) -> None:
    write(tmp_path, "numbers.csv", "a,b\n1.5,2.5\n")
    result = CliRunner().invoke(learn, ["data", "guess", str(tmp_path)])
    assert result.exit_code == 2
    assert "`user_id`" in result.stderr


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "readme.txt", "x")
    with pytest.raises(DataError):
        guess_settings(tmp_path)
