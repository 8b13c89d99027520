"""The catalogue of a service at one time: the bundle's items and the changes at run time, with columns to filter
by.

A catalogue never changes. A change makes a new one, which shares everything that stayed, so an answer in progress goes
on with the old one. Each filter column is turned into numbers once.

Shape legend: n items of the bundle, m changed items with their own vectors, W width of inputs, D width of vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.registry import Bundle
from learn.retrieval import AppendableMatrix

Cell = str | bool | int | float | list[str] | None
"""A value that an item may have in one column."""

LONG_TEXT_CHARACTERS = 100
"""A text column longer than this on average is prose, by which nobody filters."""

_SEPARATOR = "\x1f"
_NOTHING = 0

Key = str | bool | tuple[str, ...]


@dataclass(frozen=True)
class AnyOf:
    """Items that hold one of these values; in a column of lists, items whose list holds one of them."""

    values: tuple[str | bool | int | float, ...]


@dataclass(frozen=True)
class Between:
    """Items whose number is in a range, both ends included; ``None`` leaves an end open."""

    minimum: float | None = None
    maximum: float | None = None


Condition = AnyOf | Between


class UnfitConditionError(ValueError):
    """A condition that this kind of column cannot answer; its text says why."""


@dataclass(frozen=True)
class LabelColumn:
    """A column of texts, of flags, or of lists of texts.

    Attributes:
        kind: Which of them.
        codes: (n,) int32: number of each item's cell; 0 where it holds nothing.
        keys: Number of each distinct cell.
        codes_of: Numbers of the cells that hold a value.
    """

    kind: Literal["text", "flag", "list"]
    codes: NDArray[np.int32]
    keys: dict[Key, int]
    codes_of: dict[str | bool, tuple[int, ...]]

    def matches(self, condition: Condition) -> NDArray[np.bool_]:
        """Return (n,) bool: which items fulfil a condition; those that hold nothing never do.

        Raises:
            UnfitConditionError: The condition requests another kind of value.
        """
        if isinstance(condition, Between):
            raise UnfitConditionError("it holds no numbers, so it has no range: give a list of values")
        wanted = bool if self.kind == "flag" else str
        if any(type(value) is not wanted for value in condition.values):
            raise UnfitConditionError(f"its values are {'true and false' if self.kind == 'flag' else 'texts'}")
        chosen = np.zeros(len(self.keys) + 1, dtype=np.bool_)
        for value in condition.values:
            chosen[list(self.codes_of.get(cast("str | bool", value), ()))] = True
        found: NDArray[np.bool_] = chosen[self.codes]
        return found

    def takes(self, cell: Cell) -> bool:
        """Return whether a cell is of this column's kind; a text counts as a list of one."""
        return cell is None or _detect_kind(cell) in {self.kind, "text" if self.kind == "list" else self.kind}

    def replace_cells(self, cells: Mapping[int, Cell], *, count: int) -> LabelColumn:
        """Return the column of ``count`` items with some cells changed; new items have no value."""
        codes = _extend(self.codes, count, _NOTHING)
        keys, codes_of = dict(self.keys), dict(self.codes_of)
        for row, cell in cells.items():
            listed = [cell] if self.kind == "list" and isinstance(cell, str) else cell
            key = _normalise_key(listed) if self.takes(listed) else None
            if key is None:
                codes[row] = _NOTHING
                continue
            if key not in keys:
                keys[key] = len(keys) + 1
                _note(codes_of, key, keys[key])
            codes[row] = keys[key]
        return LabelColumn(self.kind, codes, keys, codes_of)


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers.

    Attributes:
        numbers: (n,) float64; NaN where an item holds none.
    """

    numbers: NDArray[np.float64]
    kind: Literal["number"] = "number"

    def matches(self, condition: Condition) -> NDArray[np.bool_]:
        """Return (n,) bool: which items fulfil a condition; those that hold nothing never do.

        Raises:
            UnfitConditionError: The condition requests texts or flags.
        """
        if isinstance(condition, AnyOf):
            if any(type(value) not in (int, float) for value in condition.values):
                raise UnfitConditionError("its values are numbers")
            return np.isin(self.numbers, np.array(condition.values, dtype=np.float64))
        least = -np.inf if condition.minimum is None else condition.minimum
        most = np.inf if condition.maximum is None else condition.maximum
        return (self.numbers >= least) & (self.numbers <= most)

    def takes(self, cell: Cell) -> bool:
        """Return whether a cell is of this column's kind."""
        return cell is None or _detect_kind(cell) == "number"

    def replace_cells(self, cells: Mapping[int, Cell], *, count: int) -> NumberColumn:
        """Return the column of ``count`` items with some cells changed; new items have no value."""
        numbers = _extend(self.numbers, count, np.nan)
        for row, cell in cells.items():
            numbers[row] = cell if self.takes(cell) and cell is not None else np.nan
        return replace(self, numbers=numbers)


Column = LabelColumn | NumberColumn


def read_columns(items: pl.DataFrame, *, without: Collection[str]) -> dict[str, Column]:
    """Return the columns of a catalogue that can be filtered by: flags, numbers, short texts and lists of texts."""
    columns: dict[str, Column] = {}
    for series in items:
        if series.name not in without and (column := _read(series)) is not None:
            columns[series.name] = column
    return columns


def make_column(cell: Cell, *, count: int) -> Column | None:
    """Return a column of ``count`` items that hold nothing, of the kind of a cell; None if it is prose."""
    kind = _detect_kind(cell)
    if kind == "number":
        return NumberColumn(np.full(count, np.nan))
    if kind is None or (isinstance(cell, str) and len(cell) > LONG_TEXT_CHARACTERS):
        return None
    return LabelColumn(kind, np.zeros(count, dtype=np.int32), {}, {})


def is_prose(series: pl.Series) -> bool:
    """Return whether a column contains long texts, or lists of them."""
    texts = series.explode() if series.dtype == pl.List(pl.String) else series
    mean = texts.str.len_chars().mean() if texts.dtype == pl.String else None
    return isinstance(mean, float) and mean > LONG_TEXT_CHARACTERS


def _read(series: pl.Series) -> Column | None:
    if series.dtype.is_numeric():
        return NumberColumn(series.cast(pl.Float64).fill_null(np.nan).to_numpy().copy())
    if series.dtype == pl.Boolean:
        return _build_label_column(series, "flag", lambda key: cast("bool", key))
    if series.dtype == pl.String and not is_prose(series):
        return _build_label_column(series, "text", lambda key: cast("str", key))
    if series.dtype == pl.List(pl.String) and not is_prose(series):
        return _build_label_column(
            series.list.join(_SEPARATOR, ignore_nulls=True), "list", lambda key: _split_parts(cast("str", key))
        )
    return None


def _build_label_column(
    series: pl.Series, kind: Literal["text", "flag", "list"], key_of: Callable[[Any], Key]
) -> LabelColumn:
    distinct = series.drop_nulls().unique(maintain_order=True)
    numbers = pl.Series(range(1, len(distinct) + 1), dtype=pl.Int32)
    codes = series.replace_strict(distinct, numbers, default=_NOTHING, return_dtype=pl.Int32)
    keys = {key_of(key): code for code, key in enumerate(distinct.to_list(), start=1)}
    codes_of: dict[str | bool, tuple[int, ...]] = {}
    for key, code in keys.items():
        _note(codes_of, key, code)
    return LabelColumn(kind, codes.fill_null(_NOTHING).to_numpy().copy(), keys, codes_of)


def _note(codes_of: dict[str | bool, tuple[int, ...]], key: Key, code: int) -> None:
    for value in dict.fromkeys(key) if isinstance(key, tuple) else (key,):
        codes_of[value] = (*codes_of.get(value, ()), code)


def _detect_kind(cell: Cell) -> Literal["text", "flag", "list", "number"] | None:
    match cell:
        case bool():
            return "flag"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case _:
            return None


def _normalise_key(cell: Cell) -> Key | None:
    match cell:
        case bool() | str():
            return cell
        case list():
            return tuple(cell)
        case _:
            return None


def _split_parts(joined: str) -> tuple[str, ...]:
    return tuple(joined.split(_SEPARATOR)) if joined else ()


def _extend(array: NDArray[Any], count: int, fill: float) -> NDArray[Any]:
    grown = np.full(count, fill, dtype=array.dtype)
    grown[: len(array)] = array
    return grown


_NO_FILTER = frozenset({"item_id", "title"})


@dataclass(frozen=True)
class ItemChange:
    """The current state of one changed item.

    Attributes:
        item_id: The item.
        cells: All its columns, including unchanged ones; None: it was deleted.
        read: (W,) float32 input of the user tower, and
        vector: (D,) float32 vector that users are compared with; both None: those of the bundle are used.
    """

    item_id: str
    cells: Mapping[str, Cell] | None
    read: NDArray[np.float32] | None = None
    vector: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Catalogue:
    """The items at one time, in rows: the bundle's first, then changed ones with their own vectors.

    Attributes:
        ids: Item ids by row.
        titles: Titles by row; None for items without one.
        rows: The row of each item that may be recommended or read.
        bundled_rows: The original row of each item of the bundle, even if it was changed or deleted.
        columns: Columns that can be filtered by.
        inputs: (n + m, W) inputs of the user tower.
        vectors: (n + m, D) vectors that users are compared with.
        lengths: (n + m,) lengths of the vectors.
        recent: (n + m,) interactions in the last window.
        training: (n + m,) interactions in the training part.
        gone: Rows without an item: deleted, or replaced by another row.
    """

    ids: list[str]
    titles: list[str | None]
    rows: dict[str, int]
    bundled_rows: dict[str, int]
    columns: dict[str, Column]
    inputs: AppendableMatrix
    vectors: AppendableMatrix
    lengths: NDArray[np.float32]
    recent: NDArray[np.int64]
    training: NDArray[np.int64]
    gone: NDArray[np.int64]

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Catalogue:
        """Return the catalogue of a bundle."""
        # Each answer reads all vectors, so they are copied into memory; of the inputs it reads only a few rows.
        vectors = np.array(bundle.item_vectors, order="C")
        ids = bundle.item_ids
        recent, training = count_popularity(bundle.items)
        rows = {item_id: row for row, item_id in enumerate(ids)}
        return cls(
            ids=ids,
            titles=bundle.items["title"].cast(pl.String).to_list(),
            rows=rows,
            bundled_rows=rows,
            columns=read_columns(bundle.items, without=_NO_FILTER),
            inputs=AppendableMatrix.from_rows(bundle.item_inputs),
            vectors=AppendableMatrix.from_rows(vectors),
            lengths=measure_lengths(vectors),
            recent=recent,
            training=training,
            gone=np.empty(0, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def popularity_order(self) -> NDArray[np.int64]:
        """(items,) rows for users without history, as :func:`order_by_popularity` ranks them."""
        order = order_by_popularity(recent=self.recent, training=self.training)
        return order[~np.isin(order, self.gone)] if len(self.gone) else order

    def apply_changes(self, changes: Sequence[ItemChange]) -> Catalogue:
        """Return the catalogue after some changes, at most one per item."""
        ids, titles, rows = list(self.ids), list(self.titles), dict(self.rows)
        gone = set(self.gone.tolist())
        bundled = len(self.vectors.bundled)
        inputs, vectors = list(self.inputs.added), list(self.vectors.added)
        recent, training = list(self.recent[bundled:]), list(self.training[bundled:])
        cells: dict[int, Mapping[str, Cell]] = {}
        for change in changes:
            before = rows.pop(change.item_id, None)
            home = self.bundled_rows.get(change.item_id)
            if before is not None:
                gone.add(before)
            if change.cells is None:
                continue
            if change.vector is None or change.read is None:
                if home is None:
                    raise KeyError(change.item_id)
                row = home
            elif before is not None and before >= bundled:
                row = before
                inputs[row - bundled], vectors[row - bundled] = change.read, change.vector
            else:
                row = len(ids)
                ids.append(change.item_id)
                titles.append(None)
                inputs.append(change.read)
                vectors.append(change.vector)
                recent.append(self.recent[home] if home is not None else np.int64(0))
                training.append(self.training[home] if home is not None else np.int64(0))
            gone.discard(row)
            rows[change.item_id] = row
            title = change.cells.get("title")
            titles[row] = title if isinstance(title, str) else None
            cells[row] = change.cells
        added = AppendableMatrix(self.vectors.bundled, _stack_rows(vectors, self.vectors))
        return Catalogue(
            ids=ids,
            titles=titles,
            rows=rows,
            bundled_rows=self.bundled_rows,
            columns=_change_columns(self.columns, cells, count=len(ids)),
            inputs=AppendableMatrix(self.inputs.bundled, _stack_rows(inputs, self.inputs)),
            vectors=added,
            lengths=np.concatenate([self.lengths[:bundled], measure_lengths(added.added)]),
            recent=np.concatenate([self.recent[:bundled], np.array(recent, dtype=np.int64)]),
            training=np.concatenate([self.training[:bundled], np.array(training, dtype=np.int64)]),
            gone=np.array(sorted(gone), dtype=np.int64),
        )


def count_popularity(items: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (n,) interactions in the last window, and (n,) in the training part."""
    recent, training = (
        items[name].fill_null(0).to_numpy().astype(np.int64)
        for name in ("recent_interactions", "training_interactions")
    )
    return recent, training


def order_by_popularity(*, recent: NDArray[np.int64], training: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n,) rows, most popular in the last window first.

    Ties go to the item more popular in the whole training part, then to the lower row.
    """
    return np.lexsort((np.arange(len(recent)), -training, -recent))


def measure_lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the lengths (n,) of vectors (n, d)."""
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return lengths


def _stack_rows(rows: Sequence[NDArray[np.float32]], like: AppendableMatrix) -> NDArray[np.float32]:
    return np.stack(rows) if rows else like.bundled[:0]


def _change_columns(
    columns: Mapping[str, Column], cells: Mapping[int, Mapping[str, Cell]], *, count: int
) -> dict[str, Column]:
    known = dict(columns)
    for row_cells in cells.values():
        for name, cell in row_cells.items():
            if name not in known and name not in _NO_FILTER and (fresh := make_column(cell, count=count)) is not None:
                known[name] = fresh
    return {
        name: column.replace_cells({row: row_cells.get(name) for row, row_cells in cells.items()}, count=count)
        for name, column in known.items()
    }
