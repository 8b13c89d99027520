"""The ids of users and items as text: each keeps its characters and digits, and one id spelt in two ways is one id.

Two tables of one shop come from two systems: one writes ``100``, the other ``100.0``, one keeps leading zeros, the
other pads with blanks. The spelling of the items is kept; the interactions take it where the meaning is the same. Ids
that mean different things are never merged: a spelling that fits two items fits none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import polars as pl

from learn.errors import DataError

# Blanks of all kinds, and the marks that nobody sees: zero width, direction, soft hyphen, byte order mark.
_UNSEEN = r"[\s\p{Cf}\x{0}]"
_ENDS = rf"^{_UNSEEN}+|{_UNSEEN}+$"
_ZERO_FRACTION = r"^([+-]?\d+)\.0+$"
_TRUE_FRACTION = r"^[+-]?\d+\.\d*[1-9]\d*$"
_FORMULA = r'^="(.*)"$'
_UUID = r"^\{?([0-9a-fA-F]{8})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{12})\}?$"
# What few users' ids have. Of two spellings of one id, one has it.
_SUSPECT = rf"{_ENDS}|^=\"|^\{{|\.0+$|[^\x00-\x7f]|^[0-9A-F]{{8}}-[0-9A-F]{{4}}-"
# A spelling that changes characters must explain this share of the unknown ids: then it is a habit of the export, and
# below it an id that happens to look alike.
_HABIT_SHARE = 0.5
_EXACT_FLOAT = 2**53
_INT64_BOUND = 2.0**63
_UUID_BYTES = 16


def to_id_text(column: pl.Expr, dtype: pl.DataType, *, name: str, path: Path) -> pl.Expr:
    """Return an id column as text; a whole number has no fraction, however the file stored it.

    Raises:
        DataError: The column holds lists or records.
    """
    if dtype.is_nested():
        raise DataError(f"`{name}` holds {dtype}, not ids.", where=path, fix="store ids as text or whole numbers")
    if dtype == pl.Binary:
        return _decode_bytes(column)
    if dtype.is_decimal():
        return column.cast(pl.String).str.replace(r"\.0*$", "")
    if not dtype.is_float():
        return column.cast(pl.String)
    whole = column.is_finite() & (column == column.floor())
    return (
        pl.when(whole & (column.abs() < _INT64_BOUND))
        .then(column.cast(pl.Int64, strict=False).cast(pl.String))
        .when(whole)
        .then(column.cast(pl.Int128, strict=False).cast(pl.String))
        .when(column.is_not_nan())
        .then(column.cast(pl.String))
    )


def _decode_bytes(column: pl.Expr) -> pl.Expr:
    """Return bytes as the text that they are in UTF-8; sixteen others as a UUID, any others as hexadecimal digits."""
    return column.map_batches(_decode_series, return_dtype=pl.String)


def _decode_series(values: pl.Series) -> pl.Series:
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series(values.name, [_decode_id(value) for value in values], pl.String)


def _decode_id(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return str(UUID(bytes=value)) if len(value) == _UUID_BYTES else value.hex()


def has_inexact_ids(table: pl.LazyFrame, name: str) -> bool:
    """Tell whether a column of floating-point ids has one so large that its last digits may be lost already."""
    if not table.collect_schema()[name].is_float():
        return False
    return bool(table.select((pl.col(name).abs() >= _EXACT_FLOAT).any()).collect(engine="streaming").item())


def has_formulas(table: pl.LazyFrame) -> bool:
    """Tell whether an item id is a formula of Excel."""
    return bool(table.select(pl.col("item_id").str.contains(_FORMULA).any()).collect(engine="streaming").item())


def strip_formula(item_id: pl.Expr) -> pl.Expr:
    """Return ids without Excel's way to keep leading zeros, ``="007"``."""
    return item_id.str.replace(_FORMULA, "$1")


@dataclass(frozen=True)
class _Spelling:
    """A way in which one id is spelt in two ways.

    Attributes:
        name: The difference, in words.
        changes_characters: Whether it changes what a reader sees; then it must be a habit of the whole export.
    """

    name: str
    changes_characters: bool

    def normalise(self, text: pl.Expr) -> pl.Expr:
        """Return the form that all spellings of this kind share."""
        if self.name == "blanks or unseen marks":
            return text.str.replace_all(_ENDS, "").str.normalize("NFC")
        if self.name == "Excel's formula":
            return strip_formula(text)
        if self.name == "a fraction of zeros":
            return text.str.replace(_ZERO_FRACTION, "$1")
        if self.name == "hyphens or capitals of a UUID":
            return (
                pl.when(text.str.contains(_UUID))
                .then(text.str.replace(_UUID, "$1$2$3$4$5").str.to_lowercase())
                .otherwise(text)
            )
        if self.name == "leading zeros":
            return text.str.replace(r"^0+(\d+)$", "$1")
        return text.str.to_lowercase()


# In this order, each on top of those before it: what is surely the same comes first.
_SPELLINGS = (
    _Spelling("blanks or unseen marks", changes_characters=False),
    _Spelling("Excel's formula", changes_characters=False),
    _Spelling("hyphens or capitals of a UUID", changes_characters=False),
    _Spelling("a fraction of zeros", changes_characters=True),
    _Spelling("leading zeros", changes_characters=True),
    _Spelling("capitals", changes_characters=True),
)
_USER_SPELLINGS = _SPELLINGS[:4]


def match_item_ids(items: pl.LazyFrame, interactions: pl.LazyFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Find the item ids of the interactions that are an item's, spelt differently.

    Args:
        items: Column ``item_id``.
        interactions: Column ``item_id``.

    Returns:
        Columns ``given`` and ``item_id`` (the item's own spelling), both String; and a sentence for each difference.
    """
    known = items.select("item_id").drop_nulls().unique()
    unknown = (
        interactions.select("item_id")
        .drop_nulls()
        .unique()
        .join(known, on="item_id", how="anti")
        .collect(engine="streaming")
        .rename({"item_id": "given"})
    )
    found: list[pl.DataFrame] = []
    notes: list[str] = []
    if unknown.height:
        spelt = known.collect(engine="streaming").with_columns(key="item_id")
        unknown = unknown.with_columns(key="given")
        for spelling in _SPELLINGS:
            spelt, unknown = (table.with_columns(key=spelling.normalise(pl.col("key"))) for table in (spelt, unknown))
            single = spelt.filter(pl.col("key").is_unique())
            met = unknown.join(single, on="key", how="inner").select("given", "item_id", "key").sort("given")
            if not met.height or (spelling.changes_characters and met.height < _HABIT_SHARE * unknown.height):
                continue
            found.append(met)
            notes.append(_describe(met, spelling))
            unknown = unknown.join(met, on="given", how="anti")
    empty = pl.DataFrame(schema={"given": pl.String, "item_id": pl.String})
    return pl.concat([empty, *(met.select("given", "item_id") for met in found)]), tuple(notes)


def _describe(met: pl.DataFrame, spelling: _Spelling) -> str:
    given, item_id, _ = met.row(0)
    return (
        f"{met.height:,} item ids of the interactions differ from those of the items by {spelling.name} (`{given}` is "
        f"`{item_id}`): they were read as the same."
    )


def match_user_ids(interactions: pl.LazyFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Find the user ids that are spelt in two ways within the table.

    A fraction of zeros counts only where no id has a true fraction (``7.5``), which would make ``7.0`` a number of its
    kind. Capitals and leading zeros tell users apart.

    Args:
        interactions: Column ``user_id``.

    Returns:
        Columns ``given`` and ``user_id`` (the spelling to use), both String; and a sentence for each difference.
    """
    suspects = (
        interactions.select("user_id")
        .filter(pl.col("user_id").str.contains(_SUSPECT))
        .unique()
        .collect(engine="streaming")
    )
    empty = pl.DataFrame(schema={"given": pl.String, "user_id": pl.String})
    if not suspects.height:
        return empty, ()
    has_fractions = bool(
        interactions.select(pl.col("user_id").str.contains(_TRUE_FRACTION).any()).collect(engine="streaming").item()
    )
    keyed = suspects.select(given="user_id", key="user_id")
    for spelling in _USER_SPELLINGS:
        if spelling.name != "a fraction of zeros" or not has_fractions:
            keyed = keyed.with_columns(key=spelling.normalise(pl.col("key")))
    # The plain spelling of a suspect is no suspect itself.
    keys = keyed.select("key").unique().lazy()
    plain = interactions.select(key="user_id").unique().join(keys, on="key", how="semi").collect(engine="streaming")
    groups = pl.concat([keyed, plain.select(given="key", key="key")]).unique()
    met = (
        groups.filter(pl.len().over("key") > 1)
        .with_columns(user_id=pl.when(pl.col("given") == pl.col("key")).then("given"))
        .with_columns(user_id=pl.coalesce(pl.col("user_id").max().over("key"), pl.col("given").min().over("key")))
        .filter(pl.col("given") != pl.col("user_id"))
        .sort("given")
    )
    if not met.height:
        return empty, ()
    given, user_id = met.select("given", "user_id").row(0)
    note = f"{met.height:,} user ids are spelt in two ways (`{given}` is `{user_id}`): they were read as the same."
    return met.select("given", "user_id"), (note,)


def replace_ids(table: pl.LazyFrame, matched: pl.DataFrame, *, name: str) -> pl.LazyFrame:
    """Give the ids of a column the spelling to use, in the order of the rows.

    Args:
        table: The rows.
        matched: Columns ``given`` and ``name``.
        name: The column, ``user_id`` or ``item_id``.
    """
    if not matched.height:
        return table
    return table.with_columns(pl.col(name).replace(matched["given"], matched[name]))
