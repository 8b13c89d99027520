"""Numbers that a table holds as text: which columns are numbers, in which notation, and which cells are none.

A comma is never dropped: ``12,99`` is 12.99 where the column shows that it writes fractions so, and else a text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from learn.data.values import TEXTS
from learn.errors import DataError

UNREADABLE = "unreadable_"
"""Before a column's name: the column of the texts that were no number there, null where there was one."""

SMALLEST_NUMBER_SHARE = 0.9
"""A column with a smaller share of numbers is one of texts: an export has few bad cells, codes have many letters."""

# What can be read as a number and written back as the same text, give or take zeros at the end of a fraction.
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?$"
_COMMA_NUMBER = r"^-?(0|[1-9][0-9]{0,17}|[1-9][0-9]{0,2}(\.[0-9]{3})+)(,[0-9]+)?$"
# Three digits behind a comma may be thousands; any other count of them, or a zero before it, is a fraction.
_COMMA_FRACTION = r"^-?(0,[0-9]+|[0-9.]+,([0-9]{1,2}|[0-9]{4,}))$"
_POINT_FRACTION = r"^-?(0\.[0-9]+|[0-9,]+\.([0-9]{1,2}|[0-9]{4,}))$"
_THOUSANDS = r"^[+-]?[0-9]{1,3}([.,][0-9]{3})$"
_POINT_WITH_THOUSANDS = r"^[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+$|^[+-]?[0-9]{1,3}(,[0-9]{3}){2,}$"
_COMMA_WITH_THOUSANDS = r"^[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+$|^[+-]?[0-9]{1,3}(\.[0-9]{3}){2,}$"
_COMMA_ONLY = r"^[+-]?[0-9]*,[0-9]+$"

_NULL_MARKER = r"(?i)^(n/?a|n\.a\.?|nan|null|none|nil|unknown|undefined|tbd|missing|\\n|[-–—?.]+|#n/a|#null!)$"
# Whole words of a name, and parts of one that no other word has. Not `size`, `number` or `value`: those are codes too.
_NUMBER_WORDS = {
    "cost", "rate", "qty", "stock", "fee", "sales", "tax", "total", "year", "width", "height", "length", "depth",
    "msrp", "rrp", "prix", "cena",
}  # fmt: skip
_NUMBER_PARTS = re.compile(
    "price|preis|prezzo|precio|amount|betrag|rating|score|discount|margin|revenue|quantity|weight|percent"
)


def read_number_columns(
    table: pl.LazyFrame, names: Sequence[str], *, with_bad_cells_only: bool = False
) -> pl.LazyFrame:
    """Read the columns of text that are numbers, all except for a few cells at most, as int64 or float64.

    Leading zeros make a text: ``007`` is a code, not seven. A cell that is no number becomes null, and its text is kept
    in a separate column whose name begins with :data:`UNREADABLE`. Such cells are allowed where the column's name
    means a number (``price``), or each of them marks that nothing is there (``n/a``).

    Args:
        table: The table.
        names: Columns to look at; those that are not text are left as they are.
        with_bad_cells_only: Leave columns that are numbers throughout: their file wrote them as text on purpose.
    """
    schema = table.collect_schema()
    asked = [name for name in names if name not in TEXTS and schema[name] == pl.String]
    if not asked:
        return table
    cells = {name: pl.col(name).str.strip_chars() for name in asked}
    found = table.select(
        pl.struct(
            filled=(cell != "").sum(),
            integer=cell.str.contains(_INTEGER).sum(),
            point=cell.str.contains(_NUMBER).sum(),
            exact=pl.col(name).str.contains(_NUMBER).sum(),
        ).alias(name)
        for name, cell in cells.items()
    ).collect(engine="streaming")
    counts: dict[str, dict[str, int]] = {name: found[name][0] for name in asked}
    plain = [name for name, count in counts.items() if count["filled"] and count["exact"] == count["filled"]]
    others = [name for name, count in counts.items() if count["filled"] and name not in plain]
    read: list[pl.Expr] = []
    if not with_bad_cells_only:
        for name in plain:
            is_integer = counts[name]["integer"] == counts[name]["filled"]
            read.append(pl.col(name).cast(pl.Int64 if is_integer else pl.Float64, strict=False))
    if others:
        read += _read_impure_columns(table, {name: cells[name] for name in others}, counts, taken=schema.names())
    return table.with_columns(read) if read else table


def _read_impure_columns(
    table: pl.LazyFrame, cells: dict[str, pl.Expr], counts: dict[str, dict[str, int]], *, taken: Sequence[str]
) -> list[pl.Expr]:
    found = table.select(
        pl.struct(
            comma=cell.str.contains(_COMMA_NUMBER).sum(),
            comma_fraction=cell.str.contains(_COMMA_FRACTION).sum(),
            point_fraction=cell.str.contains(_POINT_FRACTION).sum(),
            no_marker=((cell != "") & ~cell.str.contains(_NULL_MARKER)).sum(),
        ).alias(name)
        for name, cell in cells.items()
    ).collect(engine="streaming")
    read: list[pl.Expr] = []
    for name, cell in cells.items():
        facts: dict[str, Any] = {**counts[name], **found[name][0]}
        # Lists of ids (`12,15`) look like fractions: only the name tells them apart.
        has_comma = is_number_name(name) and facts["comma_fraction"] > 0 and facts["point_fraction"] == 0
        numbers = facts["comma"] if has_comma else facts["point"]
        bad = facts["filled"] - numbers
        if numbers < SMALLEST_NUMBER_SHARE * facts["filled"] or f"{UNREADABLE}{name}" in taken:
            continue
        if facts["no_marker"] > numbers and not is_number_name(name):
            continue
        pattern = _COMMA_NUMBER if has_comma else _NUMBER
        text = cell.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True) if has_comma else cell
        dtype = pl.Int64 if facts["integer"] == numbers else pl.Float64
        # What the pattern lets pass is short enough for an int64, or a float64.
        read.append(pl.when(cell.str.contains(pattern)).then(text).cast(dtype, strict=False).alias(name))
        if bad:
            is_bad = (cell != "") & ~cell.str.contains(pattern)
            read.append(pl.when(is_bad).then(pl.col(name)).alias(f"{UNREADABLE}{name}"))
    return read


def is_number_name(name: str) -> bool:
    """Tell whether a column of this name holds numbers, in any shop."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    return bool(_NUMBER_WORDS & {*words}) or _NUMBER_PARTS.search(name.lower()) is not None


def read_weights(table: pl.LazyFrame, *, path: Path) -> pl.LazyFrame:
    """Read the column ``weight`` as float64 and keep in ``weight_text`` what is no finite number of 0 or more.

    A decimal comma is read (``1,5``). Three digits behind a comma or point may be thousands: they are a fraction where
    another cell of the column shows such a fraction, and a point's are one unless only commas do.

    Raises:
        DataError: The column's type can be no weight.
    """
    dtype = table.collect_schema().get("weight")
    if dtype is None:
        return table
    given = pl.col("weight")
    if isinstance(dtype, pl.String):
        number = _read_either_notation(table, given.str.strip_chars())
        is_empty = given.is_null() | (given.str.strip_chars() == "")
    elif dtype.is_numeric() or isinstance(dtype, pl.Boolean):
        number = given.cast(pl.Float64)
        is_empty = given.is_null()
    else:
        raise DataError(f"The weights are stored as {dtype}.", where=path, fix="store them as numbers")
    weight = pl.when(number.is_finite() & (number >= 0)).then(number)
    unread = pl.when(weight.is_null() & ~is_empty).then(given.cast(pl.String))
    return table.with_columns(weight=weight, weight_text=unread)


def _read_either_notation(table: pl.LazyFrame, text: pl.Expr) -> pl.Expr:
    has_comma = text.str.contains(",", literal=True)
    if not table.select(has_comma.any()).collect(engine="streaming").item():
        return text.cast(pl.Float64, strict=False)
    shown = table.select(
        comma=text.str.contains(_COMMA_FRACTION).any(), point=text.str.contains(_POINT_FRACTION).any()
    ).collect(engine="streaming")
    comma_is_shown, point_is_shown = bool(shown["comma"][0]), bool(shown["point"][0])
    unclear = text.str.contains(_THOUSANDS)
    by_point = text.str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)
    by_comma = (
        text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    )
    return (
        pl.when(text.str.contains(_POINT_WITH_THOUSANDS))
        .then(by_point)
        .when(text.str.contains(_COMMA_WITH_THOUSANDS))
        .then(by_comma)
        .when(has_comma & text.str.contains(_COMMA_ONLY))
        .then(pl.when(pl.lit(comma_is_shown) | ~unclear).then(by_comma))
        .when(~has_comma & (pl.lit(point_is_shown or not comma_is_shown) | ~unclear))
        .then(text.cast(pl.Float64, strict=False))
    )


def list_unreadable_columns(schema: pl.Schema) -> dict[str, str]:
    """Name the columns of numbers that have cells which are none, with the column that holds their texts."""
    found = {name.removeprefix(UNREADABLE): name for name in schema.names() if name.startswith(UNREADABLE)}
    return {name: texts for name, texts in found.items() if name in schema and schema[name].is_numeric()}
