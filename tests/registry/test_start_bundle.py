"""The bundle a training starts from: what is refused before any work, and which rows belong to which items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from learn.config.data import SplitSettings
from learn.config.settings import Settings
from learn.content.fingerprint import compute_fingerprint
from learn.content.prompt import ItemPrompt
from learn.content.source import resolve_encoder
from learn.data.splits import build_histories
from learn.errors import BundleError
from learn.registry.bundle import read_bundle
from learn.registry.earlier import check_start, read_start, refuse_seen_windows
from tests.serving.synthetic_model import BundleParts, item_id, made_up_parts

SETTINGS = Settings.from_mapping({"towers": {"dimension": 16, "max_history": 12, "cooccurrence_rank": 0}})


def written(parts: BundleParts, folder: Path, **manifest: Any) -> Path:
    """The synthetic bundle, as if the default encoder had read its items."""
    content = SETTINGS.content
    prompt = ItemPrompt(content)
    fingerprint = compute_fingerprint(
        resolve_encoder(content.encoder), content, template_version=prompt.template_version
    )
    filled = {"encoder_fingerprint": fingerprint.digest, "settings": SETTINGS} | manifest
    return replace(parts, manifest=parts.manifest.model_copy(update=filled)).write(folder)


@pytest.fixture(scope="module")
def parts() -> BundleParts:
    return made_up_parts(SETTINGS.towers)


@pytest.fixture(scope="module")
def folder(parts: BundleParts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its items 0 to 99 were trained on until moment 50."""
    trained = [7 if row < 100 else 0 for row in range(len(parts.items))]
    items = parts.items.with_columns(training_interactions=pl.Series(trained))
    towers = type(parts.towers)(
        parts.towers.settings, content_dimension=parts.towers.content_dimension, id_count=100
    ).eval()
    split = {"method": "by_date", "described": "", "validation_from": 50.0, "test_from": 60.0}
    made = replace(parts, items=items, towers=towers)
    return written(made, tmp_path_factory.mktemp("start") / "bundle", split=split, temperature=0.04)


def tables(folder: Path, *, title: str = "Made-up thing {row}", count: int = 20) -> Path:
    """A shop whose items bear the bundle's ids; two users, one interaction a moment."""
    folder.mkdir(parents=True)
    titles = [None if row % 7 == 0 else title.format(row=row) for row in range(count)]
    ids = [item_id(row) for row in range(count)]
    pl.DataFrame({"row": range(count), "item_id": ids, "title": titles}).write_parquet(folder / "items.parquet")
    moments = range(100)
    interactions = {
        "row": moments,
        "user_id": [f"u{moment % 2}" for moment in moments],
        "item_id": [item_id(moment % count) for moment in moments],
        "timestamp": [float(moment) for moment in moments],
    }
    pl.DataFrame(interactions).write_parquet(folder / "interactions.parquet")
    return folder


def split(shop: Path, *, method: str = "by_date", validation_from: str = "50") -> Path:
    settings = SplitSettings.model_validate({"method": method, "validation_from": validation_from, "test_from": "70"})
    return build_histories(shop, shop / "histories", settings=settings).folder


# --- Before any work --------------------------------------------------------------------------------------


def test_a_fit_bundle_is_known_by_its_version(folder: Path) -> None:
    start = check_start(folder, settings=SETTINGS)
    assert start.version == read_bundle(folder).version
    assert start.folder == folder


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="This is not a bundle"):
        check_start(tmp_path, settings=SETTINGS)


def test_other_towers_are_refused_with_what_to_set(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"`towers\.dimension` is 32 here and 16 in the bundle") as caught:
        check_start(folder, settings=SETTINGS.override(towers__dimension=32))
    assert caught.value.fix.startswith("set `towers.dimension` = 16 as in the bundle")


def test_another_reading_of_the_items_is_refused_with_what_differs(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"`content\.max_tokens` is 64 here, but 256 in it"):
        check_start(folder, settings=SETTINGS.override(content__max_tokens=64))


def test_another_encoder_under_the_same_name_is_refused(parts: BundleParts, tmp_path: Path) -> None:
    other = written(parts, tmp_path / "bundle", encoder_fingerprint="0" * 64)
    with pytest.raises(BundleError, match="the encoder's files or the prompt's wording"):
        check_start(other, settings=SETTINGS)


# --- Which rows belong to which items ---------------------------------------------------------------------


def test_rows_are_those_of_the_trained_items(folder: Path, tmp_path: Path) -> None:
    start = read_start(check_start(folder, settings=SETTINGS), tables=tables(tmp_path / "shop"))
    assert start.id_rows == {item_id(row): row for row in range(100)}
    assert start.temperature == 0.04
    assert start.same_shop
    assert start.parent == read_bundle(folder).version


def test_equal_ids_of_another_data_set_are_no_items_in_common(folder: Path, tmp_path: Path) -> None:
    other = tables(tmp_path / "other", title="Something else {row}")
    start = read_start(check_start(folder, settings=SETTINGS), tables=other)
    assert start.id_rows == {}
    assert not start.same_shop


def test_a_bundle_that_was_replaced_on_the_way_is_refused(folder: Path, tmp_path: Path) -> None:
    start = replace(check_start(folder, settings=SETTINGS), version="0" * 16)
    with pytest.raises(BundleError, match="replaced during the run"):
        read_start(start, tables=tables(tmp_path / "shop"))


# --- Nothing is measured by what the weights have seen ----------------------------------------------------


def test_an_earlier_training_window_is_fine(folder: Path, tmp_path: Path) -> None:
    shop = tables(tmp_path / "shop")
    refuse_seen_windows(check_start(folder, settings=SETTINGS), split(shop), tables=shop)


def test_a_training_window_that_reaches_into_validation_is_refused(folder: Path, tmp_path: Path) -> None:
    shop = tables(tmp_path / "shop")
    histories = split(shop, validation_from="49")
    with pytest.raises(BundleError, match="trained on interactions up to 50, but this run validates from 49 on"):
        refuse_seen_windows(check_start(folder, settings=SETTINGS), histories, tables=shop)


def test_another_way_to_split_the_same_shop_is_refused(folder: Path, tmp_path: Path) -> None:
    shop = tables(tmp_path / "shop")
    histories = split(shop, method="leave_one_out", validation_from="")
    with pytest.raises(BundleError, match="split `by_date`, but this run uses `leave_one_out`"):
        refuse_seen_windows(check_start(folder, settings=SETTINGS), histories, tables=shop)


def test_another_shops_windows_do_not_matter(folder: Path, tmp_path: Path) -> None:
    other = tables(tmp_path / "other", title="Something else {row}")
    histories = split(other, validation_from="10")
    refuse_seen_windows(check_start(folder, settings=SETTINGS), histories, tables=other)
