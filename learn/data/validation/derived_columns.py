"""The columns that Great Expectations checks, derived batch by batch from the tables.

What needs the whole table (repeated ids, the catalogue's script, the unit of the timestamps) is collected first, in
passes over the columns concerned. A batch then gets its columns from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from learn.config import ValidationSettings
from learn.data.numbers import list_unreadable_columns
from learn.data.out_of_core import BUCKET_ROWS, iterate_buckets
from learn.data.timestamp_numbers import YEAR_2100
from learn.data.timestamps import TimestampScale
from learn.data.validation import text as text_checks
from learn.data.values import join_lists

BATCH_ROWS = 1_000_000
"""Rows checked at a time: a batch of interactions, as Polars and as pandas, stays below half a gigabyte."""


def iterate_batches(table: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Read a table in batches of :data:`BATCH_ROWS`; a table without rows gives nothing."""
    offset = 0
    while (batch := table.slice(offset, BATCH_ROWS).collect()).height:
        yield batch
        offset += batch.height


def find_repeats(
    table: pl.LazyFrame, keys: Sequence[str], *, scratch: Path, bucket_rows: int = BUCKET_ROWS
) -> pl.DataFrame:
    """Find the rows whose keys a lower row has too; rows with a null key are left out.

    Args:
        table: The rows.
        keys: Columns that are compared.
        scratch: Folder for what does not fit memory; there.
        bucket_rows: Rows compared at a time, about.

    Returns:
        Columns ``row`` and ``first_row``, both Int64.
    """
    whole = table.drop_nulls(list(keys))
    buckets = table.select(pl.len()).collect(engine="streaming").item() // bucket_rows + 1
    # Hashes first: eight bytes a row, whatever the keys; the few that meet are then compared in full. Equal ones are in
    # one bucket, so that memory holds a bucket of them and not all.
    hashes = whole.select("row", pl.struct(keys).hash().alias("hash")).with_columns(bucket=pl.col("hash") % buckets)
    met = [
        bucket.filter(pl.col("hash").is_duplicated())["row"]
        for _, bucket in iterate_buckets(hashes, scratch / "hashes", where="tables")
    ]
    suspects = pl.concat(met) if met else pl.Series("row", [], dtype=pl.Int64)
    return (
        whole.filter(pl.col("row").is_in(suspects.implode()))
        .select("row", first_row=pl.col("row").min().over(list(keys)))
        .filter(pl.col("row") != pl.col("first_row"))
        .collect()
    )


def drop_rows(table: pl.LazyFrame, rows: pl.Series) -> pl.LazyFrame:
    """Leave out the rows of these numbers, keeping the order of the others."""
    return table.filter(~pl.col("row").is_in(rows.implode()))


def blank_to_null(column: str) -> pl.Expr:
    """Return a text column with blank texts as null."""
    return pl.when(pl.col(column).str.contains(r"\S")).then(pl.col(column)).alias(column)


# --- Items -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ItemFacts:
    """What holds for the items as a whole.

    Attributes:
        repeated_ids: ``row``, ``first_row`` of every item whose id an earlier row has.
        repeated_texts: The same for items whose every text column equals an earlier row's.
        script: The script of most titles.
        text_columns: Names of the columns of text, the id apart.
        unreadable: Name of a column of numbers -> name of the column with the texts of its cells that are none.
        unused_notes: ``row`` of every item whose title begins as a staff note and that no interaction names.
    """

    repeated_ids: pl.DataFrame
    repeated_texts: pl.DataFrame
    script: str
    text_columns: tuple[str, ...]
    unreadable: dict[str, str]
    unused_notes: pl.Series


def collect_item_facts(
    items: pl.LazyFrame, interactions: pl.LazyFrame, *, settings: ValidationSettings, scratch: Path
) -> ItemFacts:
    """Look at all items once; ``scratch`` is a folder for what does not fit memory."""
    items = join_lists(items)
    schema = items.collect_schema()
    unreadable = list_unreadable_columns(schema)
    no_texts = {"item_id", *unreadable.values()}
    texts = tuple(name for name, kind in schema.items() if kind == pl.String and name not in no_texts)
    scripts = (
        items.select(script=text_checks.detect_main_script(blank_to_null("title")))
        .filter(pl.col("script") != text_checks.NO_SCRIPT)
        .group_by("script")
        .len()
        .sort(["len", "script"], descending=[True, False])
        .head(1)
        .collect(engine="streaming")["script"]
    )
    return ItemFacts(
        repeated_ids=find_repeats(items.with_columns(blank_to_null("item_id")), ["item_id"], scratch=scratch),
        repeated_texts=_find_repeated_texts(items, texts, scratch=scratch),
        script=scripts[0] if scripts.len() else text_checks.NO_SCRIPT,
        text_columns=texts,
        unreadable=unreadable,
        unused_notes=_find_unused_notes(items, interactions, starts=settings.placeholder_starts),
    )


def _find_unused_notes(items: pl.LazyFrame, interactions: pl.LazyFrame, *, starts: Sequence[str]) -> pl.Series:
    is_note = text_checks.has_note_start(blank_to_null("title"), starts=starts)
    notes = items.filter(is_note).select("row", "item_id").collect(engine="streaming")
    if notes.is_empty():
        return notes["row"]
    used = interactions.select("item_id").filter(pl.col("item_id").is_in(notes["item_id"].implode())).unique()
    return notes.join(used.collect(engine="streaming"), on="item_id", how="anti")["row"]


def _find_repeated_texts(items: pl.LazyFrame, texts: Sequence[str], *, scratch: Path) -> pl.DataFrame:
    titled = items.filter(pl.col("title").str.contains(r"\S"))
    return find_repeats(titled.with_columns(pl.col(texts).fill_null("")), texts, scratch=scratch)


def derive_item_columns(batch: pl.DataFrame, facts: ItemFacts, settings: ValidationSettings) -> pl.DataFrame:
    """Derive the columns that :func:`list_item_checks` names; one row each of the batch's."""
    batch = join_lists(batch.lazy()).collect()
    title = pl.col("title")
    is_marker = text_checks.is_placeholder(title, placeholders=settings.placeholders).fill_null(value=False)
    is_note = (
        text_checks.is_placeholder(title, placeholders=settings.staff_notes)
        | text_checks.has_note_start(title, starts=settings.placeholder_starts)
    ).fill_null(value=False)
    is_unused_note = pl.col("row").is_in(facts.unused_notes.implode())
    has_text = pl.any_horizontal(
        pl.lit(value=False),
        *(
            text_checks.has_words(pl.col(name), name=name, placeholders=settings.placeholders)
            for name in facts.text_columns
            if name != "title"
        ),
    )
    is_placeholder = (is_marker | is_unused_note) & ~has_text
    return (
        batch.with_columns(blank_to_null("item_id"), blank_to_null("title"))
        .join(facts.repeated_texts.rename({"first_row": "same_text_as"}), on="row", how="left", maintain_order="left")
        .select(
            "row",
            "item_id",
            "same_text_as",
            *facts.unreadable.values(),
            title_or_text_is_there=title.is_not_null() | has_text,
            title_characters=text_checks.measure_reading_length(title),
            title_is_markup=text_checks.is_markup(title).fill_null(value=False),
            title_is_mojibake=text_checks.is_mojibake(title).fill_null(value=False),
            title_has_stray_mark=text_checks.has_stray_mark(title).fill_null(value=False),
            title_is_placeholder=is_placeholder,
            title_is_doubtful=(is_marker | is_note | title.is_null())
            & ~is_placeholder
            & (title.is_not_null() | has_text),
            text_characters=pl.sum_horizontal(pl.col(facts.text_columns).str.len_chars().cast(pl.Int64)),
            script=text_checks.detect_main_script(title),
        )
    )


# --- Interactions ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InteractionFacts:
    """What holds for the interactions as a whole.

    Attributes:
        scale: What the timestamps are.
        earliest: Smallest timestamp that is believed, in the table's own unit; None for an order.
        latest: Largest one.
        repeated: ``row``, ``first_row`` of every interaction that an earlier row tells already.
        item_ids: Ids of all items.
        rejected_ids: Ids of the items that went to quarantine.
        has_weights: Whether the interactions have weights.
        unreadable: Name of a column of numbers -> name of the column with the texts of its cells that are none.
        keeps_repeats: Whether a repeated row may be a second piece sold on the same day, and is kept.
    """

    scale: TimestampScale
    earliest: float | None
    latest: float | None
    repeated: pl.DataFrame
    item_ids: pl.Series
    rejected_ids: pl.Series
    has_weights: bool
    unreadable: dict[str, str]
    keeps_repeats: bool


def collect_interaction_facts(
    interactions: pl.LazyFrame,
    *,
    item_ids: pl.Series,
    rejected_ids: pl.Series,
    scale: TimestampScale,
    settings: ValidationSettings,
    scratch: Path,
) -> InteractionFacts:
    """Look at all interactions once.

    Args:
        interactions: All rows.
        item_ids: Ids of all items.
        rejected_ids: Ids of the items that went to quarantine.
        scale: What the timestamps are, as decided when the table was read.
        settings: What is believed of timestamps.
        scratch: Folder for what does not fit memory; there.

    Raises:
        SettingsError: ``earliest`` or ``latest`` is no date.
    """
    earliest, latest = _compute_bounds(interactions, scale, settings) if scale.is_clock else (None, None)
    schema = interactions.collect_schema()
    names = schema.names()
    keys = [name for name in ("user_id", "item_id", "timestamp", "event") if name in names]
    known = interactions.filter(pl.col("timestamp").is_finite())
    if "event" in keys:
        known = known.with_columns(pl.col("event").cast(pl.String).fill_null(""))
    repeated = find_repeats(
        known.with_columns(blank_to_null("user_id"), blank_to_null("item_id")), keys, scratch=scratch
    )
    return InteractionFacts(
        scale,
        earliest,
        latest,
        repeated,
        item_ids,
        rejected_ids,
        has_weights="weight_text" in names,
        unreadable=list_unreadable_columns(schema),
        keeps_repeats=scale.is_clock and _may_be_pieces(known, repeated.height, scale),
    )


# Of two pieces sold on one day each has a row; a table that is exported twice repeats half of its rows.
_PIECES_SHARE = 0.3


def _may_be_pieces(interactions: pl.LazyFrame, repeats: int, scale: TimestampScale) -> bool:
    """Tell whether repeated rows may be a second piece on one day: the clock shows days, and they are not too many."""
    day = 86_400 * scale.per_second
    rows, is_daily = (
        interactions.select(rows=pl.len(), is_daily=(pl.col("timestamp") % day == 0).all())
        .collect(engine="streaming")
        .row(0)
    )
    return bool(is_daily) and repeats <= _PIECES_SHARE * rows


_BULK_SHARE = 0.95
_GAP_SECONDS = 365 * 86_400


def _compute_bounds(
    interactions: pl.LazyFrame, scale: TimestampScale, settings: ValidationSettings
) -> tuple[float, float]:
    earliest = scale.parse(settings.earliest, setting="validation.earliest")
    if not settings.latest:
        return earliest, max(earliest, find_last_moment(interactions, scale))
    latest = scale.parse(settings.latest, setting="validation.latest")
    is_whole_day = len(settings.latest) == len("2024-12-31") and settings.latest.count("-") == 2
    return earliest, latest + (86_400 * scale.per_second - 1 if is_whole_day else 0)


def find_last_moment(interactions: pl.LazyFrame, scale: TimestampScale) -> float:
    """Find where the data end and clock faults begin (2038, 2099, 9999, milliseconds among seconds), by the data.

    The day of the run decides nothing: the same data are the same rows next year. Nothing after the year 2100 is
    believed. Of what is before it, the last 5 % are looked at, as many as a run may lose by default: behind the first
    gap of more than 365 days between two neighbours are faults. Without such a gap the largest timestamp is the end.

    Args:
        interactions: All rows.
        scale: What the timestamps are.
    """
    limit = YEAR_2100 * scale.per_second
    believed = pl.col("timestamp").is_finite() & (pl.col("timestamp") < limit)
    count = interactions.select(believed.sum()).collect(engine="streaming").item() or 0
    if not count:
        return limit - 1
    # Eight bytes a row fit memory where the table does not. One array takes them all and is ordered in its own place.
    is_whole = interactions.collect_schema()["timestamp"].is_integer()
    timestamps = np.empty(count, np.int64 if is_whole else np.float64)
    filled = 0
    for batch in iterate_batches(interactions.select("timestamp")):
        kept = batch.filter(believed)["timestamp"].to_numpy()
        timestamps[filled : filled + len(kept)] = kept
        filled += len(kept)
    bulk = int((count - 1) * _BULK_SHARE)
    timestamps.partition(bulk)
    newest = np.sort(timestamps[bulk:])
    gaps = np.flatnonzero(np.diff(newest) > _GAP_SECONDS * scale.per_second)
    return newest[gaps[0] if len(gaps) else -1].item()  # type: ignore[no-any-return]


def derive_interaction_columns(batch: pl.DataFrame, facts: InteractionFacts) -> pl.DataFrame:
    """Derive the columns that :func:`learn.data.validation.expectations.list_interaction_checks` names."""
    item = pl.col("item_id")
    moment = pl.col("timestamp")
    return (
        batch.with_columns(blank_to_null("user_id"), blank_to_null("item_id"))
        .join(facts.repeated.rename({"first_row": "told_in_row"}), on="row", how="left", maintain_order="left")
        .select(
            "row",
            "user_id",
            "item_id",
            "told_in_row",
            *(["weight_text"] if facts.has_weights else []),
            *facts.unreadable.values(),
            timestamp=pl.when(moment.is_finite()).then(moment),
            item_is_known=item.is_in(facts.item_ids.implode()).fill_null(value=True),
            item_is_valid=(~item.is_in(facts.rejected_ids.implode())).fill_null(value=True),
        )
    )
