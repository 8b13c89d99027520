"""The columns of a JSON Lines file whose values are nested or of several types, written row by row as text.

A file whose columns hold plain values of one type needs none of this: Polars reads it faster.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from learn.data.json_lines import iterate_records, parse_exact_object
from learn.data.readable import EXACT_INTEGER, JsonFloat, JsonInteger, format_number, iterate_leaves, to_readable_text

VECTOR_NUMBERS = 32
"""A list of more numbers than this is a vector: sizes, years and codes of an item are fewer, embeddings are more."""

# Rows are held until one of the two is reached, and then written: some tens of megabytes.
_PART_BYTES = 16 * 2**20
_PART_CELLS = 2_000_000

_LIST = ".list"
_INT64 = 2**63

_Cell = TypeVar("_Cell", str | None, list[str] | None)


Kind = Literal[
    "text",
    "integer",  # a float64 holds it
    "long integer",  # an int64 holds it
    "huge integer",
    "float",
    "flag",
    "list",  # of texts, numbers and flags, whatever its depth
    "vector",
    "record",  # or a list with records in it
]
"""What a column holds in some row."""


def convert_json_lines(path: Path, folder: Path) -> tuple[pl.LazyFrame, dict[str, set[Kind]]]:
    """Read a file into Parquet parts in one pass; memory holds a part, whatever the file's size.

    Args:
        path: The file.
        folder: Folder to make the parts in; made if it is not there.

    Returns:
        The table, each column as int64, float64, boolean, list of texts, list of float64 (vectors), or else text; and
        what each column holds.

    Raises:
        DataError: A line cannot be read; it is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, set[Kind]] = {}
    part = _Part()
    written: list[Path] = []
    for size, record in iterate_records(path, parse_exact_object):
        for name, value in record.items():
            found = kinds.setdefault(name, set())
            if value is not None:
                found.add(part.add(name, value))
        part.rows += 1
        part.size += size
        if part.is_full:
            written.append(part.write(folder / f"{len(written):06d}.parquet", list(kinds)))
            part = _Part()
    if part.rows or not written:
        written.append(part.write(folder / f"{len(written):06d}.parquet", list(kinds)))
    table = pl.concat([pl.scan_parquet(file, glob=False) for file in written], how="diagonal")
    there = set(table.collect_schema().names())
    columns = {
        replace_surrogates(name): _read_column(f"{place}", kind, there)
        for place, (name, kind) in enumerate(kinds.items())
    }
    return table.select(**columns), {replace_surrogates(name): kind for name, kind in kinds.items()}


class _Part:
    """Rows that are not yet written."""

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0
        self.texts: dict[str, list[str | None]] = {}
        self.lists: dict[str, list[list[str] | None]] = {}

    @property
    def is_full(self) -> bool:
        return self.size >= _PART_BYTES or self.rows * (len(self.texts) + len(self.lists)) >= _PART_CELLS

    def add(self, name: str, value: object) -> Kind:
        """Take one value of the row that is being read; return what it is."""
        kind = _detect_kind(value)
        if kind in {"list", "vector"}:
            leaves = [to_readable_text(leaf) for leaf in iterate_leaves(value)]  # type: ignore[arg-type]
            filled = [leaf for leaf in leaves if leaf and not leaf.isspace()]
            _put_cell(self.lists.setdefault(name, []), self.rows, filled or None)
            text = ", ".join(filled) or None
        else:
            text = to_readable_text(value)
        _put_cell(self.texts.setdefault(name, []), self.rows, text)
        return kind

    def write(self, path: Path, names: list[str]) -> Path:
        """Write the rows; a column is named by its place in ``names``, for a name of the file may be a pattern."""
        # A part without any column still has its rows.
        arrays: dict[str, pa.Array[Any]] = {"row": pa.nulls(self.rows, pa.int8())}
        for place, name in enumerate(names):
            if name in self.texts:
                arrays[f"{place}"] = _make_array(_pad(self.texts[name], self.rows), pa.large_string())
            if name in self.lists:
                lists = _pad(self.lists[name], self.rows)
                arrays[f"{place}{_LIST}"] = _make_array(lists, pa.large_list(pa.large_string()))
        pq.write_table(pa.table(arrays), path, compression="lz4")
        return path


def _put_cell(cells: list[_Cell], row: int, value: _Cell) -> None:
    cells.extend(cast("list[_Cell]", [None]) * (row - len(cells)))
    cells.append(value)


def _pad(cells: list[_Cell], rows: int) -> list[_Cell]:
    return cells + cast("list[_Cell]", [None]) * (rows - len(cells))


def _make_array(cells: list[str | None] | list[list[str] | None], kind: pa.DataType) -> pa.Array[Any]:
    try:
        return pa.array(cells, kind)
    except UnicodeEncodeError:
        return pa.array([_replace_cell_surrogates(cell) for cell in cells], kind)


def _replace_cell_surrogates(cell: str | list[str] | None) -> str | list[str] | None:
    if isinstance(cell, list):
        return [replace_surrogates(part) for part in cell]
    return cell if cell is None else replace_surrogates(cell)


def replace_surrogates(text: str) -> str:
    """Return a text that can be written: half of a pair of surrogates (`\\ud83d` by itself) is no letter."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _detect_kind(value: object) -> Kind:
    if isinstance(value, JsonInteger):
        return _measure_integer(value)
    if isinstance(value, JsonFloat):
        return "float" if format_number(float(value)) else "text"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "flag"
    if not isinstance(value, list):
        return "record"
    leaves = list(iterate_leaves(value))
    if any(isinstance(leaf, dict) for leaf in leaves):
        return "record"
    is_long = len(leaves) > VECTOR_NUMBERS
    return "vector" if is_long and all(isinstance(leaf, (JsonInteger, JsonFloat)) for leaf in leaves) else "list"


def _measure_integer(digits: str) -> Kind:
    if len(digits) < len(str(EXACT_INTEGER)):
        return "integer"
    # Python refuses to read integers of thousands of digits.
    if len(digits) > len(str(-_INT64)) or not -_INT64 <= int(digits) < _INT64:
        return "huge integer"
    return "integer" if abs(int(digits)) <= EXACT_INTEGER else "long integer"


def _read_column(place: str, kinds: Set[Kind], there: Set[str]) -> pl.Expr:
    if place not in there:
        return pl.lit(None, dtype=pl.String)
    column = pl.col(place)
    if kinds <= {"integer", "long integer"}:
        return column.cast(pl.Int64)
    if kinds <= {"integer", "float"}:
        return column.cast(pl.Float64)
    if kinds == {"flag"}:
        return column == "true"
    if kinds == {"vector"}:
        return pl.col(place + _LIST).cast(pl.List(pl.Float64))
    if "list" in kinds and kinds <= {"list", "text"}:
        single = pl.when(column.str.contains(r"\S")).then(pl.concat_list(column))
        return pl.coalesce(pl.col(place + _LIST), single)
    return column
