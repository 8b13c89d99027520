"""The further columns of a table as plain values: text, number, boolean or date."""

from __future__ import annotations

import polars as pl

TEXTS = frozenset({"title", "brand", "category", "description", "keywords", "attributes", "event"})
"""Columns that are text, whatever they hold; only lists of texts stay lists, see :func:`to_plain_value`."""

_SENTENCES = frozenset({"title", "description", "event"})


def to_plain_value(column: pl.Expr, dtype: pl.DataType, *, name: str) -> pl.Expr:
    """Return a further column as text, number, boolean, date, list of texts or vector.

    Args:
        column: The column.
        dtype: Its type; of records nothing is known here, see :mod:`learn.data.readable`.
        name: Its name in the contract.
    """
    if isinstance(dtype, pl.List):
        # A vector, which no reader understands, stays one.
        if dtype.inner == pl.Float64:
            return column
        return join_list(column) if name in _SENTENCES else drop_blanks(column)
    if isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null)) or name in TEXTS:
        return column.cast(pl.String)
    if isinstance(dtype, pl.Decimal):
        return column.cast(pl.Float64 if dtype.scale else pl.Int64)
    return column


def drop_blanks(column: pl.Expr) -> pl.Expr:
    """Return a column of lists of texts without nulls and blank texts; a list that holds nothing else is null."""
    filled = column.list.eval(pl.element().filter(pl.element().str.contains(r"\S")))
    return pl.when(filled.list.len() > 0).then(filled)


def join_list(column: pl.Expr) -> pl.Expr:
    """Return a column of lists of texts as text, what is in a list joined with commas."""
    return drop_blanks(column).list.join(", ")


def join_lists(table: pl.LazyFrame) -> pl.LazyFrame:
    """Return a table with its lists of texts joined."""
    lists = [name for name, dtype in table.collect_schema().items() if dtype == pl.List(pl.String)]
    return table.with_columns(join_list(pl.col(name)) for name in lists) if lists else table
