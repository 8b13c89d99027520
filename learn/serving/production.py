"""The model in production: found before any work, and read when the towers that may follow it are evaluated.

from learn.serving.production import check_production, newest_production, read_production

The gate holds a run's towers against the champion; any other stored model can be measured beside them as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learn.config import Settings
from learn.data.histories import Histories
from learn.errors import BundleError
from learn.evaluation.production import ProductionModel, Standing
from learn.serving.bundle import Bundle, read_bundle
from learn.serving.earlier_bundle import other_content, read_unchanged, same_items, shown_moment, trained_rows
from learn.serving.registry import find_stored, newest_stored
from learn.serving.summary import ProductionBundle


@dataclass(frozen=True)
class Caveat:
    """What speaks against the figures of a model in production.

    Attributes:
        said: In a sentence; empty where nothing does.
        standing: Whether its figures on test are a fair measure.
    """

    said: str = ""
    standing: Standing = "fair"


def check_production(folder: Path, *, settings: Settings) -> ProductionBundle:
    """Check, before any work is done, that a bundle can be asked about the items of a run with these settings.

    Raises:
        BundleError: It is no bundle, it is damaged, or its towers read content vectors of another encoder.
        EncoderError: The encoder of the settings cannot be had.
    """
    return _checked(read_bundle(folder), settings)


def newest_production(settings: Settings) -> ProductionBundle | None:
    """Return the bundle last stored under the served model's name; None where the store has none of that name.

    Raises:
        BundleError: As :func:`check_production` raises it.
        EncoderError: The encoder of the settings cannot be had.
    """
    newest = newest_stored(settings.serving.model_name)
    return None if newest is None else _checked(newest, settings)


def champion_bundle(version: str, settings: Settings) -> ProductionBundle:
    """Return the champion's bundle.

    Raises:
        BundleError: The store has lost it, or as :func:`check_production` raises it.
        EncoderError: The encoder of the settings cannot be had.
    """
    return _checked(read_bundle(find_stored(settings.serving.model_name, version).folder), settings)


def read_production(production: ProductionBundle, histories_folder: Path, *, tables: Path) -> ProductionModel:
    """Read the towers in production, with the rows that belong to items of this data, and what speaks against them.

    Args:
        production: What :func:`check_production` or :func:`newest_production` gave.
        histories_folder: What the split of this run wrote.
        tables: Folder of the valid tables.

    Raises:
        BundleError: The bundle was damaged or replaced since it was checked.
    """
    bundle = read_unchanged(production.folder, version=production.version)
    if not same_items(bundle, tables):
        caveat = "It comes from another data set, so it reads every item by its text alone."
        return ProductionModel(bundle.version, bundle.towers, {}, caveat, "other_data")
    seen = answers_seen(bundle, Histories.open(histories_folder))
    return ProductionModel(bundle.version, bundle.towers, trained_rows(bundle), seen.said, seen.standing)


def answers_seen(bundle: Bundle, histories: Histories) -> Caveat:
    """Say what of a run's answers a bundle was trained or chosen by; nothing where it has seen none that can be told.

    By date, the cuts tell. Without dates, or where the bundle does not say how it was split, the counts do: of an
    item, more training interactions than this run has can only come from what this run keeps apart.
    """
    earlier, now = bundle.manifest.split, histories.split
    if earlier and earlier["method"] != now["method"]:
        return Caveat(
            f"It was trained on a split `{earlier['method']}`, this run splits `{now['method']}`: it may have seen "
            "answers, and its figures may flatter it.",
            "flattered",
        )
    if earlier and now["method"] == "by_date":
        return _reaching_past(earlier, now)
    unseen = _foreign_interactions(bundle, histories)
    if not unseen:
        return Caveat()
    return Caveat(
        f"It was trained on at least {unseen:,} interactions that this run keeps out of training: it may have seen "
        "answers, and its figures may flatter it.",
        "flattered",
    )


def _reaching_past(earlier: dict[str, Any], now: dict[str, Any]) -> Caveat:
    trained, chosen = (shown_moment(earlier[cut]) for cut in ("validation_from", "test_from"))
    validated, tested = (shown_moment(now[cut]) for cut in ("validation_from", "test_from"))
    if earlier["validation_from"] > now["test_from"]:
        return Caveat(
            f"It was trained on interactions up to {trained}, and the test begins at {tested}: it has seen answers, "
            "and its figures flatter it.",
            "flattered",
        )
    if earlier["test_from"] > now["test_from"]:
        return Caveat(
            f"Its epoch was chosen on interactions up to {chosen}, and the test begins at {tested}: its figures "
            "flatter it a little.",
            "flattered",
        )
    if earlier["validation_from"] > now["validation_from"]:
        return Caveat(
            f"It was trained on interactions up to {trained}, and validation begins at {validated}: its figures on "
            "validation flatter it, those on test do not."
        )
    return Caveat()


def _foreign_interactions(bundle: Bundle, histories: Histories) -> int:
    now = dict(zip(histories.item_ids, histories.popularity().tolist(), strict=True))
    counts = zip(bundle.item_ids, bundle.items["training_interactions"].to_list(), strict=True)
    gaps = np.array([earlier - now[item] for item, earlier in counts if item in now], dtype=np.int64)
    return int(gaps[gaps > 0].sum())


def _checked(bundle: Bundle, settings: Settings) -> ProductionBundle:
    if difference := other_content(bundle, settings.content):
        raise BundleError(
            f"The model in production reads other content vectors: {difference}.",
            where=f"bundle {bundle.version}",
            fix="take the encoder and the prompt that it was trained with, or leave `--production` out",
        )
    return ProductionBundle(bundle.folder.absolute(), bundle.version)
