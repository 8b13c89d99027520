"""The further columns of a table as plain values: text, number, boolean or date."""

from __future__ import annotations

import polars as pl

TEXTS = frozenset({"title", "brand", "category", "description", "keywords", "attributes", "event"})
"""Columns that are text, whatever they hold."""


def to_plain_value(column: pl.Expr, dtype: pl.DataType, *, name: str) -> pl.Expr:
    """Return a further column as text, number, boolean or date; lists of texts are joined.

    Args:
        column: The column.
        dtype: Its type; of records nothing is known here, see :mod:`learn.data.readable`.
        name: Its name in the contract.
    """
    if isinstance(dtype, pl.List):
        # A vector, which no reader understands, stays one.
        return column if dtype.inner == pl.Float64 else _join_texts(column)
    if isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null)) or name in TEXTS:
        return column.cast(pl.String)
    if isinstance(dtype, pl.Decimal):
        return column.cast(pl.Float64 if dtype.scale else pl.Int64)
    return column


def _join_texts(column: pl.Expr) -> pl.Expr:
    filled = column.list.eval(pl.element().filter(pl.element().str.contains(r"\S")))
    return pl.when(filled.list.len() > 0).then(filled.list.join(", "))
