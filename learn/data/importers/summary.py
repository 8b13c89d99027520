"""What an importer did, the folder it writes to, and rows to Parquet with a bounded buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from learn.data.formats import explain_unreadable, list_engine_faults, raise_engine_fault
from learn.data.tables import INTERACTIONS_FILE, ITEMS_FILE
from learn.errors import DataError
from learn.storage import atomic_files


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
def open_import_folder(out: Path) -> Iterator[Path]:
    """Provide a folder in ``out`` to write the two tables in; they appear there together or not at all.

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
    with atomic_files(out, names=(ITEMS_FILE, INTERACTIONS_FILE)) as stage:
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
    except list_engine_faults() as fault:
        raise_engine_fault(fault, explain_unreadable(fault, interactions))
    rows = pq.read_metadata(target).num_rows
    if rows == 0:
        raise DataError(
            "No interaction is left whose item the metadata knows.", fix="check that both files are of one data set"
        )
    return int(rows)


# Python values cost several times their Arrow form, so they are turned soon; row groups want to be larger.
_ROWS_PER_BATCH = 1_000
_TEXT_PER_BATCH = 2**20
_ROW_GROUP_BYTES = 32 * 2**20


class RowWriter:
    """Write rows to a Parquet file; memory holds one row group.

    Args:
        path: The file.
        schema: Its columns.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[Sequence[object]] = []
        self._text = 0
        self._batches: list[pa.RecordBatch] = []
        self._batch_bytes = 0
        self.written = 0

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush_to_arrow()
                self._flush_to_file()
        finally:
            self._writer.close()

    def write(self, row: Sequence[object]) -> None:
        """Add one row, its values in the schema's order."""
        self._rows.append(row)
        self._text += sum(len(value) for value in row if isinstance(value, str))
        self.written += 1
        if len(self._rows) >= _ROWS_PER_BATCH or self._text >= _TEXT_PER_BATCH:
            self._flush_to_arrow()
        if self._batch_bytes >= _ROW_GROUP_BYTES:
            self._flush_to_file()

    def _flush_to_arrow(self) -> None:
        if self._rows:
            columns = [
                pa.array(values, field.type)
                for values, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
            ]
            batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
            self._batches.append(batch)
            self._batch_bytes += batch.nbytes
            self._rows, self._text = [], 0

    def _flush_to_file(self) -> None:
        if self._batches:
            table = pa.Table.from_batches(self._batches, self._schema)
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._batches, self._batch_bytes = [], 0
