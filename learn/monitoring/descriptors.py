"""What a drift report looks at in an item's text: numbers per item, read off its columns."""

from __future__ import annotations

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


def oddness(reference: Sequence[str], current: Sequence[str]) -> tuple[NDArray[np.float64], ...]:
    """How unlike the reference's spelling each text is: mean surprise in bits of its character triples.

    Garbled text keeps its length but not its spelling. The triples are counted in the reference's distinct texts, and
    each text is scored by the others alone: a text is never odd beside itself, so that counting it in would make every
    new text look like drift.

    Returns:
        Two float64 arrays, ``(len(reference),)`` and ``(len(current),)``.
    """
    fitted, new = sorted(set(reference)), sorted(set(current) - set(reference))
    texts = ["", *fitted, *new]
    triples = [_triples(text) for text in texts]
    lengths = np.asarray([len(each) for each in triples])
    counted = np.arange(len(texts)) <= len(fitted)
    codes, places = np.unique(np.concatenate(triples), return_inverse=True)
    rows = np.repeat(np.arange(len(texts)), lengths)
    counts = np.bincount(places[counted[rows]], minlength=len(codes))
    # Each text's different triples, with how often it has them itself: that is taken out of the counts.
    found, times = np.unique(rows * len(codes) + places, return_counts=True)
    row, place = np.divmod(found, len(codes))
    others = counts[place] - np.where(counted[row], times, 0)
    totals = counts.sum() - np.where(counted, lengths, 0)
    surprise = np.log2(totals[row] + 1) - np.log2(np.maximum(others, _NEVER_SEEN))
    means = np.bincount(row, weights=times * surprise) / lengths
    known = dict(zip(texts, means, strict=True))
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


def _triples(text: str) -> NDArray[np.int64]:
    points = np.frombuffer(f"  {text.lower()}  ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    return (points[:-2] << 2 * _CODE_BITS) | (points[1:-1] << _CODE_BITS) | points[2:]
