"""Which column of a file is which of the contract's, and what type it gets."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from learn.errors import DataError

_ALSO_CALLED = {
    "item_id": ("item", "asin", "parent_asin", "product_id", "article_id", "sku", "stock_code", "movie_id"),
    "user_id": ("user", "customer_id", "reviewer_id", "member_id", "visitor_id", "client_id"),
    "title": ("name", "product_title", "product_name", "item_name", "item_title"),
    "timestamp": ("time", "date", "datetime", "unix_review_time", "created_at", "event_time", "order_date"),
}
_NEAR_ENOUGH = 0.7
_TEXTS = ("title", "brand", "category", "description", "keywords", "attributes", "event")

# What can be read as a number and written back as the same text, give or take zeros at the end of a fraction.
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?$"


def arrange(
    names: Sequence[str],
    *,
    mapping: Mapping[str, str],
    required: Sequence[str],
    reserved: Sequence[str],
    path: Path,
    setting: str,
) -> dict[str, str]:
    """Give each column of a file its name in the contract.

    A column whose own name is taken by the contract becomes ``source_`` and its name.

    Args:
        names: Columns of the file.
        mapping: Contract name -> name in the file.
        required: Contract names that must be there; they come first.
        reserved: Names that LEARN adds itself.
        path: The file, for the error.
        setting: Name of the setting that holds ``mapping``, for the error.

    Returns:
        Name in the contract -> name in the file.

    Raises:
        DataError: A required or mapped column is not in the file.
    """
    arranged = {name: mapping.get(name, name) for name in (*required, *mapping)}
    for name, source in arranged.items():
        if name in reserved:
            raise DataError(f"No column can be mapped to `{name}`: LEARN writes it itself.", where=f"data.{setting}")
        if source not in names:
            raise _missing(name, source, names, path=path, setting=setting)
    used = set(arranged.values())
    for source in names:
        if source not in used:
            target = source
            while target in arranged or target in reserved or (target != source and target in names):
                target = f"source_{target}"
            arranged[target] = source
    return arranged


def _missing(name: str, source: str, names: Sequence[str], *, path: Path, setting: str) -> DataError:
    what = f"There is no column `{source}`" + ("." if source == name else f", which `{setting}` maps to `{name}`.")
    listed = ", ".join(f"`{column}`" for column in names)
    near = nearest(name if source == name else source, names)
    if near:
        fix = f'there is `{near}`, did you mean to map it? In the settings: [data] {setting} = {{{name} = "{near}"}}'
    elif len(names) == 1 and any(separator in names[0] for separator in ";|\t,"):
        fix = f"the header is one column, {listed}: separate the fields of a .csv with commas, of a .tsv with tabs"
    else:
        fix = f"the columns are {listed}; add the missing one, or map its name with `{setting}`"
    return DataError(what, where=path, fix=fix)


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return the column that is most likely meant by ``name``, or ``None`` where none is near."""
    wanted = [_plain(word) for word in (name, *_ALSO_CALLED.get(name, ()))]
    rated = [(max(_likeness(word, _plain(column)) for word in wanted), column) for column in names]
    best = max(rated, default=(0.0, ""))
    return best[1] if best[0] >= _NEAR_ENOUGH else None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _likeness(wanted: str, name: str) -> float:
    return difflib.SequenceMatcher(None, wanted, name).ratio()


def id_text(column: pl.Expr, dtype: pl.DataType, *, name: str, path: Path) -> pl.Expr:
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


def plain_value(column: pl.Expr, dtype: pl.DataType, *, name: str) -> pl.Expr:
    """Return a further column as text, number, boolean or date: lists are joined, records become JSON."""
    if dtype.is_nested() or isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null)) or name in _TEXTS:
        return _as_text(column, dtype)
    return column.cast(pl.Float64) if dtype.is_decimal() else column


def _as_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Array):
        return _as_text(column.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.List):
        inner = dtype.inner() if isinstance(dtype.inner, type) else dtype.inner
        return column.list.eval(_as_text(pl.element(), inner)).list.join(", ")
    if isinstance(dtype, pl.Struct):
        # A record without fields, `{}` on every line, says nothing and has no JSON.
        return column.struct.json_encode() if dtype.fields else pl.lit(None, dtype=pl.String)
    return column.cast(pl.String)


def numbers_among(table: pl.LazyFrame, names: Sequence[str]) -> dict[str, pl.DataType]:
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
