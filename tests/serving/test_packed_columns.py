from __future__ import annotations

import polars as pl

from learn.config.content import ContentSettings
from learn.content.prompt import ItemPrompt
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
