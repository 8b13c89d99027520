"""The text of an item: its columns, cleaned and labelled, on one line.

An item can have vectors of single fields next to the vector of the whole prompt; its line then holds several texts.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from html.entities import html5
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from learn.config import ContentSettings
from learn.errors import DataError

CLEANING_VERSION = 1
"""Part of every content key: raise it when :func:`clean_text` returns a different text."""

_ROUNDS = 4

# Only entities with their semicolon: without it `pen&notebook` would turn into `pen¬ebook`.
_ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_NESTED_AMPERSAND = re.compile(r"&(?:(?:amp|AMP|#0{0,4}38|#[xX]0{0,4}26);)+")

# Only names of real tags, and attributes only with their equals sign: `3 < 5`, `<3`, `List<String>` are text.
_INLINE = "a|abbr|b|bdi|bdo|big|cite|code|del|em|font|i|ins|kbd|mark|s|small|span|strike|strong|sub|sup|tt|u|var|wbr"
_BLOCK = (
    "address|article|aside|blockquote|body|br|button|caption|center|dd|details|div|dl|dt|figcaption|figure|footer|form"
    "|h[1-6]|head|header|hr|html|iframe|img|input|label|li|link|main|meta|nav|noscript|object|ol|option|p|pre|script"
    "|section|select|style|summary|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|ul|video"
)
_SILENT = re.compile(r"<(script|style)\b[^<>]*>[^<]*</\1\s*>|<!--[^<>]*-->|<!doctype\b[^<>]*>", re.IGNORECASE)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]*=[^<>]*)?\s*/?>", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK})(?:\s[^<>]*=[^<>]*)?\s*/?>", re.IGNORECASE)
_SPACES = re.compile(r" {2,}")
_SURROGATE = re.compile("[\ud800-\udfff]")

_JOINER = "\u200d"
# Zero-width joiner and non-joiner stay: emoji families and Persian spelling need them.
_INVISIBLE = (0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_WHITESPACE = (*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))
_LATE_WHITESPACE = (0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
_TRANSLATION: dict[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), None),
    **dict.fromkeys(_INVISIBLE, None),
    **dict.fromkeys((*_WHITESPACE, *_LATE_WHITESPACE), " "),
}


def clean_text(text: str) -> str:
    """Return the plain words of a text: no markup, entities, control characters or odd whitespace; Unicode NFC.

    Cleaning a clean text changes nothing. What merely looks like markup (``3 < 5``, ``<3``) stays.
    """
    if text.isascii() and text.isprintable() and "&" not in text and "<" not in text:
        return _SPACES.sub(" ", text).strip()
    for _ in range(_ROUNDS):
        cleaned = _clean_once(text)
        if cleaned == text:
            return cleaned
        text = cleaned
    # Markup nested this deeply is no catalogue text. Without its brackets nothing is left to unwrap.
    return text if _clean_once(text) == text else _normalise(re.sub("[&<>]", " ", text))


def truncate_text(text: str, limit: int) -> str:
    """Return at most the first ``limit`` characters, cut between words, or between letters if no word ends nearby.

    Neither a letter's accents nor a joined emoji are cut in two.
    """
    if len(text) <= limit:
        return text
    border = text.rfind(" ", limit // 2, limit + 1)
    if border > 0:
        return text[:border].rstrip()
    cut = limit
    while cut > limit // 2 and _is_joined(text[cut - 1], text[cut]):
        cut -= 1
    return text[:cut].rstrip()


def _clean_once(text: str) -> str:
    if "&" in text:
        text = _ENTITY.sub(_decode_entity, _NESTED_AMPERSAND.sub("&", text))
    if "<" in text:
        text = _SILENT.sub(" ", text)
        text = _BLOCK_TAG.sub(" ", _INLINE_TAG.sub("", text))
    return _normalise(text)


def _normalise(text: str) -> str:
    text = _SURROGATE.sub("", text.translate(_TRANSLATION))
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip(" ")


def _decode_entity(match: re.Match[str]) -> str:
    name = match[1]
    if not name.startswith("#"):
        return html5.get(name + ";", match[0])
    digits = name[1:]
    number = int("0" + digits, base=16) if digits[0] in "xX" else int(digits)
    return chr(number) if 0 < number <= 0x10FFFF else ""


def _is_joined(left: str, right: str) -> bool:
    return _JOINER in (left, right) or unicodedata.category(right) in {"Mn", "Mc", "Me"} or "🏻" <= right <= "🏿"


SEPARATOR = "\x1f"
"""Separates the texts of a line: ASCII's unit separator, which cleaning removes from every text."""


def split_fields(lines: Iterable[str], *, blocks: int) -> list[str]:
    """Return the texts of some items, (n * blocks), those of an item next to each other.

    Args:
        lines: Lines of the prompt. A line with fewer texts than blocks is free text: its fields are empty.
        blocks: Vectors of an item: the whole prompt's and one for each field that has its own.
    """
    if blocks == 1:
        return list(lines)
    apart = (line.split(SEPARATOR) for line in lines)
    return list(itertools.chain.from_iterable((texts + [""] * blocks)[:blocks] for texts in apart))


def weigh_fields(rows: npt.NDArray[np.float32], *, said: npt.NDArray[np.bool_]) -> None:
    """Turn the unit vectors of each item, which are next to each other, into one unit vector, in place.

    A field that an item does not have gets zeros and does not count in the length, so the inner product of two
    items is a mean over the fields.

    Args:
        rows: (n, blocks * c) float32, unit vectors after each other.
        said: (n, blocks), which texts of an item are not empty; the whole prompt always counts.
    """
    n, blocks = said.shape
    if blocks == 1:
        return
    present = said.copy()
    present[:, 0] = True
    weights = (present / np.sqrt(present.sum(axis=1, keepdims=True))).astype(np.float32)  # (n, blocks)
    rows.reshape(n, blocks, -1)[:] *= weights[:, :, None]


def join_fields(vectors: npt.NDArray[np.float32], texts: Sequence[str], *, blocks: int) -> npt.NDArray[np.float32]:
    """Return the rows of some items, (n, blocks * c), from the unit vectors (n * blocks, c) of their texts."""
    rows = vectors.reshape(len(texts) // blocks, -1)  # (n, blocks * c)
    weigh_fields(rows, said=np.array([bool(text) for text in texts]).reshape(-1, blocks))
    return rows


_WORDING_VERSION = 1
_TITLE = "title"
_LABEL_TOKENS = 4


class ItemPrompt:
    """Renders items as ``Title: … Brand: … Category: …``, leaving out what an item does not have.

    Args:
        settings: Which columns are in the prompt, their order, and how long each may be.
    """

    def __init__(self, settings: ContentSettings) -> None:
        self._limit = settings.max_field_characters
        named = {field: field.replace("_", " ").strip().capitalize() for field in settings.fields}
        self._labels = {field: settings.labels.get(field, label).strip() for field, label in named.items()}
        self._apart = settings.field_vectors
        before = settings.fields.index(_TITLE) if _TITLE in settings.fields else 0
        # The fields before the title may take half of the tokens, so that the title is never cut off at the end.
        self._limits_before = dict.fromkeys(settings.fields[:before], settings.max_tokens // 2 // max(1, before))

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns of the prompt, in order."""
        return tuple(self._labels)

    @property
    def blocks(self) -> int:
        """Vectors of an item: the whole prompt's, and one for each field that has its own."""
        return 1 + len(self._apart)

    @property
    def template_version(self) -> str:
        """16 hexadecimal digits that change with the wording, the labels, the fields, their order and their limits."""
        parts: list[object] = [_WORDING_VERSION, CLEANING_VERSION, list(self._labels.items()), self._limit]
        parts += [self._limits_before] if self._limits_before else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def render(self, items: pl.DataFrame) -> list[str]:
        """Return one line of text per item; it is empty if all fields are empty.

        Fields that have their own vector follow the whole prompt, each after a separator.

        Raises:
            DataError: The table has none of the fields.
        """
        present = [field for field in self._labels if field in items.columns]
        if not present:
            raise DataError(
                f"The items have none of the columns of the prompt: {', '.join(self._labels)}.",
                where="items",
                fix="map one of them with `data.item_columns`, or name your text columns in `content.fields`",
            )
        rendered = {field: self._render_column(items.get_column(field)) for field in present}
        lines = [" ".join(filter(None, parts)) for parts in zip(*rendered.values(), strict=True)]
        absent = [""] * len(lines)
        apart = [rendered.get(field, absent) for field in self._apart]
        return [SEPARATOR.join(texts) for texts in zip(lines, *apart, strict=True)]

    def require_fields(self, columns: Sequence[str]) -> None:
        """Check a table's columns before its rows are read.

        Raises:
            DataError: A field that should have its own vector is no column of the table.
        """
        if absent := [field for field in self._apart if field not in columns]:
            raise DataError(
                f"`content.field_vectors` names fields that are no columns of the items: {', '.join(absent)}.",
                where="settings, `content.field_vectors`",
                fix=f"name some of the columns that the items have: {', '.join(columns)}",
            )

    def shorten(self, column: pl.Series) -> pl.Series:
        """Cut each text of a column to the part that the prompt reads; it renders to the same line."""
        limit = self._limit_of(column.name)
        return pl.Series(
            column.name,
            [None if cell is None else _format_cell(cell, limit) for cell in _join_texts(column)],
            pl.String,
        )

    def _limit_of(self, field: str) -> int | None:
        # The title identifies the item, so only the title is never cut.
        return None if field == _TITLE else self._limit

    def _render_column(self, column: pl.Series) -> list[str]:
        label = self._labels[column.name]
        start = f"{label}: " if label else ""
        limit = self._limit_of(column.name)
        tokens = self._limits_before.get(column.name)
        texts = (_format_cell(value, limit) for value in _join_texts(column))
        if tokens is not None:
            texts = (truncate_text(text, _count_characters(text, tokens=tokens - _LABEL_TOKENS)) for text in texts)
        return [start + text if text else "" for text in texts]


def _count_characters(text: str, *, tokens: int) -> int:
    """Guess, with caution, how many first characters of a text give at most this many tokens.

    Tokenizers cut English into about four letters a token and rare words into two; in other scripts there may be more
    tokens than letters.
    """
    spent = 0.0
    for place, letter in enumerate(text):
        spent += 0.5 if letter.isascii() else 2.0
        if spent > tokens:
            return place
    return len(text)


def _join_texts(column: pl.Series) -> pl.Series:
    # A list of texts reads as the text that tables once held in its place, so that its vector stays the stored one.
    if column.dtype != pl.List(pl.String):
        return column
    filled = column.list.eval(pl.element().filter(pl.element().str.contains(r"\S")))
    return filled.list.join(", ")


def _format_cell(value: Any, limit: int | None) -> str:
    text = clean_text(_format_value(value))
    return text if limit is None else truncate_text(text, limit)


def _format_value(value: Any) -> str:
    """Write a cell as a person would: 19.0 as ``19``, a list as ``a, b``, a struct as ``colour: red, size: L``."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return _format_number(value)
        case dict():
            pairs = ((str(name), clean_text(_format_value(part))) for name, part in value.items())
            return ", ".join(f"{name}: {text}" for name, text in pairs if text)
        case list() | tuple() | pl.Series():
            return ", ".join(dict.fromkeys(_iterate_leaves(value)))
        case bytes():
            return value.decode(errors="ignore")
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _iterate_leaves(values: Iterable[Any]) -> Iterator[str]:
    # Category paths come as lists of lists that repeat their first levels.
    for value in values:
        if isinstance(value, list | tuple | pl.Series):
            yield from _iterate_leaves(value)
        elif text := clean_text(_format_value(value)):
            yield text


def _format_number(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
