"""The three layouts of the Amazon review files, record by record.

2014: ``reviewerID``, ``asin``, ``unixReviewTime`` (s), ``overall``; metadata are Python literals with ``categories``.
2018: reviews as 2014; metadata are JSON with ``category``, ``feature`` and ``description`` as lists, and markup.
2023: ``user_id``, ``parent_asin``, ``timestamp`` (ms), ``rating``; metadata with ``main_category`` and ``store``.
"""

from __future__ import annotations

import ast
import html
import math
import re
from collections.abc import Iterable
from typing import Literal

from learn.data.json_lines import json_object

Layout = Literal["2014", "2018", "2023"]
Record = dict[str, object]

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_PRICE = re.compile(r"\$?\s*([0-9][0-9,]*(?:\.[0-9]+)?)")


def review_layout(record: Record) -> Layout | None:
    """Tell the layout of a review; 2014 and 2018 are alike and answer ``2018``."""
    if "parent_asin" in record and "user_id" in record:
        return "2023"
    return "2018" if "reviewerID" in record and "asin" in record else None


def metadata_layout(record: Record) -> Layout | None:
    """Tell the layout of an item's metadata."""
    if "parent_asin" in record:
        return "2023"
    if "asin" not in record:
        return None
    # 2018 has `category`, `main_cat`, `also_buy` at the top level, 2014 a nested `categories` or `related`.
    return "2014" if "categories" in record or "related" in record or "imUrl" in record else "2018"


def metadata_object(line: bytes, *, literals: bool) -> Record:
    """Read a line of a metadata file; where ``literals`` is true a Python literal is read too.

    Raises:
        ValueError: The line is neither.
    """
    try:
        return json_object(line)
    except ValueError:
        if not literals:
            raise
    try:
        record = ast.literal_eval(line.decode("utf-8").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as fault:
        raise ValueError("this is neither JSON nor a Python literal") from fault
    if isinstance(record, dict):
        return record
    raise ValueError("a line must hold one record, `{…}`")


def interaction(record: Record, layout: Layout) -> tuple[str | None, str | None, float | None, float | None]:
    """Return user id, item id, timestamp (Unix seconds) and rating of a review; what is missing is null."""
    if layout == "2023":
        milliseconds = _number(record.get("timestamp"))
        seconds = None if milliseconds is None else milliseconds / 1_000
        return _id(record.get("user_id")), _id(record.get("parent_asin")), seconds, _number(record.get("rating"))
    return (
        _id(record.get("reviewerID")),
        _id(record.get("asin")),
        _number(record.get("unixReviewTime")),
        _number(record.get("overall")),
    )


def item_id(record: Record, layout: Layout) -> str | None:
    """Return the id of an item's metadata."""
    return _id(record.get("parent_asin" if layout == "2023" else "asin"))


def item_fields(
    record: Record, layout: Layout
) -> tuple[str | None, str | None, str | None, float | None, str | None, str | None]:
    """Return title, brand, category, price, attributes (the bullet points) and description, without markup."""
    brand = record.get("store" if layout == "2023" else "brand")
    bullets = record.get("features" if layout == "2023" else "feature")
    return (
        _text(record.get("title")),
        _text(brand),
        _joined(_categories(record, layout), separator=", "),
        _price(record.get("price")),
        _joined(_values(bullets), separator="; "),
        _joined(_values(record.get("description")), separator=" "),
    )


def _categories(record: Record, layout: Layout) -> list[object]:
    if layout == "2014":
        paths = _values(record.get("categories"))
        return _values(paths[0]) if paths else []
    if layout == "2018":
        return _values(record.get("category")) or _values(record.get("main_cat"))
    path = _values(record.get("categories"))
    main = record.get("main_category")
    return path if main is None or main in path else [main, *path]


def _values(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _joined(values: Iterable[object], *, separator: str) -> str | None:
    return separator.join(text for value in values if (text := _text(value))) or None


def _text(value: object) -> str | None:
    if value is None or isinstance(value, (list, dict)):
        return None
    return " ".join(html.unescape(_TAG.sub(" ", str(value))).split()) or None


def _id(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _price(value: object) -> float | None:
    if isinstance(value, str):
        match = _PRICE.fullmatch(value.strip())
        return float(match[1].replace(",", "")) if match else None
    return _number(value)
