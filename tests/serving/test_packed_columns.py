from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from learn.config.content import ContentSettings
from learn.config.data import DataSettings
from learn.content.prompt import ItemPrompt
from learn.data.tables import load_tables
from learn.serving.catalogue import AnyOf, read_columns
from learn.serving.release import select_packed_columns


def test_a_bundle_holds_all_columns_but_the_prose_that_nobody_reads() -> None:
    long = [f"<p>Prose number {row}.</p> " * 40 for row in range(3)]
    items = pl.DataFrame(
        {
            "item_id": ["a" * 200, "b" * 200, "c" * 200],
            "title": ["A very long title " * 9] * 3,
            "brand": ["x", None, "y"],
            "price": [1.0, None, 3.5],
            "colours": [["red"], [], ["blue", "green"]],
            "description": long,
            "reviews": long,
        }
    )
    prompt = ItemPrompt(ContentSettings(max_field_characters=50))
    packed = select_packed_columns(items, prompt=prompt)
    assert packed.columns == ["item_id", "title", "brand", "price", "colours", "description"]
    assert packed.drop("description").equals(items.drop("description", "reviews"))
    assert all(len(text) <= 50 for text in packed["description"])
    assert prompt.render(packed) == prompt.render(items)


def test_lists_of_a_table_are_filtered_by_their_entries_and_read_as_one_text(tmp_path: Path) -> None:
    categories: list[object] = [["Home", "Kitchen"], "Home", ["Home, sweet"], [], ["Kitchen", "Kitchen"]]
    bullets = [f"A bullet point of some length, as shops write them under a title, number {n}. " * 2 for n in range(3)]
    rows = [
        {"item_id": f"i{n}", "title": f"Lamp {n}", "category": category, "attributes": bullets}
        for n, category in enumerate(categories)
    ]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "in" / "interactions.csv").write_text("user_id,item_id,timestamp\nu,i0,1\n")
    load_tables(tmp_path / "in", tmp_path / "out", settings=DataSettings())
    items = pl.read_parquet(tmp_path / "out" / "items.parquet")

    prompt = ItemPrompt(ContentSettings())
    packed = select_packed_columns(items.drop("row"), prompt=prompt)
    columns = read_columns(packed, without={"item_id", "title"})
    assert columns["category"].matches(AnyOf(("Home",))).tolist() == [True, True, False, False, False]
    assert columns["category"].matches(AnyOf(("Kitchen", "Home, sweet"))).tolist() == [True, False, True, False, True]
    # Lists of long texts are prose: read, and no column to filter by.
    assert set(columns) == {"category"}

    joined = items.with_columns(pl.col("category", "attributes").list.join(", "))
    assert prompt.render(packed) == prompt.render(items) == prompt.render(joined)
    assert "Category: Kitchen, Kitchen Attributes: A bullet" in prompt.render(items)[4]


def test_a_text_is_a_list_of_one_in_a_column_of_lists() -> None:
    column = read_columns(pl.DataFrame({"tags": [["a", "b"], ["c"]]}), without=())["tags"]
    assert column.takes("d")
    assert not column.takes(1.0)
    changed = column.replace_cells({1: "a", 2: ["d"]}, count=3)
    assert changed.matches(AnyOf(("a",))).tolist() == [True, True, False]
    assert changed.matches(AnyOf(("d",))).tolist() == [False, False, True]
