"""Rows to Parquet, one at a time, with a bounded buffer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

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
                self._to_arrow()
                self._to_file()
        finally:
            self._writer.close()

    def write(self, row: Sequence[object]) -> None:
        """Add one row, its values in the schema's order."""
        self._rows.append(row)
        self._text += sum(len(value) for value in row if isinstance(value, str))
        self.written += 1
        if len(self._rows) >= _ROWS_PER_BATCH or self._text >= _TEXT_PER_BATCH:
            self._to_arrow()
        if self._batch_bytes >= _ROW_GROUP_BYTES:
            self._to_file()

    def _to_arrow(self) -> None:
        if self._rows:
            columns = [
                pa.array(values, field.type)
                for values, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
            ]
            batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
            self._batches.append(batch)
            self._batch_bytes += batch.nbytes
            self._rows, self._text = [], 0

    def _to_file(self) -> None:
        if self._batches:
            table = pa.Table.from_batches(self._batches, self._schema)
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._batches, self._batch_bytes = [], 0
