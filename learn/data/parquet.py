"""Parquet: open a file with a column of any type, each as text, number, boolean, date, list of texts or vector."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from learn.data.formats import explain_unreadable, list_engine_faults, prefer_system_fault
from learn.data.json_columns import VECTOR_NUMBERS
from learn.data.readable import iterate_leaves, to_readable_text
from learn.data.values import TEXTS
from learn.errors import DataError

_BATCH_ROWS = 65_536
_INT64_DIGITS = 18
# Ids and timestamps have their own rules.
_READ_ELSEWHERE = frozenset({"user_id", "item_id", "timestamp"})
_ANOTHER_TYPE = "store the column as another type, or give it another name"


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file, and its name in messages.

    Attributes:
        path: The file.
        named: The person's own file, where ``path`` is an unpacked copy of it.
    """

    path: Path
    named: Path

    def open(self) -> pq.ParquetFile:
        """Open the file.

        Raises:
            DataError: It is cut off or damaged.
        """
        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as fault:
            raise self._explain_damage(fault) from fault

    def iterate_batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches.

        Raises:
            DataError: The file is cut off or damaged.
        """
        try:
            yield from self.open().iter_batches(_BATCH_ROWS, columns=columns)
        except (pa.ArrowException, OSError) as fault:
            raise self._explain_damage(fault) from fault

    def iterate_column(self, name: str) -> Iterator[pa.Array[Any]]:
        """Yield one column in pieces."""
        for batch in self.iterate_batches([name]):
            yield batch.column(0)

    def _explain_damage(self, fault: Exception) -> Exception:
        damage = explain_unreadable(fault, self.named)
        return prefer_system_fault(fault, damage) if isinstance(fault, OSError) else damage


def merge_parts(folder: Path, copy: Path) -> Path:
    """Write the Parquet parts of a folder as one file, ``day=2024-01-01`` in a folder's name as a column ``day``.

    Parts may lack columns that others have. Files whose names begin with ``_`` or ``.`` are no parts.

    Returns:
        ``copy``.

    Raises:
        DataError: A part is cut off or damaged, or two parts store a column in types that have nothing in common.
    """
    try:
        parts = _open_parts(folder)
        with pq.ParquetWriter(copy, parts.schema, compression="zstd") as writer:
            for batch in parts.to_batches(batch_size=_BATCH_ROWS):
                writer.write_batch(batch)
        written = pq.read_metadata(copy).num_rows
        rows = sum(pq.read_metadata(part).num_rows for part in parts.files)
    except (pa.ArrowException, OSError) as fault:
        damage = explain_unreadable(fault, folder)
        raise (prefer_system_fault(fault, damage) if isinstance(fault, OSError) else damage) from fault
    if written != rows:
        raise DataError(
            f"The parts hold {rows:,} rows, but {written:,} were read.",
            where=folder,
            fix="see that no other program writes to the folder just now",
        )
    return copy


def _open_parts(folder: Path) -> ds.FileSystemDataset:
    parts = ds.dataset(folder, format="parquet", partitioning="hive")
    schemas = [ds.dataset(part, format="parquet", partitioning=None).schema for part in parts.files]
    schema = pa.unify_schemas([parts.schema, *schemas], promote_options="permissive")
    return ds.dataset(folder, schema=schema, format="parquet", partitioning="hive")


def list_part_names(folder: Path) -> list[str]:
    """Return the names of the columns of a folder of Parquet parts.

    Raises:
        DataError: A part is cut off or damaged.
    """
    try:
        return list(_open_parts(folder).schema.names)
    except (pa.ArrowException, OSError) as fault:
        damage = explain_unreadable(fault, folder)
        raise (prefer_system_fault(fault, damage) if isinstance(fault, OSError) else damage) from fault


def read_column_names(source: ParquetSource) -> list[str]:
    """Return the names of a file's columns, in order.

    Raises:
        DataError: The file is damaged, or two columns have one name.
    """
    names = source.open().schema_arrow.names
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise DataError(f"Two columns are both named `{twice}`.", where=source.named, fix="give each its own name")
    return list(names)


def convert_columns(source: ParquetSource, copy: Path, *, arranged: Mapping[str, str]) -> Path:
    """Write a copy of a file in which every column can be read as a plain value; most files need none.

    Args:
        source: The file.
        copy: Where the copy is written if it is needed.
        arranged: Name in the contract -> name in the file.

    Returns:
        The copy, or the file itself.

    Raises:
        DataError: No text or number can be made of a column; it names the column and its type.
    """
    schema = source.open().schema_arrow
    targets: dict[str, pa.DataType] = {}
    for name, column in arranged.items():
        target = _choose_type(source, schema.field(column), contract_name=name)
        if target is not None:
            targets[column] = target
    if not targets:
        return source.path
    written = pa.schema([field.with_type(targets.get(field.name, field.type)).remove_metadata() for field in schema])
    with pq.ParquetWriter(copy, written, compression="zstd") as writer:
        for batch in source.iterate_batches():
            arrays = [
                _convert(source, field, array, targets[field.name]) if field.name in targets else array
                for field, array in zip(schema, batch.columns, strict=True)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=written))
    return copy


def explain_parquet_fault(fault: Exception, source: ParquetSource) -> DataError:
    """Say what of a file cannot be read: the file as a whole is damaged, or one column is at fault."""
    try:
        schema = source.open().schema_arrow
        row = 0
        for batch in source.iterate_batches():
            for field, array in zip(schema, batch.columns, strict=True):
                try:
                    array.validate(full=True)
                except pa.ArrowInvalid:
                    return DataError(
                        f"The column `{field.name}` ({field.type}) holds text that is not UTF-8.",
                        where=f"{source.named}, data rows {row:,} to {row + batch.num_rows - 1:,}",
                        fix="write the table again with the text as UTF-8",
                    )
            row += batch.num_rows
    except DataError as found:
        return found
    for field in schema:
        try:
            pl.scan_parquet(source.path, glob=False).select(pl.nth(schema.names.index(field.name)).len()).collect()
        except list_engine_faults() as refused:
            return DataError(
                f"The column `{field.name}` ({field.type}) cannot be read: {refused}.",
                where=source.named,
                fix=_ANOTHER_TYPE,
            )
    return DataError(
        f"The table cannot be read: {fault}.", where=source.named, fix="export it again with plain columns"
    )


def _choose_type(source: ParquetSource, field: pa.Field[Any], *, contract_name: str) -> pa.DataType | None:
    """Return what a column is to be written as, or None if Polars reads it as it is."""
    kind = field.type
    if isinstance(kind, pa.UuidType):
        return pa.string()
    if contract_name in _READ_ELSEWHERE:
        return None
    is_text = contract_name in TEXTS
    stored = _unwrap(kind)
    if pa.types.is_decimal256(stored):
        return pa.string() if is_text else pa.float64()
    if _is_binary(stored):
        return _choose_binary_type(source, field, kind, is_text=is_text)
    if isinstance(stored, (pa.Decimal32Type, pa.Decimal64Type, pa.Decimal128Type)):
        return _choose_decimal_type(source, field, scale=stored.scale, precision=stored.precision)
    if pa.types.is_duration(stored) or pa.types.is_float16(stored):
        return pa.float64()
    if pa.types.is_time(stored):
        return pa.string()
    if _is_list(stored):
        return _choose_list_type(source, field, stored, is_text=is_text)
    if pa.types.is_nested(stored) or isinstance(kind, pa.JsonType):
        return pa.string()
    return stored if isinstance(kind, pa.BaseExtensionType) else None


def _unwrap(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return _unwrap(kind.storage_type)
    return _unwrap(kind.value_type) if pa.types.is_dictionary(kind) else kind


def _is_list(kind: pa.DataType) -> TypeGuard[pa.ListType[Any]]:
    # All kinds of lists have a type of values.
    return isinstance(
        kind, (pa.ListType, pa.LargeListType, pa.FixedSizeListType, pa.ListViewType, pa.LargeListViewType)
    )


def _is_binary(kind: pa.DataType) -> bool:
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _choose_binary_type(
    source: ParquetSource, field: pa.Field[Any], kind: pa.DataType, *, is_text: bool
) -> pa.DataType:
    for array in source.iterate_column(field.name):
        try:
            _decode(array)
        except (UnicodeDecodeError, pa.ArrowInvalid) as fault:
            if is_text:
                raise DataError(
                    f"The column `{field.name}` holds bytes ({kind}, binary) that are no UTF-8 text.",
                    where=source.named,
                    fix="store the column as text in UTF-8, or give it another name",
                ) from fault
            # Pictures and the like: kept, and read by nobody.
            return pa.binary()
    return pa.string()


def _choose_decimal_type(
    source: ParquetSource, field: pa.Field[Any], *, scale: int, precision: int
) -> pa.DataType | None:
    if scale > 0 or precision <= _INT64_DIGITS:
        return None
    # Databases write every integer as decimal(38, 0): what counts is how long they are.
    for array in source.iterate_column(field.name):
        try:
            array.cast(pa.int64())
        except pa.ArrowInvalid:
            return pa.string()
    return None


def _choose_list_type(
    source: ParquetSource, field: pa.Field[Any], kind: pa.DataType, *, is_text: bool
) -> pa.DataType | None:
    inner = kind
    while _is_list(inner):
        inner = _unwrap(inner.value_type)
    if pa.types.is_nested(inner):
        return pa.string()
    if kind in {pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.large_list(pa.string())}:
        return None
    is_number = pa.types.is_floating(inner) or pa.types.is_integer(inner) or pa.types.is_decimal(inner)
    if is_number and _is_vector(source, field, kind):
        if is_text:
            raise DataError(
                f"The column `{field.name}` ({kind}) holds vectors, not text.",
                where=source.named,
                fix="give the column another name, or map a column of text in its place",
            )
        return pa.list_(pa.float64())
    return pa.list_(pa.string())


def _is_vector(source: ParquetSource, field: pa.Field[Any], kind: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type):
        return True
    return any(
        len(list(iterate_leaves(cell))) > VECTOR_NUMBERS
        for array in source.iterate_column(field.name)
        for cell in array.to_pylist()
        if cell is not None
    )


def _convert(source: ParquetSource, field: pa.Field[Any], array: pa.Array[Any], target: pa.DataType) -> pa.Array[Any]:
    try:
        return _convert_array(array, target)
    except (ValueError, pa.ArrowException) as fault:
        # Bytes and texts that are no UTF-8 are errors of a value too.
        raise DataError(
            f"No text can be made of the column `{field.name}` ({field.type}): {fault}.",
            where=source.named,
            fix=_ANOTHER_TYPE,
        ) from fault


def _convert_array(array: pa.Array[Any], target: pa.DataType) -> pa.Array[Any]:
    if isinstance(array.type, pa.JsonType):
        return pa.array([None if cell is None else to_readable_text(json.loads(cell)) for cell in array.to_pylist()])
    if isinstance(array, pa.ExtensionArray) and not isinstance(array.type, pa.UuidType):
        return _convert_array(array.storage, target)
    if isinstance(array, pa.DictionaryArray):
        return _convert_array(array.dictionary_decode(), target)
    if _is_binary(array.type):
        return array.cast(target) if pa.types.is_binary(target) else _decode(array)
    if pa.types.is_duration(array.type):
        ticks = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[array.type.unit]
        return pc.divide(array.cast(pa.int64()).cast(pa.float64(), safe=False), ticks)
    if pa.types.is_list(target):
        return pa.array([_list_leaves(cell, target.value_type) for cell in array.to_pylist()], target)
    if target == pa.string():
        return pa.array([to_readable_text(cell) for cell in array.to_pylist()], target)
    if pa.types.is_decimal(array.type):
        # Arrow's own way from a decimal to a float is off in the last digit.
        array = array.cast(pa.string())
    return array.cast(target)


def _list_leaves(cell: list[object] | None, kind: pa.DataType) -> list[object] | None:
    if cell is None:
        return None
    leaves = list(iterate_leaves(cell))
    if pa.types.is_floating(kind):
        return [None if leaf is None else float(leaf) for leaf in leaves]  # type: ignore[arg-type]
    return [text for leaf in leaves if (text := to_readable_text(leaf)) and not text.isspace()] or None


def _decode(array: pa.Array[Any]) -> pa.Array[Any]:
    if pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.binary())
    decoded = array.cast(pa.string())
    decoded.validate(full=True)
    return decoded
