"""The further columns of a table as plain values: text, number, boolean or date."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

_TEXTS = ("title", "brand", "category", "description", "keywords", "attributes", "event")

# What can be read as a number and written back as the same text, give or take zeros at the end of a fraction.
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?$"


def to_plain_value(column: pl.Expr, dtype: pl.DataType, *, name: str) -> pl.Expr:
    """Return a further column as text, number, boolean or date: lists are joined, records become JSON."""
    if dtype.is_nested() or isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null)) or name in _TEXTS:
        return _to_text(column, dtype)
    return column.cast(pl.Float64) if dtype.is_decimal() else column


def _to_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Array):
        return _to_text(column.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.List):
        inner = dtype.inner() if isinstance(dtype.inner, type) else dtype.inner
        return column.list.eval(_to_text(pl.element(), inner)).list.join(", ")
    if isinstance(dtype, pl.Struct):
        # A record without fields, `{}` on every line, says nothing and has no JSON.
        return column.struct.json_encode() if dtype.fields else pl.lit(None, dtype=pl.String)
    return column.cast(pl.String)


def find_number_columns(table: pl.LazyFrame, names: Sequence[str]) -> dict[str, pl.DataType]:
    """Find the text columns of a CSV table that are numbers throughout, and as what each can be read without loss.

    Leading zeros make a text: ``007`` is a code, not seven.
    """
    asked = [name for name in names if name not in _TEXTS]
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
