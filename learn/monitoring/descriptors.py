"""What a drift report looks at in an item's text: numbers per item, read off its columns."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

NO_CATEGORY = "(none)"

_LEVELS = re.compile(r"\s*[>|;]\s*|,(?! )")
"""What divides a category path; a comma and a blank stand inside one name ("Sports, Outdoors")."""

_COMMONEST_SHARE = 0.9
_NEVER_SEEN = 0.5
_CODE_BITS = 21
"""Every Unicode code point fits, so three of them fit one signed 64-bit integer."""


def text_numbers(items: pl.DataFrame, column: str) -> pl.DataFrame:
    """Characters, words and share of non-letters of one text column, one row an item; null counts as empty."""
    text = pl.col(column).cast(pl.String).fill_null("")
    characters = text.str.len_chars()
    letters = text.str.count_matches(r"\p{L}")
    return items.select(
        characters.cast(pl.Float64).alias(f"{column}_characters"),
        text.str.count_matches(r"\S+").cast(pl.Float64).alias(f"{column}_words"),
        (1 - letters / characters.clip(1)).cast(pl.Float64).alias(f"{column}_non_letters"),
    )


def oddness(reference: Sequence[str], current: Sequence[str], *, seed: int) -> tuple[NDArray[np.float64], ...]:
    """How unlike the reference's spelling each text is: mean surprise in bits of its character triples.

    Garbled text keeps its length but not its spelling. The triples are counted in one half of the
    reference's distinct texts; texts of that half are NaN in both windows, since a text is never odd
    beside itself: scoring the reference on itself would make every new text look like drift.

    Returns:
        Two float64 arrays, ``(len(reference),)`` and ``(len(current),)``.
    """
    fitted = sorted({text for text in reference if _fitted_on(text, seed)})
    codes, counts = np.unique(np.concatenate([_triples(text) for text in ["", *fitted]]), return_counts=True)
    surprise = np.log2(counts.sum() + 1) - np.log2([*counts, _NEVER_SEEN])
    known: dict[str, float] = {}
    for text in {*reference, *current}:
        known[text] = np.nan if _fitted_on(text, seed) else _mean_surprise(_triples(text), codes, surprise)
    return tuple(np.asarray([known[text] for text in part], dtype=np.float64) for part in (reference, current))


def category_labels(reference: Sequence[str | None], current: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """The first level of the category paths that tells rows apart.

    Catalogues often open every path with the shop's own name; that level says nothing.
    """
    paths = [_LEVELS.split(path.strip()) if path and path.strip() else [NO_CATEGORY] for path in (*reference, *current)]
    depth = max((len(path) for path in paths), default=1)
    labels: list[str] = []
    for level in range(depth):
        labels = [path[min(level, len(path) - 1)] for path in paths]
        _, counts = np.unique(np.asarray(labels, dtype=str), return_counts=True)
        if counts.size and counts.max() < _COMMONEST_SHARE * len(labels):
            return labels[: len(reference)], labels[len(reference) :]
    labels = [path[0] for path in paths]
    return labels[: len(reference)], labels[len(reference) :]


def _fitted_on(text: str, seed: int) -> bool:
    # A cryptographic hash: a checksum's bits follow the text's own and would halve a catalogue of like titles badly.
    key = seed.to_bytes(8, "little", signed=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=1, key=key).digest()[0] % 2 == 0


def _triples(text: str) -> NDArray[np.int64]:
    points = np.frombuffer(f"  {text.lower()}  ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    return (points[:-2] << 2 * _CODE_BITS) | (points[1:-1] << _CODE_BITS) | points[2:]


def _mean_surprise(triples: NDArray[np.int64], codes: NDArray[np.int64], surprise: NDArray[np.float64]) -> float:
    place = np.searchsorted(codes, triples).clip(max=len(codes) - 1)
    return float(surprise[np.where(codes[place] == triples, place, len(codes))].mean())
