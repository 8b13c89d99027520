"""The columns of a catalogue that requests filter by, each turned into numbers once.

Shape legend: n items.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

Cell = str | bool | int | float | list[str] | None
"""What an item may hold in one column."""

LONG_TEXT_CHARACTERS = 100
"""A text column longer than this on average is prose: nobody filters by it."""

_SEPARATOR = "\x1f"
_NOTHING = 0

Key = str | bool | tuple[str, ...]


@dataclass(frozen=True)
class AnyOf:
    """Items that hold one of these values; in a column of lists, items whose list holds one of them."""

    values: tuple[str | bool | int | float, ...]


@dataclass(frozen=True)
class Between:
    """Items whose number lies in a range, both ends included; ``None`` leaves an end open."""

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
            UnfitConditionError: The condition asks for another kind of value.
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
        """Say whether a cell is of this column's kind."""
        return cell is None or _kind(cell) == self.kind

    def with_cells(self, cells: Mapping[int, Cell], *, count: int) -> LabelColumn:
        """Return the column of ``count`` items with some cells set anew; new items hold nothing."""
        codes = _grown(self.codes, count, _NOTHING)
        keys, codes_of = dict(self.keys), dict(self.codes_of)
        for row, cell in cells.items():
            key = _key(cell) if self.takes(cell) else None
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
            UnfitConditionError: The condition asks for texts or flags.
        """
        if isinstance(condition, AnyOf):
            if any(type(value) not in (int, float) for value in condition.values):
                raise UnfitConditionError("its values are numbers")
            return np.isin(self.numbers, np.array(condition.values, dtype=np.float64))
        least = -np.inf if condition.minimum is None else condition.minimum
        most = np.inf if condition.maximum is None else condition.maximum
        return (self.numbers >= least) & (self.numbers <= most)

    def takes(self, cell: Cell) -> bool:
        """Say whether a cell is of this column's kind."""
        return cell is None or _kind(cell) == "number"

    def with_cells(self, cells: Mapping[int, Cell], *, count: int) -> NumberColumn:
        """Return the column of ``count`` items with some cells set anew; new items hold nothing."""
        numbers = _grown(self.numbers, count, np.nan)
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


def column_for(cell: Cell, *, count: int) -> Column | None:
    """Return a column of ``count`` items that hold nothing, of the kind of a cell; None where it is prose."""
    kind = _kind(cell)
    if kind == "number":
        return NumberColumn(np.full(count, np.nan))
    if kind is None or (isinstance(cell, str) and len(cell) > LONG_TEXT_CHARACTERS):
        return None
    return LabelColumn(kind, np.zeros(count, dtype=np.int32), {}, {})


def is_prose(series: pl.Series) -> bool:
    """Say whether a column holds long texts."""
    mean = series.str.len_chars().mean() if series.dtype == pl.String else None
    return isinstance(mean, float) and mean > LONG_TEXT_CHARACTERS


def _read(series: pl.Series) -> Column | None:
    if series.dtype.is_numeric():
        return NumberColumn(series.cast(pl.Float64).fill_null(np.nan).to_numpy().copy())
    if series.dtype == pl.Boolean:
        return _labels(series, "flag", lambda key: cast("bool", key))
    if series.dtype == pl.String and not is_prose(series):
        return _labels(series, "text", lambda key: cast("str", key))
    if series.dtype == pl.List(pl.String):
        return _labels(series.list.join(_SEPARATOR, ignore_nulls=True), "list", lambda key: _parts(cast("str", key)))
    return None


def _labels(series: pl.Series, kind: Literal["text", "flag", "list"], key_of: Callable[[Any], Key]) -> LabelColumn:
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


def _kind(cell: Cell) -> Literal["text", "flag", "list", "number"] | None:
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


def _key(cell: Cell) -> Key | None:
    match cell:
        case bool() | str():
            return cell
        case list():
            return tuple(cell)
        case _:
            return None


def _parts(joined: str) -> tuple[str, ...]:
    return tuple(joined.split(_SEPARATOR)) if joined else ()


def _grown(array: NDArray[Any], count: int, fill: float) -> NDArray[Any]:
    grown = np.full(count, fill, dtype=array.dtype)
    grown[: len(array)] = array
    return grown
