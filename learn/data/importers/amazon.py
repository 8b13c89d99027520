"""The raw Amazon review files of 2014, 2018 and 2023, streamed into the contract's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from rich.console import Console

from learn.data.importers.amazon_layouts import (
    Layout,
    Record,
    interaction,
    item_fields,
    item_id,
    metadata_layout,
    metadata_object,
    review_layout,
)
from learn.data.importers.progress import watched
from learn.data.importers.row_groups import RowWriter
from learn.data.importers.summary import ImportSummary, keep_known, staged_import
from learn.data.json_lines import bad_line, json_object, numbered_lines
from learn.data.tables import ITEMS_FILE
from learn.errors import DataError

_INTERACTION_TYPES: dict[str, pa.DataType] = {
    "user_id": pa.string(),
    "item_id": pa.string(),
    "timestamp": pa.float64(),
    "rating": pa.float64(),
}
_ITEM_TYPES: dict[str, pa.DataType] = {
    "item_id": pa.string(),
    "title": pa.string(),
    "brand": pa.string(),
    "category": pa.string(),
    "price": pa.float64(),
    "attributes": pa.string(),
    "description": pa.string(),
}


@dataclass(frozen=True)
class _Reviews:
    item_ids: set[str]
    rows: int
    low_ratings: int


@dataclass(frozen=True)
class _Metadata:
    layout: Layout
    items: int
    repeated: int
    unnamed: int
    unused: int


def import_amazon(
    reviews: Path,
    metadata: Path,
    out: Path,
    *,
    layout: Literal["auto", "2014", "2018", "2023"] = "auto",
    rating_at_least: float | None = None,
    keep_unreviewed: bool = False,
    console: Console | None = None,
) -> ImportSummary:
    """Turn a review file and its metadata file into ``items.parquet`` and ``interactions.parquet``.

    Each file is read once, line by line; memory holds the item ids and one row group, whatever the files' sizes.

    Args:
        reviews: JSON Lines, plain or compressed (``.gz``, ``.zst``).
        metadata: The same for the items; the 2014 files hold Python literals, which are read too.
        out: Folder for the two tables.
        layout: Layout of the files; ``auto`` tells it by the first records.
        rating_at_least: Leave out reviews below this rating; ``None``: keep all.
        keep_unreviewed: Keep items that no (kept) review names.
        console: Where the progress is shown; by default standard error.

    Raises:
        DataError: A file is missing, cut off or of another layout, or a line cannot be read; it names file and line.
        StorageError: The disk is full or ``out`` cannot be written.
    """
    console = console or Console(stderr=True)
    with staged_import(out) as stage:
        unfiltered = stage / "reviews.parquet"
        seen = _read_reviews(reviews, unfiltered, layout=layout, rating_at_least=rating_at_least, console=console)
        wanted = None if keep_unreviewed else seen.item_ids
        items = _read_metadata(metadata, stage / ITEMS_FILE, layout=layout, wanted=wanted, console=console)
        interactions = keep_known(unfiltered, stage)
    return ImportSummary(
        folder=out,
        layout=f"Amazon {items.layout}",
        items=items.items,
        interactions=interactions,
        repeated_items=items.repeated,
        unnamed_items=items.unnamed,
        unused_items=items.unused,
        low_ratings=seen.low_ratings,
        unknown_items=seen.rows - interactions,
    )


def _read_reviews(
    path: Path, target: Path, *, layout: str, rating_at_least: float | None, console: Console
) -> _Reviews:
    item_ids: set[str] = set()
    low_ratings = 0
    expected = None if layout == "auto" else "2023" if layout == "2023" else "2018"
    with RowWriter(target, pa.schema(_INTERACTION_TYPES)) as writer:
        for found, record in _records(path, json_object, review_layout, expected, console):
            row = interaction(record, found)
            rating = row[3]
            if rating_at_least is not None and (rating is None or rating < rating_at_least):
                low_ratings += 1
                continue
            if row[1] is not None:
                item_ids.add(row[1])
            writer.write(row)
        return _Reviews(item_ids=item_ids, rows=writer.written, low_ratings=low_ratings)


def _read_metadata(path: Path, target: Path, *, layout: str, wanted: set[str] | None, console: Console) -> _Metadata:
    def parse(line: bytes) -> Record:
        return metadata_object(line, literals=layout in {"auto", "2014"})

    written: set[str] = set()
    unused: set[str] = set()
    repeated = unnamed = 0
    found: Layout = "2018"
    with RowWriter(target, pa.schema(_ITEM_TYPES)) as writer:
        for found, record in _records(path, parse, metadata_layout, None if layout == "auto" else layout, console):
            name = item_id(record, found)
            if name is None:
                unnamed += 1
            elif name in written or name in unused:
                repeated += 1
            elif wanted is not None and name not in wanted:
                unused.add(name)
            else:
                written.add(name)
                writer.write((name, *item_fields(record, found)))
    return _Metadata(layout=found, items=len(written), repeated=repeated, unnamed=unnamed, unused=len(unused))


def _records(
    path: Path,
    parse: Callable[[bytes], Record],
    tell: Callable[[Record], Layout | None],
    expected: str | None,
    console: Console,
) -> Iterator[tuple[Layout, Record]]:
    """Yield each record with the file's layout, which its first record tells."""
    layout: Layout | None = None
    with watched(path, console=console) as raw:
        for number, line in numbered_lines(path, raw=raw):
            try:
                record = parse(line)
            except ValueError as fault:
                raise bad_line(path, number, line, str(fault)) from fault
            if layout is None:
                layout = _checked(tell(record), expected, record, path)
            yield layout, record
    if layout is None:
        raise DataError("The file holds no record.", where=path, fix="copy or download it again")


def _checked(found: Layout | None, expected: str | None, record: Record, path: Path) -> Layout:
    if found is None:
        fields = ", ".join(f"`{name}`" for name in list(record)[:12])
        raise DataError(
            f"The first record is of no known Amazon layout; its fields are {fields}.",
            where=f"{path}, line 1",
            fix="check that `--reviews` and `--metadata` are not swapped",
        )
    if expected is not None and (found == "2023") != (expected == "2023"):
        raise DataError(
            f"The first record is of the layout {found}, not {expected}.",
            where=f"{path}, line 1",
            fix="leave `--format` out, and the layout is told by the records",
        )
    # Where the person says 2014 or 2018, a first record without a telling field does not overrule it.
    return next((layout for layout in ("2014", "2018", "2023") if layout == expected), found)
