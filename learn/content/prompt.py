"""The text that stands for an item: its columns, labelled, in one line."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import polars as pl

from learn.config import ContentSettings
from learn.content.fields import SEPARATOR
from learn.content.text import CLEANING_VERSION, clean_text, truncate_text
from learn.errors import DataError

_WORDING_VERSION = 1
_TITLE = "title"
_LABEL_TOKENS = 4


class ItemPrompt:
    """Renders items as ``Title: … Brand: … Category: …``, leaving out what an item does not have.

    Args:
        settings: Which columns stand in the prompt, their order, and how long each may be.
    """

    def __init__(self, settings: ContentSettings) -> None:
        self._limit = settings.max_field_characters
        named = {field: field.replace("_", " ").strip().capitalize() for field in settings.fields}
        self._labels = {field: settings.labels.get(field, label).strip() for field, label in named.items()}
        self._apart = settings.field_vectors
        before = settings.fields.index(_TITLE) if _TITLE in settings.fields else 0
        # What stands before the title may take half of the tokens that are read; the title never falls off the end.
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
        """16 hexadecimal digits that change with the wording, the labels, the fields, their order or their limits."""
        parts: list[object] = [_WORDING_VERSION, CLEANING_VERSION, list(self._labels.items()), self._limit]
        parts += [self._limits_before] if self._limits_before else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def render(self, items: pl.DataFrame) -> list[str]:
        """One line of text per item; no text in it where none of the fields holds anything.

        Fields that have a vector of their own follow behind the whole prompt, each after a separator.

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
        rendered = {field: self._rendered_column(items.get_column(field)) for field in present}
        lines = [" ".join(filter(None, parts)) for parts in zip(*rendered.values(), strict=True)]
        absent = [""] * len(lines)
        apart = [rendered.get(field, absent) for field in self._apart]
        return [SEPARATOR.join(texts) for texts in zip(lines, *apart, strict=True)]

    def require_fields(self, columns: Sequence[str]) -> None:
        """Check a table's columns before its rows are read.

        Raises:
            DataError: A field that is to have a vector of its own is no column of it.
        """
        if absent := [field for field in self._apart if field not in columns]:
            raise DataError(
                f"Fields that are to have a vector of their own are no columns of the items: {', '.join(absent)}.",
                where="settings, `content.field_vectors`",
                fix=f"name columns that are there: {', '.join(columns)}",
            )

    def shortened(self, column: pl.Series) -> pl.Series:
        """Return a column of texts with as much of each as the prompt reads; it renders to the same line."""
        limit = self._limit_of(column.name)
        return pl.Series(column.name, [None if cell is None else _shown(cell, limit) for cell in column], pl.String)

    def _limit_of(self, field: str) -> int | None:
        # The title identifies the item: it alone is never cut.
        return None if field == _TITLE else self._limit

    def _rendered_column(self, column: pl.Series) -> list[str]:
        label = self._labels[column.name]
        start = f"{label}: " if label else ""
        limit = self._limit_of(column.name)
        tokens = self._limits_before.get(column.name)
        texts = (_shown(value, limit) for value in column)
        if tokens is not None:
            texts = (truncate_text(text, _characters(text, tokens=tokens - _LABEL_TOKENS)) for text in texts)
        return [start + text if text else "" for text in texts]


def _characters(text: str, *, tokens: int) -> int:
    """How many of a text's first characters a tokenizer makes no more tokens of, as a cautious guess.

    Tokenizers cut English into four letters a token and rare words into two; of other scripts they may make more tokens
    than letters.
    """
    spent = 0.0
    for place, letter in enumerate(text):
        spent += 0.5 if letter.isascii() else 2.0
        if spent > tokens:
            return place
    return len(text)


def _shown(value: Any, limit: int | None) -> str:
    text = clean_text(_plain(value))
    return text if limit is None else truncate_text(text, limit)


def _plain(value: Any) -> str:
    """A cell as a person would write it: 19.0 as ``19``, a list as ``a, b``, a struct as ``colour: red, size: L``."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return _number(value)
        case dict():
            pairs = ((str(name), clean_text(_plain(part))) for name, part in value.items())
            return ", ".join(f"{name}: {text}" for name, text in pairs if text)
        case list() | tuple() | pl.Series():
            return ", ".join(dict.fromkeys(_leaves(value)))
        case bytes():
            return value.decode(errors="ignore")
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _leaves(values: Iterable[Any]) -> Iterator[str]:
    # Category paths come as lists of lists that repeat their first levels.
    for value in values:
        if isinstance(value, list | tuple | pl.Series):
            yield from _leaves(value)
        elif text := clean_text(_plain(value)):
            yield text


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
