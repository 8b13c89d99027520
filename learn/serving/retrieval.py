"""Exact retrieval: the k items with the largest inner product.

Shape legend: n items, d width of the vectors, r rows that may come back, x rows that must not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from learn.serving.stacked_rows import StackedRows

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]

# Below this share of the catalogue, fetching the rows costs less than scoring all of it (measured: 17,000 x 896 and
# 500,000 x 64).
_NARROW_SHARE = 0.1


def top_k(scores: Scores, k: int) -> Rows:
    """Return the rows of the k largest scores, best first; of equal scores the lower row comes first.

    Args:
        scores: (n,) without NaN; -inf takes an item out.
        k: Rows wanted, at least 1; fewer come back where fewer exist.
    """
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        # All rows at the threshold, not just enough of them: the lower rows must win a tie.
        rows = np.flatnonzero(scores >= threshold)
    else:
        rows = np.arange(len(scores))
    ranked = rows[np.argsort(-scores[rows], kind="stable")][:k]
    return ranked[scores[ranked] > -np.inf]


@dataclass(frozen=True)
class Hits:
    """What a search found, best first.

    Attributes:
        rows: (k,) int64 item indices.
        scores: (k,) float32.
    """

    rows: Rows
    scores: Scores

    def chosen(self, places: Rows) -> Hits:
        """Return the hits at these places, in their order."""
        return Hits(self.rows[places], self.scores[places])


@dataclass(frozen=True)
class Candidates:
    """Which items may come back.

    Attributes:
        rows: (r,) ascending item indices; None: all of the catalogue but ``excluded``.
        excluded: (x,) item indices that must not come back, where ``rows`` is None.
    """

    rows: Rows | None
    excluded: Rows


class Ranked(Protocol):
    """A ranking that is known as far as it was asked for."""

    def best(self, k: int) -> Hits:
        """Return its k best; fewer where fewer exist."""
        ...


@dataclass(frozen=True)
class ExactRanked:
    """A ranking by scores that are all known.

    Attributes:
        scores: (n,) float32, or (r,) of the rows; -inf takes an item out.
        rows: (r,) item indices; None: all.
    """

    scores: Scores
    rows: Rows | None = None

    def best(self, k: int) -> Hits:
        """Return the k best; of equal scores the lower row comes first."""
        places = top_k(self.scores, k)
        return Hits(places if self.rows is None else self.rows[places], self.scores[places])


def rank_exactly(vectors: StackedRows, query: Scores, candidates: Candidates) -> ExactRanked:
    """Score every candidate by its inner product with a query.

    Args:
        vectors: (n, d) float32.
        query: (d,) float32.
        candidates: Items that may come back.
    """
    rows = candidates.rows
    if rows is not None and len(rows) < _NARROW_SHARE * len(vectors):
        return ExactRanked(vectors.take(rows) @ query, rows)
    return rank_scored(vectors.times(query), candidates)


def rank_scored(scores: Scores, candidates: Candidates) -> ExactRanked:
    """Rank the candidates by scores of all items.

    Args:
        scores: (n,) float32; written to.
        candidates: Items that may come back.
    """
    if candidates.rows is None:
        scores[candidates.excluded] = -np.inf
        return ExactRanked(scores)
    return ExactRanked(scores[candidates.rows], candidates.rows)


@dataclass(frozen=True)
class OrderRanked:
    """A ranking that was known before the question.

    Attributes:
        order: (r,) item indices, best first.
        numbers: (n,) what they are ranked by, of all items.
    """

    order: Rows
    numbers: NDArray[np.int64]

    def best(self, k: int) -> Hits:
        """Return the first k."""
        rows = self.order[:k]
        return Hits(rows, self.numbers[rows].astype(np.float32))
