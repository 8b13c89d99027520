"""What a run asks of a bundle that an earlier run made: is it still the same, who are its items, what did it read?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from learn.config import ContentSettings
from learn.content import ItemPrompt, arithmetics, fingerprint_encoder, resolved
from learn.data.timestamps import timestamp_scale
from learn.errors import BundleError
from learn.serving.bundle import Bundle, read_bundle

# Shops mend titles, but not half of them: below that, equal ids are an accident of two data sets that count from 0.
_SAME_TITLES = 0.5


def read_unchanged(folder: Path, *, version: str) -> Bundle:
    """Read a bundle that was looked at before.

    Raises:
        BundleError: It was damaged or replaced since.
    """
    bundle = read_bundle(folder)
    if bundle.version != version:
        raise BundleError(
            f"The bundle was replaced while the run went on: it is now {bundle.version}, not {version}.",
            where=folder,
            fix="run the flow again",
        )
    return bundle


def other_content(bundle: Bundle, settings: ContentSettings) -> str:
    """Say how its content vectors differ from those that these settings give; empty where they do not.

    Raises:
        EncoderError: The encoder of the settings cannot be had.
    """
    prompt = ItemPrompt(settings)
    source = resolved(settings)
    accepted = (
        fingerprint_encoder(source, settings, template_version=prompt.template_version, arithmetic=each)
        for each in arithmetics(settings)
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
    said = [f"`content.{name}` is {getattr(settings, name)} here and {getattr(earlier, name)} there" for name in found]
    return ", ".join(said) or "the files of the encoder, or the wording of the prompt, are not the same"


def trained_rows(bundle: Bundle) -> dict[str, int]:
    """Return each trained item's row in what the towers learned of single items, by item id.

    Raises:
        BundleError: The towers learned of another number of items.
    """
    trained = bundle.items.filter(pl.col("training_interactions") > 0)["item_id"].to_list()
    if len(trained) != bundle.towers.id_count:
        raise BundleError(
            f"The bundle's ID table has {bundle.towers.id_count} rows for {len(trained)} trained items.",
            where=bundle.folder,
            fix="take another bundle",
        )
    return {item: row for row, item in enumerate(trained)}


def same_items(bundle: Bundle, tables: Path) -> bool:
    """Say whether equal item ids mean the same items: whether most titles are the same, too."""
    now = pl.read_parquet(tables / "items.parquet", columns=["item_id", "title"], glob=False)
    common = bundle.items.join(now, on="item_id", suffix="_now")
    same = common.select(pl.col("title").eq_missing(pl.col("title_now")).mean()).item()
    return bool(len(common)) and bool(np.greater_equal(same, _SAME_TITLES))


def shown_moment(number: float) -> str:
    """Return a cut of a split as a person reads it: a date where timestamps are a clock."""
    scale = timestamp_scale(number)
    return str(scale.moment(number)) if scale.is_clock else f"{number:g}"
