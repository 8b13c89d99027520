"""What a catalogue can be filtered by: its columns, with their commonest values.

Shape legend: n rows of the catalogue, r rows that stand for an item, c different cells of a column.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learn.serving.columns import Column, LabelColumn, NumberColumn
from learn.serving.playground.messages import ColumnSummary, CommonValue

_Rows = NDArray[np.int64]


def summarised(columns: Mapping[str, Column], rows: _Rows, *, values: int) -> list[ColumnSummary]:
    """Describe the columns of a catalogue.

    Args:
        columns: Its columns, each of n cells.
        rows: (r,) rows that stand for an item.
        values: Values wanted of each, the commonest first.

    Returns:
        One a column that holds anything, in their order.
    """
    found = [
        _numbers(name, column, rows) if isinstance(column, NumberColumn) else _labels(name, column, rows, most=values)
        for name, column in columns.items()
    ]
    return [summary for summary in found if summary.items]


def _numbers(name: str, column: NumberColumn, rows: _Rows) -> ColumnSummary:
    numbers = column.numbers[rows]  # (r,)
    held = numbers[np.isfinite(numbers)]
    return ColumnSummary(
        name=name,
        kind="number",
        items=len(held),
        distinct=None,
        values=[],
        minimum=float(held.min()) if len(held) else None,
        maximum=float(held.max()) if len(held) else None,
    )


def _labels(name: str, column: LabelColumn, rows: _Rows, *, most: int) -> ColumnSummary:
    counts = np.bincount(column.codes[rows], minlength=len(column.keys) + 1)  # (c + 1,)
    if column.kind == "list":
        items = {value: int(counts[list(codes)].sum()) for value, codes in column.codes_of.items()}
        distinct = sum(count > 0 for count in items.values())
        common = sorted(items.items(), key=lambda found: -found[1])[:most]
    else:
        # One code a value: a column of a million different texts is not walked through in Python.
        distinct = int(np.count_nonzero(counts[1:]))
        wanted = np.argsort(-counts[1:], kind="stable")[:most] + 1
        names = _named(column, {int(code) for code in wanted})
        common = [(names[int(code)], int(counts[code])) for code in wanted]
    return ColumnSummary(
        name=name,
        kind=column.kind,
        items=int(counts[1:].sum()),
        distinct=distinct,
        values=[CommonValue(value=value, items=count) for value, count in common if count],
        minimum=None,
        maximum=None,
    )


def _named(column: LabelColumn, codes: set[int]) -> dict[int, str | bool]:
    return {code: key for key, code in column.keys.items() if code in codes and not isinstance(key, tuple)}
