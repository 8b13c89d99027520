"""The further columns of a table as plain values: text, number, boolean or date."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

TEXTS = frozenset({"title", "brand", "category", "description", "keywords", "attributes", "event"})
"""Columns that are text, whatever they hold."""

# What can be read as a number and written back as the same text, give or take zeros at the end of a fraction.
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?$"


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


def find_number_columns(table: pl.LazyFrame, names: Sequence[str]) -> dict[str, pl.DataType]:
    """Find the text columns of a CSV table that are numbers throughout, and as what each can be read without loss.

    Leading zeros make a text: ``007`` is a code, not seven.
    """
    asked = [name for name in names if name not in TEXTS]
    if not asked:
        return {}
    columns = [pl.col(name) for name in asked]
    found = table.select(
        pl.struct(
            filled=column.is_not_null().any(),
            integer=column.str.contains(_INTEGER).all(),
            number=column.str.contains(_NUMBER).all(),
        ).alias(name)
        for name, column in zip(asked, columns, strict=True)
    ).collect(engine="streaming")
    types: dict[str, pl.DataType] = {}
    for name, (seen,) in found.to_dict(as_series=False).items():
        if seen["filled"] and seen["number"]:
            types[name] = pl.Int64() if seen["integer"] else pl.Float64()
    return types
