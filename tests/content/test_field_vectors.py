from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn.config.content import ContentSettings
from learn.config.settings import Settings
from learn.content.encoder import load_encoder
from learn.content.extraction import ContentSummary, collect_vectors, encode_shard, plan_extraction
from learn.content.prompt import ItemPrompt, split_fields, weigh_fields
from learn.errors import DataError, SettingsError
from tests.content.tiny_models import save_bert

BRANDS = ["acme", None, "bolt & co", "  ", "acme", "acme", None]
TITLES = [f"steel drill number {row}" for row in range(len(BRANDS))]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ContentSettings:
    encoder = save_bert(tmp_path_factory.mktemp("models") / "tiny-bert")
    return ContentSettings(
        encoder=str(encoder), arithmetic="float32", threads=1, part_items=4, field_vectors=("brand", "title"), shards=2
    )


@pytest.fixture
def items(tmp_path: Path) -> Path:
    frame = pl.DataFrame({"item_id": [f"i{row}" for row in range(len(BRANDS))], "title": TITLES, "brand": BRANDS})
    frame.write_parquet(tmp_path / "items.parquet")
    return tmp_path / "items.parquet"


def run(items: Path, settings: ContentSettings) -> ContentSummary:
    plan = plan_extraction(items, store=items.parent / "store", settings=settings)
    results = [encode_shard(plan, shard, parallel=len(plan.shards)) for shard in plan.shards]
    return collect_vectors(plan, results, destination=items.parent)


def test_a_field_that_the_items_lack_stops_before_any_work(items: Path, settings: ContentSettings) -> None:
    unknown = settings.model_copy(update={"fields": ("title", "size"), "field_vectors": ("size",)})
    with pytest.raises(DataError, match="no columns of the items: size"):
        run(items, unknown)
    assert sorted(path.name for path in items.parent.iterdir()) == ["items.parquet"]


@pytest.mark.parametrize(("named", "said"), [(["size"], "not in fields: size"), (["title", "title"], "twice")])
def test_settings_refuse_fields_that_are_not_read(named: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings.from_mapping({"content": {"field_vectors": named}})


def test_a_row_holds_the_whole_prompt_and_each_field_apart(items: Path, settings: ContentSettings) -> None:
    summary = run(items, settings)
    rows = np.load(summary.path)
    assert rows.shape == (7, 3 * 32) == (summary.items, summary.dimension)
    whole = ItemPrompt(settings.model_copy(update={"field_vectors": ()})).render(pl.read_parquet(items))
    said = np.array([brand is not None and bool(brand.strip()) for brand in BRANDS])
    texts = [
        *whole,
        *(f"Brand: {brand}" for brand in BRANDS),
        *(f"Title: {title}" for title in TITLES),
    ]
    alone = load_encoder(settings).encode(texts).reshape(3, 7, 32)
    alone[1, ~said] = 0
    expected = np.concatenate(list(alone), axis=1) / np.sqrt(np.where(said, 3, 2))[:, None]
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_each_distinct_text_is_encoded_once_and_never_again(items: Path, settings: ContentSettings) -> None:
    first, again = run(items, settings), run(items, settings)
    # Seven whole prompts, two brands and none, and the titles apart, of which three are whole prompts as well.
    assert (first.encoded, again.encoded) == (7 + 3 + 4, 0)
    assert again.reused == 3 * 7
    plain = run(items, settings.model_copy(update={"field_vectors": ()}))
    assert (plain.encoded, plain.dimension) == (0, 32)


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_rows_are_unit_vectors_and_products_a_mean_over_common_fields(said: list[list[bool]], seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(said), 3, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    present = np.array(said)
    rows = vectors.reshape(len(said), 15).copy()
    weigh_fields(rows, said=present)
    present[:, 0] = True
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    both = present[0] & present[-1]
    cosines = (vectors[0] * vectors[-1]).sum(axis=1)[both]
    expected = cosines.sum() / np.sqrt(present[0].sum() * present[-1].sum())
    assert rows[0] @ rows[-1] == pytest.approx(expected, abs=1e-5)


@given(st.lists(st.text(), max_size=5), st.integers(1, 4))
def test_any_line_gives_as_many_texts_as_an_item_has_vectors(lines: list[str], blocks: int) -> None:
    assert len(split_fields(lines, blocks=blocks)) == len(lines) * blocks
