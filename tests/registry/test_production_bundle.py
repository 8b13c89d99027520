"""The model in production: which one it is, what is refused before any work, and what speaks against its figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.models import read_production_model, resolve_production
from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.errors import BundleError
from learn.registry.bundle import read_bundle
from learn.registry.earlier import check_production, find_newest_production, find_seen_answers, read_production
from learn.registry.store import store_bundle
from tests.registry.test_start_bundle import SETTINGS, split, tables, written
from tests.serving.synthetic_model import BundleParts, item_id, made_up_parts

TRAINED = 100


@pytest.fixture(scope="module")
def parts() -> BundleParts:
    """Items 0 to 99 were trained on, seven interactions each; single items speak in a channel alone."""
    shape = SETTINGS.towers.model_copy(update={"cooccurrence_rank": 4, "id_embeddings": False})
    made = made_up_parts(shape)
    towers = type(made.towers)(shape, content_dimension=made.towers.content_dimension, id_count=TRAINED).eval()
    inputs = made.item_inputs
    counts = [7 if row < TRAINED else 0 for row in range(len(made.items))]
    items = made.items.with_columns(training_interactions=pl.Series(counts))
    return replace(made, towers=towers, items=items, item_inputs=inputs)


def bundle(parts: BundleParts, folder: Path, **cuts: Any) -> Path:
    """Trained on until the first cut, its epoch chosen until the second."""
    return written(parts, folder / "bundle", split={"method": "by_date", "described": ""} | cuts)


def shop_split(folder: Path, **options: str) -> tuple[Path, Path]:
    shop = tables(folder / "shop", count=TRAINED)
    return shop, split(shop, **options)


# --- Which one it is --------------------------------------------------------------------------------------


def named(model_name: str) -> Settings:
    return SETTINGS.override(serving__model_name=model_name)


def test_the_newest_of_the_served_models_name_is_in_production(parts: BundleParts, tmp_path: Path) -> None:
    for name in ("first", "second"):
        store_bundle(written(parts, tmp_path / name, data_version=name), name="served")
    store_bundle(written(parts, tmp_path / "other", data_version="other"), name="another")
    found = find_newest_production(named("served"))
    assert found is not None
    assert read_bundle(found.folder).manifest.data_version == "second"
    assert found.version == read_bundle(tmp_path / "second").version


def test_a_store_without_that_name_has_none() -> None:
    assert find_newest_production(named("nobody-ever")) is None


def test_none_is_no_production(capsys: pytest.CaptureFixture[str]) -> None:
    assert resolve_production("none", settings=SETTINGS) is None
    assert capsys.readouterr().out.count("\n") == 1
    assert read_production_model(None, Path(), tables=Path()) is None


def test_latest_says_what_it_took_or_why_it_took_nothing(
    parts: BundleParts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resolve_production("latest", settings=named("still-empty")) is None
    assert "has no model `still-empty` yet" in capsys.readouterr().out
    store_bundle(written(parts, tmp_path / "other", encoder_fingerprint="0" * 64), name="misread")
    assert resolve_production("latest", settings=named("misread")) is None
    assert (
        "the newest `misread` is not compared with. The model in production was trained on" in capsys.readouterr().out
    )
    tag = store_bundle(written(parts, tmp_path / "fit"), name="fitting")
    assert resolve_production("latest", settings=named("fitting")) is not None
    assert f"Production: {tag} is compared with" in capsys.readouterr().out


def test_a_bundle_that_is_named_must_fit(parts: BundleParts, tmp_path: Path) -> None:
    fit = written(parts, tmp_path / "fit")
    assert resolve_production(str(fit), settings=SETTINGS) == check_production(fit, settings=SETTINGS)
    with pytest.raises(BundleError, match=r"`content\.max_tokens` is 64 here, but 256 in it"):
        resolve_production(str(fit), settings=SETTINGS.override(content__max_tokens=64))
    with pytest.raises(BundleError, match="has no model `nobody:latest`"):
        resolve_production("nobody:latest", settings=SETTINGS)


# --- Who its items are ------------------------------------------------------------------------------------


def test_its_rows_are_those_of_the_items_it_was_trained_on(parts: BundleParts, tmp_path: Path) -> None:
    shop, histories = shop_split(tmp_path)
    found = check_production(bundle(parts, tmp_path, validation_from=50.0, test_from=70.0), settings=SETTINGS)
    model = read_production(found, histories, tables=shop)
    assert model.rows == {item_id(row): row for row in range(TRAINED)}
    assert model.version == found.version
    assert model.caveat == ""


def test_another_data_set_has_no_item_in_common(parts: BundleParts, tmp_path: Path) -> None:
    other = tables(tmp_path / "other", title="Something else {row}")
    found = check_production(bundle(parts, tmp_path, validation_from=99.0, test_from=99.5), settings=SETTINGS)
    model = read_production(found, split(other), tables=other)
    assert model.rows == {}
    assert "another data set" in model.caveat
    assert model.standing == "other_data"


def test_a_bundle_that_was_replaced_on_the_way_is_refused(parts: BundleParts, tmp_path: Path) -> None:
    shop, histories = shop_split(tmp_path)
    found = check_production(bundle(parts, tmp_path, validation_from=50.0, test_from=70.0), settings=SETTINGS)
    with pytest.raises(BundleError, match="replaced during the run"):
        read_production(replace(found, version="0" * 16), histories, tables=shop)


# --- Whether it knows the answers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuts", "said", "standing"),
    [
        ((40.0, 60.0), "", "fair"),
        ((50.0, 70.0), "", "fair"),
        ((60.0, 70.0), "trained on interactions up to 60, and validation begins at 50", "fair"),
        ((50.0, 80.0), "epoch was chosen on interactions up to 80, and the test begins at 70", "flattered"),
        ((70.0, 80.0), "epoch was chosen on interactions up to 80, and the test begins at 70", "flattered"),
        ((71.0, 80.0), "trained on interactions up to 71, and the test begins at 70: it has seen", "flattered"),
    ],
)
def test_by_date_the_cuts_tell(
    parts: BundleParts, tmp_path: Path, cuts: tuple[float, float], said: str, standing: str
) -> None:
    _, histories = shop_split(tmp_path)
    earlier = read_bundle(bundle(parts, tmp_path, validation_from=cuts[0], test_from=cuts[1]))
    found = find_seen_answers(earlier, Histories.open(histories))
    assert said in found.said
    assert bool(found.said) == bool(said)
    assert found.standing == standing


def test_another_way_to_split_may_have_shown_it_answers(parts: BundleParts, tmp_path: Path) -> None:
    _, histories = shop_split(tmp_path, method="leave_one_out", validation_from="")
    earlier = read_bundle(bundle(parts, tmp_path, validation_from=1.0, test_from=2.0))
    assert (
        "the split `by_date`, but this run uses `leave_one_out`"
        in find_seen_answers(earlier, Histories.open(histories)).said
    )


@pytest.mark.parametrize("recorded", [{}, {"method": "leave_one_out", "described": ""}])
def test_without_dates_the_counts_tell(parts: BundleParts, tmp_path: Path, recorded: dict[str, str]) -> None:
    _, histories = shop_split(tmp_path, method="leave_one_out", validation_from="")
    now = Histories.open(histories)
    counts = [*now.count_popularity().tolist(), *[0] * (len(parts.items) - TRAINED)]
    same = parts.items.with_columns(training_interactions=pl.Series(counts))
    known = replace(parts, items=same)
    assert find_seen_answers(read_bundle(written(known, tmp_path / "same", split=recorded)), now).said == ""
    counts[5], counts[6] = counts[5] + 3, 0
    more = replace(parts, items=same.with_columns(training_interactions=pl.Series(counts)))
    assert (
        "at least 3 interactions"
        in find_seen_answers(read_bundle(written(more, tmp_path / "more", split=recorded)), now).said
    )
