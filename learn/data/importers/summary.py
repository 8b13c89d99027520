"""What an importer did, and the place it writes to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from learn.data.faults import engine_faults, raise_engine_fault, unreadable
from learn.data.staging import staged
from learn.data.tables import INTERACTIONS_FILE, ITEMS_FILE
from learn.errors import DataError


@dataclass(frozen=True)
class ImportSummary:
    """What an importer read, wrote and left out.

    Attributes:
        folder: Folder with ``items.parquet`` and ``interactions.parquet``.
        layout: Layout that the files were read as.
        items: Items written.
        interactions: Interactions written.
        repeated_items: Further records of an item already seen; the first was kept.
        unnamed_items: Item records without an id.
        unused_items: Items that nobody interacted with, left out.
        low_ratings: Interactions below the asked rating, or without one, left out.
        unknown_items: Interactions with an item that the metadata does not know, left out.
    """

    folder: Path
    layout: str
    items: int
    interactions: int
    repeated_items: int = 0
    unnamed_items: int = 0
    unused_items: int = 0
    low_ratings: int = 0
    unknown_items: int = 0


@contextmanager
def staged_import(out: Path) -> Iterator[Path]:
    """Lend a folder in ``out`` to write the two tables in; they appear there together or not at all.

    Raises:
        DataError: ``out`` holds a table of one of the two names in another format.
        StorageError: The disk is full or ``out`` cannot be written.
    """
    mine = {ITEMS_FILE, INTERACTIONS_FILE}
    others = sorted(
        path.name
        for path in (out.iterdir() if out.is_dir() else ())
        if path.name not in mine and path.name.split(".")[0] in {"items", "interactions"}
    )
    if others:
        raise DataError(
            f"The folder already holds `{others[0]}`, which would be a second table of that name.",
            where=out,
            fix="give an empty folder",
        )
    with staged(out, names=(ITEMS_FILE, INTERACTIONS_FILE)) as stage:
        yield stage


def keep_known(interactions: Path, stage: Path) -> int:
    """Write the interactions whose item is among the staged items; return how many.

    Raises:
        DataError: None is.
    """
    target = stage / INTERACTIONS_FILE
    known = pl.scan_parquet(stage / ITEMS_FILE, glob=False).select("item_id")
    table = pl.scan_parquet(interactions, glob=False).join(known, on="item_id", how="semi", maintain_order="left")
    try:
        table.sink_parquet(target, engine="streaming")
    except engine_faults() as fault:
        raise_engine_fault(fault, unreadable(fault, interactions))
    rows = pq.read_metadata(target).num_rows
    if rows == 0:
        raise DataError(
            "No interaction is left whose item the metadata knows.", fix="check that both files are of one data set"
        )
    return int(rows)
