"""Earlier bundles of a run: the one a training starts from, and the one in production that it is compared with.

Both are checked before any work, and read when they are needed. The bundle must still be the same, its items must be
those of the same shop, and it must not have seen the interactions that the run is tested on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from learn.config import ContentSettings, Settings
from learn.content import ItemPrompt, compute_fingerprint, list_arithmetics, resolve_settings_encoder
from learn.data import CLOCK, Histories, TimestampScale, detect_timestamp_scale
from learn.errors import BundleError
from learn.evaluation import ProductionModel, Standing
from learn.model import WarmStart, refuse_other_towers
from learn.registry.bundle import Bundle, read_bundle
from learn.registry.store import find_stored, read_newest_stored
from learn.registry.summary import ProductionBundle, StartBundle

# Shops correct titles, but not half of them: below that, two data sets merely both count their ids from 0.
_SAME_TITLES = 0.5


def read_unchanged(folder: Path, *, version: str) -> Bundle:
    """Read a bundle that was checked before.

    Raises:
        BundleError: It was damaged or replaced since.
    """
    bundle = read_bundle(folder)
    if bundle.version != version:
        raise BundleError(
            f"The bundle was replaced during the run: its version is now {bundle.version}, no longer {version}.",
            where=folder,
            fix="run the flow again",
        )
    return bundle


def explain_other_content(bundle: Bundle, settings: ContentSettings) -> str:
    """Describe how its content vectors differ from those of these settings; empty if they do not.

    Raises:
        EncoderError: The encoder of the settings cannot be obtained.
    """
    prompt = ItemPrompt(settings)
    source = resolve_settings_encoder(settings)
    accepted = (
        compute_fingerprint(source, settings, template_version=prompt.template_version, arithmetic=each)
        for each in list_arithmetics(settings)
    )
    earlier = bundle.manifest.settings.content
    same_width = settings.field_vectors == earlier.field_vectors
    if same_width and any(fingerprint.digest == bundle.manifest.encoder_fingerprint for fingerprint in accepted):
        return ""
    names = (
        "encoder", "pooling", "layer", "instruction", "max_tokens", "arithmetic", "fields", "max_field_characters",
        "field_vectors",
    )  # fmt: skip
    found = [name for name in names if getattr(settings, name) != getattr(earlier, name)]
    said = [f"`content.{name}` is {getattr(settings, name)} here, but {getattr(earlier, name)} in it" for name in found]
    return ", ".join(said) or "the encoder's files or the prompt's wording have changed"


def read_trained_rows(bundle: Bundle) -> dict[str, int]:
    """Return each trained item's row in the towers' ID table, by item id.

    Raises:
        BundleError: The ID table has another number of rows.
    """
    trained = bundle.items.filter(pl.col("training_interactions") > 0)["item_id"].to_list()
    if len(trained) != bundle.towers.id_count:
        raise BundleError(
            f"The bundle's ID table has {bundle.towers.id_count} rows for {len(trained)} trained items.",
            where=bundle.folder,
            fix="take another bundle",
        )
    return {item: row for row, item in enumerate(trained)}


def has_same_items(bundle: Bundle, tables: Path) -> bool:
    """Return whether equal item ids mean the same items, that is, whether most titles are equal too."""
    now = pl.read_parquet(tables / "items.parquet", columns=["item_id", "title"], glob=False)
    common = bundle.items.join(now, on="item_id", suffix="_now")
    same = common.select(pl.col("title").eq_missing(pl.col("title_now")).mean()).item()
    return bool(len(common)) and bool(np.greater_equal(same, _SAME_TITLES))


def read_split_scale(split: dict[str, Any]) -> TimestampScale:
    """Return the time scale of the cuts of a split by date.

    Bundles of earlier versions do not record it, so it is guessed from the size of their cuts.
    """
    said = split.get(CLOCK)
    return TimestampScale.from_dict(said) if said else detect_timestamp_scale(split["validation_from"])


def format_cut(split: dict[str, Any], cut: str) -> str:
    """Format a cut of a split for a person: as a date if timestamps are times."""
    return read_split_scale(split).format(split[cut])


def has_later_cut(earlier: dict[str, Any], now: dict[str, Any], *, cut: str, of_now: str) -> bool:
    """Return whether a cut of an earlier split is after one of this run's, also if their units differ."""
    there, here = read_split_scale(earlier), read_split_scale(now)
    if there.is_clock and here.is_clock:
        return bool(there.convert(earlier[cut], into=here) > now[of_now])
    return bool(earlier[cut] > now[of_now])


_RESTART = "leave out `--init-from` to train from the start"


def check_start(folder: Path, *, settings: Settings) -> StartBundle:
    """Check, before any work is done, that a training with these settings can start from a bundle.

    Raises:
        BundleError: It is not a bundle, it is damaged, its towers have another shape, or its content vectors come from
            another encoder.
        EncoderError: The encoder of the settings cannot be obtained.
    """
    bundle = read_bundle(folder)
    refuse_other_towers(_build_warm_start(bundle, rows={}, same_shop=True), settings.towers)
    _refuse_other_content(bundle, settings.content)
    return StartBundle(folder.absolute(), bundle.version)


def read_start(start: StartBundle, *, tables: Path) -> WarmStart:
    """Read the weights to start from, with the rows of the ID table that belong to items of this data.

    Args:
        start: The result of :func:`check_start`.
        tables: Folder of the valid tables.

    Raises:
        BundleError: The bundle was damaged or replaced since it was checked.
    """
    bundle = read_unchanged(start.folder, version=start.version)
    same_shop = has_same_items(bundle, tables)
    known = same_shop and bundle.towers.id_table is not None
    return _build_warm_start(bundle, rows=read_trained_rows(bundle) if known else {}, same_shop=same_shop)


def refuse_seen_windows(start: StartBundle, histories_folder: Path, *, tables: Path) -> None:
    """Refuse a bundle that was trained on interactions that this run is measured on.

    Raises:
        BundleError: Its training window overlaps this run's validation window, or may do so because the data was
            split in another way. The windows of another data set do not matter.
    """
    bundle = read_unchanged(start.folder, version=start.version)
    earlier: dict[str, Any] = bundle.manifest.split
    now = Histories.open(histories_folder).split
    if not earlier or not has_same_items(bundle, tables):
        return
    where = f"bundle {start.version}"
    if earlier["method"] != now["method"]:
        raise BundleError(
            f"The bundle was trained with the split `{earlier['method']}`, but this run uses `{now['method']}`: the "
            "start weights may have seen interactions that this run validates and tests on.",
            where=where,
            fix=f"use `--split {earlier['method']}`, or {_RESTART}",
        )
    if now["method"] == "by_date" and has_later_cut(earlier, now, cut="validation_from", of_now="validation_from"):
        ended, begins = (format_cut(split, "validation_from") for split in (earlier, now))
        raise BundleError(
            f"The bundle was trained on interactions up to {ended}, but this run validates from {begins} on: the start "
            "weights have seen interactions that it would be measured on.",
            where=where,
            fix=f"start from an earlier bundle, set `split.validation_from` to {ended} or later, or {_RESTART}",
        )


def _build_warm_start(bundle: Bundle, *, rows: dict[str, int], same_shop: bool) -> WarmStart:
    return WarmStart(
        parent=bundle.version,
        towers=bundle.towers,
        weights_sha256=bundle.manifest.weights_sha256,
        id_rows=rows,
        temperature=bundle.manifest.temperature,
        same_shop=same_shop,
    )


def _refuse_other_content(bundle: Bundle, settings: ContentSettings) -> None:
    if difference := explain_other_content(bundle, settings):
        raise BundleError(
            f"The bundle of `--init-from` was trained on other content vectors: {difference}.",
            where=f"bundle {bundle.version}",
            fix=f"use the encoder and the prompt that the bundle was trained with, or {_RESTART}",
        )


@dataclass(frozen=True)
class Caveat:
    """Why the figures of a model in production may not be a fair measure.

    Attributes:
        said: The reason, in a sentence; empty if there is none.
        standing: Whether its figures on test are a fair measure.
    """

    said: str = ""
    standing: Standing = "fair"


def check_production(folder: Path, *, settings: Settings) -> ProductionBundle:
    """Check, before any work is done, that a bundle can score the items of a run with these settings.

    Raises:
        BundleError: It is not a bundle, it is damaged, or its towers read content vectors of another encoder.
        EncoderError: The encoder of the settings cannot be obtained.
    """
    return _check_bundle(read_bundle(folder), settings)


def find_newest_production(settings: Settings) -> ProductionBundle | None:
    """Return the bundle last stored under the served model's name; None if the store has none of that name.

    Raises:
        BundleError: As :func:`check_production` raises it.
        EncoderError: The encoder of the settings cannot be obtained.
    """
    newest = read_newest_stored(settings.serving.model_name)
    return None if newest is None else _check_bundle(newest, settings)


def find_champion_bundle(version: str, settings: Settings) -> ProductionBundle:
    """Return the champion's bundle.

    Raises:
        BundleError: The store has lost it, or as :func:`check_production` raises it.
        EncoderError: The encoder of the settings cannot be obtained.
    """
    return _check_bundle(read_bundle(find_stored(settings.serving.model_name, version).folder), settings)


def read_production(production: ProductionBundle, histories_folder: Path, *, tables: Path) -> ProductionModel:
    """Read the towers in production, with the rows of this data's items, and the caveat on their figures.

    Args:
        production: The result of :func:`check_production` or :func:`find_newest_production`.
        histories_folder: Folder that the split of this run wrote.
        tables: Folder of the valid tables.

    Raises:
        BundleError: The bundle was damaged or replaced since it was checked.
    """
    bundle = read_unchanged(production.folder, version=production.version)
    if not has_same_items(bundle, tables):
        caveat = "It comes from another data set, so it reads every item by its text alone."
        return ProductionModel(bundle.version, bundle.towers, {}, caveat, "other_data")
    seen = find_seen_answers(bundle, Histories.open(histories_folder))
    return ProductionModel(bundle.version, bundle.towers, read_trained_rows(bundle), seen.said, seen.standing)


def find_seen_answers(bundle: Bundle, histories: Histories) -> Caveat:
    """Describe which of a run's test or validation data a bundle was trained or chosen on; nothing if none is known.

    By date, the cuts show it. Without dates, or if the bundle does not record its split, the counts show it: of an
    item, more training interactions than this run has can only come from what this run keeps apart.
    """
    earlier, now = bundle.manifest.split, histories.split
    if earlier and earlier["method"] != now["method"]:
        return Caveat(
            f"It was trained with the split `{earlier['method']}`, but this run uses `{now['method']}`: it may "
            "have seen answers, and its figures may flatter it.",
            "flattered",
        )
    if earlier and now["method"] == "by_date":
        return _find_later_cut(earlier, now)
    unseen = _count_foreign_interactions(bundle, histories)
    if not unseen:
        return Caveat()
    return Caveat(
        f"It was trained on at least {unseen:,} interactions that this run keeps out of training: it may have seen "
        "answers, and its figures may flatter it.",
        "flattered",
    )


def _find_later_cut(earlier: dict[str, Any], now: dict[str, Any]) -> Caveat:
    trained, chosen = (format_cut(earlier, cut) for cut in ("validation_from", "test_from"))
    validated, tested = (format_cut(now, cut) for cut in ("validation_from", "test_from"))
    if has_later_cut(earlier, now, cut="validation_from", of_now="test_from"):
        return Caveat(
            f"It was trained on interactions up to {trained}, and the test begins at {tested}: it has seen answers, "
            "and its figures flatter it.",
            "flattered",
        )
    if has_later_cut(earlier, now, cut="test_from", of_now="test_from"):
        return Caveat(
            f"Its epoch was chosen on interactions up to {chosen}, and the test begins at {tested}: its figures "
            "flatter it a little.",
            "flattered",
        )
    if has_later_cut(earlier, now, cut="validation_from", of_now="validation_from"):
        return Caveat(
            f"It was trained on interactions up to {trained}, and validation begins at {validated}: its figures on "
            "validation flatter it, those on test do not."
        )
    return Caveat()


def _count_foreign_interactions(bundle: Bundle, histories: Histories) -> int:
    now = dict(zip(histories.item_ids, histories.count_popularity().tolist(), strict=True))
    counts = zip(bundle.item_ids, bundle.items["training_interactions"].to_list(), strict=True)
    gaps = np.array([earlier - now[item] for item, earlier in counts if item in now], dtype=np.int64)
    return int(gaps[gaps > 0].sum())


def _check_bundle(bundle: Bundle, settings: Settings) -> ProductionBundle:
    if difference := explain_other_content(bundle, settings.content):
        raise BundleError(
            f"The model in production was trained on other content vectors: {difference}.",
            where=f"bundle {bundle.version}",
            fix="use the encoder and the prompt that it was trained with, or leave out `--production`",
        )
    return ProductionBundle(bundle.folder.absolute(), bundle.version)
