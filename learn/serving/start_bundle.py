"""The bundle that a training starts from: checked before any work, read when the towers are trained.

from learn.serving.start_bundle import check_start, read_start, refuse_seen_windows
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from learn.alignment.warm_start import WarmStart, refuse_other_towers
from learn.config import ContentSettings, Settings
from learn.data.histories import Histories
from learn.errors import BundleError
from learn.serving.bundle import Bundle, read_bundle
from learn.serving.earlier_bundle import other_content, read_unchanged, same_items, shown_moment, trained_rows
from learn.serving.summary import StartBundle

_ANEW = "leave `--init-from` out and train anew"


def check_start(folder: Path, *, settings: Settings) -> StartBundle:
    """Check, before any work is done, that a training with these settings can start from a bundle.

    Raises:
        BundleError: It is no bundle, it is damaged, its towers have another shape, or its content vectors come from
            another encoder.
        EncoderError: The encoder of the settings cannot be had.
    """
    bundle = read_bundle(folder)
    refuse_other_towers(_warm_start(bundle, rows={}, same_shop=True), settings.towers)
    _refuse_other_content(bundle, settings.content)
    return StartBundle(folder.absolute(), bundle.version)


def read_start(start: StartBundle, *, tables: Path) -> WarmStart:
    """Read the weights to start from, with the rows of the ID table that belong to items of this data.

    Args:
        start: What :func:`check_start` gave.
        tables: Folder of the valid tables.

    Raises:
        BundleError: The bundle was damaged or replaced since it was checked.
    """
    bundle = read_unchanged(start.folder, version=start.version)
    same_shop = same_items(bundle, tables)
    known = same_shop and bundle.towers.id_table is not None
    return _warm_start(bundle, rows=trained_rows(bundle) if known else {}, same_shop=same_shop)


def refuse_seen_windows(start: StartBundle, histories_folder: Path, *, tables: Path) -> None:
    """Refuse a bundle that was trained on what this run measures by.

    Raises:
        BundleError: Its training window reaches into this run's validation window, or may do so because the data was
            split in another way. Another data set's windows do not matter.
    """
    bundle = read_unchanged(start.folder, version=start.version)
    earlier: dict[str, Any] = bundle.manifest.split
    now = Histories.open(histories_folder).split
    if not earlier or not same_items(bundle, tables):
        return
    where = f"bundle {start.version}"
    if earlier["method"] != now["method"]:
        raise BundleError(
            f"The bundle was trained on a split `{earlier['method']}`, this run splits `{now['method']}`: the start "
            "weights may have seen what this run validates and tests on.",
            where=where,
            fix=f"use `--split {earlier['method']}`, or {_ANEW}",
        )
    if now["method"] == "by_date" and earlier["validation_from"] > now["validation_from"]:
        ended, begins = (shown_moment(split["validation_from"]) for split in (earlier, now))
        raise BundleError(
            f"The bundle was trained on interactions up to {ended}, and this run validates from {begins} on: the start "
            "weights have seen what it would be measured by.",
            where=where,
            fix=f"start from an earlier bundle, set `split.validation_from` to {ended} or later, or {_ANEW}",
        )


def _warm_start(bundle: Bundle, *, rows: dict[str, int], same_shop: bool) -> WarmStart:
    return WarmStart(
        parent=bundle.version,
        towers=bundle.towers,
        weights_sha256=bundle.manifest.weights_sha256,
        id_rows=rows,
        temperature=bundle.manifest.temperature,
        same_shop=same_shop,
    )


def _refuse_other_content(bundle: Bundle, settings: ContentSettings) -> None:
    if difference := other_content(bundle, settings):
        raise BundleError(
            f"The start weights read other content vectors: {difference}.",
            where=f"bundle {bundle.version}",
            fix=f"take the encoder and the prompt that the bundle was trained with, or {_ANEW}",
        )
