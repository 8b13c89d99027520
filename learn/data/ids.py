"""The ids of users and items as text, with every character and digit that the file gives them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from learn.errors import DataError


def to_id_text(column: pl.Expr, dtype: pl.DataType, *, name: str, path: Path) -> pl.Expr:
    """Return an id column as text; a whole number has no fraction, however the file stored it.

    Raises:
        DataError: The column holds lists, records or bytes.
    """
    if dtype.is_nested() or dtype == pl.Binary:
        raise DataError(f"`{name}` holds {dtype}, not ids.", where=path, fix="store ids as text or whole numbers")
    if dtype.is_decimal():
        column, dtype = column.cast(pl.Float64), pl.Float64()
    if not dtype.is_float():
        return column.cast(pl.String)
    whole = column.is_finite() & (column == column.floor()) & (column.abs() < 2**53)
    return (
        pl.when(whole)
        .then(column.cast(pl.Int64, strict=False).cast(pl.String))
        .when(column.is_not_nan())
        .then(column.cast(pl.String))
    )
