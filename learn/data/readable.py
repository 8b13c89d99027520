"""A value of any shape as a person would write it: ``Color: red; Size: M``, never the source of JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal


class JsonInteger(str):
    """An integer of JSON, with every digit that the file gives it."""

    __slots__ = ()


class JsonFloat(str):
    """A number of JSON with a fraction or an exponent, as the file writes it."""

    __slots__ = ()


EXACT_INTEGER = 2**53
"""Up to here a float64 holds every integer."""


def to_readable_text(value: object) -> str | None:
    """Return a value as text; what holds nothing is null.

    A text stays exactly as it is. A list is joined with commas, lists in it are flattened, a record gives its own keys
    in order. Nulls, blank texts and empty lists and records inside of either are left out.

    Raises:
        ValueError: Bytes are no UTF-8.
    """
    if isinstance(value, (JsonInteger, JsonFloat)) or not isinstance(value, str):
        return _write_value(value) or None
    return value


def iterate_leaves(values: Iterable[object]) -> Iterator[object]:
    """Yield what is in a list and in the lists within it."""
    for value in values:
        if is_list(value):
            yield from iterate_leaves(value)  # type: ignore[arg-type]
        else:
            yield value


def is_list(value: object) -> bool:
    """Tell whether a value is a list, and not a map, which Arrow gives as a list of pairs."""
    return isinstance(value, list) and not (value and all(isinstance(pair, tuple) for pair in value))


def format_number(value: float) -> str:
    """Return a number without an empty fraction: 19.0 is ``19``; what is not finite is an empty text."""
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < EXACT_INTEGER else repr(value)


def _write_value(value: object) -> str:
    match value:
        case None:
            return ""
        case JsonFloat():
            return format_number(float(value)) or str(value)
        case str():
            return str(value)
        case bool():
            return "true" if value else "false"
        case float():
            return format_number(value)
        case Decimal():
            return _format_decimal(value)
        case Mapping():
            return _write_pairs(value.items())
        case list() if is_list(value):
            return _write_list(value)
        case list():
            return _write_pairs(value)
        case bytes():
            return value.decode("utf-8")
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)


def _format_decimal(value: Decimal) -> str:
    if not value.is_finite():
        return ""
    digits = f"{value:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _write_list(values: list[object]) -> str:
    parts = [(value, text) for value in iterate_leaves(values) if (text := _write_value(value)).strip()]
    if len(parts) == 1:
        return parts[0][1]
    return ", ".join(f"({text})" if _is_record(value) else text for value, text in parts)


def _write_pairs(pairs: Iterable[tuple[object, object]]) -> str:
    written = ((str(key), value, _write_value(value)) for key, value in pairs)
    return "; ".join(
        f"{key}: ({text})" if _is_record(value) else f"{key}: {text}" if key.strip() else text
        for key, value, text in written
        if text.strip()
    )


def _is_record(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and not is_list(value))
