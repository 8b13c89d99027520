"""The k items with the largest inner product: exact, or by an HNSW graph (usearch) for large catalogues.

Filters apply in both. The rows of a bundle never change; rows added at run time are appended below them.

Shape legend: n rows of the bundle, m appended rows, d width of the vectors, B or q queries, r rows that may come back,
x rows that must not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from learn.errors import BundleError

_Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class AppendableMatrix:
    """One matrix in two parts, so that adding an item does not copy the bundle's part.

    Attributes:
        bundled: (n, d) float32.
        added: (m, d) float32.
    """

    bundled: _Matrix
    added: _Matrix

    @classmethod
    def from_rows(cls, bundled: _Matrix) -> AppendableMatrix:
        """Return rows without any added ones."""
        return cls(bundled, np.empty((0, bundled.shape[1]), dtype=np.float32))

    def __len__(self) -> int:
        return len(self.bundled) + len(self.added)

    def take(self, rows: NDArray[np.int64]) -> _Matrix:
        """Return a copy of the requested rows (r,): (r, d)."""
        if not len(self.added):
            taken: _Matrix = self.bundled[rows]
            return taken
        taken = self.bundled[np.minimum(rows, len(self.bundled) - 1)]
        below = rows >= len(self.bundled)
        taken[below] = self.added[rows[below] - len(self.bundled)]
        return taken

    def multiply(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the inner product of every row with a vector (d,): (n + m,)."""
        products = np.empty(len(self), dtype=np.float32)
        np.dot(self.bundled, vector, out=products[: len(self.bundled)])
        if len(self.added):
            np.dot(self.added, vector, out=products[len(self.bundled) :])
        return products

    def multiply_each(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the inner products of every row with each of some vectors (B, d): (B, n + m)."""
        products = vectors @ self.bundled.T  # (B, n)
        if not len(self.added):
            return products
        return np.concatenate([products, vectors @ self.added.T], axis=1)  # (B, n + m)


Rows = NDArray[np.int64]
Scores = NDArray[np.float32]

# Below this share of the catalogue, fetching the rows costs less than scoring all of it (measured: 17,000 x 896 and
# 500,000 x 64).
_NARROW_SHARE = 0.1


def select_top_k(scores: Scores, k: int) -> Rows:
    """Return the rows of the k largest scores, best first; of equal scores the lower row comes first.

    Args:
        scores: (n,) without NaN; -inf excludes an item.
        k: Number of rows, at least 1; fewer are returned if fewer exist.
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
    """The results of a search, best first.

    Attributes:
        rows: (k,) int64 item indices.
        scores: (k,) float32.
    """

    rows: Rows
    scores: Scores

    def select(self, places: Rows) -> Hits:
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
    """A ranking that is computed only as far as requested."""

    def select_best(self, k: int) -> Hits:
        """Return its k best; fewer if fewer exist."""
        ...


@dataclass(frozen=True)
class ExactRanked:
    """A ranking by scores that are all known.

    Attributes:
        scores: (n,) float32, or (r,) of the rows; -inf excludes an item.
        rows: (r,) item indices; None: all.
    """

    scores: Scores
    rows: Rows | None = None

    def select_best(self, k: int) -> Hits:
        """Return the k best; of equal scores the lower row comes first."""
        places = select_top_k(self.scores, k)
        return Hits(places if self.rows is None else self.rows[places], self.scores[places])


def rank_exactly(vectors: AppendableMatrix, query: Scores, candidates: Candidates) -> ExactRanked:
    """Score every candidate by its inner product with a query.

    Args:
        vectors: (n, d) float32.
        query: (d,) float32.
        candidates: Items that may come back.
    """
    rows = candidates.rows
    if rows is not None and len(rows) < _NARROW_SHARE * len(vectors):
        return ExactRanked(vectors.take(rows) @ query, rows)
    return rank_scored(vectors.multiply(query), candidates)


def rank_scored(scores: Scores, candidates: Candidates) -> ExactRanked:
    """Rank the candidates by scores of all items.

    Args:
        scores: (n,) float32; it is changed.
        candidates: Items that may come back.
    """
    if candidates.rows is None:
        scores[candidates.excluded] = -np.inf
        return ExactRanked(scores)
    return ExactRanked(scores[candidates.rows], candidates.rows)


@dataclass(frozen=True)
class OrderRanked:
    """A ranking that was computed in advance.

    Attributes:
        order: (r,) item indices, best first.
        numbers: (n,) the value of every item that they are ranked by.
    """

    order: Rows
    numbers: NDArray[np.int64]

    def select_best(self, k: int) -> Hits:
        """Return the first k."""
        rows = self.order[:k]
        return Hits(rows, self.numbers[rows].astype(np.float32))


# HNSW's usual 16 neighbours, and the library's default effort while building. Searching takes more, because low recall
# is worse than waiting a millisecond: of 100,000 x 64 in 300 clusters, 128 found .79 of the best ten, 256 .92, 512
# .998.
_NEIGHBOURS, _BUILD_EFFORT, _SEARCH_EFFORT = 16, 128, 512
_SPARE_TIMES, _SPARE = 2, 32
_AGAIN = "use another bundle, or train again to make a new one"


def build_index(vectors: _Matrix, path: Path) -> None:
    """Build the graph over vectors (n, d) and write it to a file.

    Args:
        vectors: (n, d) float32.
        path: The file.
    """
    index = _empty(vectors.shape[1])
    index.add(np.arange(len(vectors)), vectors)
    index.save(str(path))


@dataclass(frozen=True)
class AnnIndex:
    """The graph over a bundle's vectors.

    Attributes:
        index: The library's index.
    """

    index: Index

    @classmethod
    def read(cls, path: Path, *, count: int, dimension: int) -> AnnIndex:
        """Read a graph from its file.

        Raises:
            BundleError: The file is not a graph, or belongs to other vectors.
        """
        index = _empty(dimension)
        try:
            index.load(str(path))
        except (OSError, RuntimeError, ValueError) as fault:
            raise BundleError(f"The index cannot be read: {fault}.", where=path, fix=_AGAIN) from fault
        if len(index) != count or index.ndim != dimension:
            raise BundleError("The index belongs to other vectors than this bundle's.", where=path, fix=_AGAIN)
        return cls(index)

    def search(self, query: _Matrix, count: int) -> NDArray[np.int64]:
        """Return up to ``count`` rows with large inner products with a query (d,)."""
        found = self.index.search(query, min(count, len(self.index)))
        return np.asarray(found.keys, dtype=np.int64)


@dataclass(frozen=True)
class AnnRanked:
    """A ranking that searches the graph only as far as needed.

    Attributes:
        index: The graph.
        vectors: All vectors; those added at run time are always scored.
        query: (d,) float32.
        candidates: Items that may come back.
    """

    index: AnnIndex
    vectors: AppendableMatrix
    query: _Matrix
    candidates: Candidates

    def select_best(self, k: int) -> Hits:
        """Return the k best that were found; the exact ones if the graph finds too few."""
        bundled, allowed = len(self.vectors.bundled), self.candidates.rows
        share = 1.0 if allowed is None else len(allowed) / len(self.vectors)
        fetched = int(_SPARE_TIMES * k / max(share, _NARROW_SHARE)) + len(self.candidates.excluded) + _SPARE
        if share >= _NARROW_SHARE and fetched <= _NARROW_SHARE * bundled:
            hits = rank_exactly(self.vectors, self.query, self._find_candidates(fetched)).select_best(k)
            if len(hits.rows) == k:
                return hits
        return rank_exactly(self.vectors, self.query, self.candidates).select_best(k)

    def _find_candidates(self, count: int) -> Candidates:
        """Return the graph's results and all items that are not in it, without excluded ones."""
        added = np.arange(len(self.vectors.bundled), len(self.vectors))
        rows = np.sort(np.concatenate([self.index.search(self.query, count), added]))
        rows = rows[~np.isin(rows, self.candidates.excluded)]
        allowed = self.candidates.rows
        if allowed is not None:
            places = np.minimum(np.searchsorted(allowed, rows), len(allowed) - 1)
            rows = rows[allowed[places] == rows]
        return Candidates(rows, self.candidates.excluded)


def measure_recall(index: AnnIndex, vectors: _Matrix, queries: _Matrix, *, k: int = 10) -> float:
    """Return the share of the exact k best of vectors (n, d) that the graph finds, over queries (q, d)."""
    stacked, everything = AppendableMatrix.from_rows(vectors), Candidates(None, np.empty(0, dtype=np.int64))
    found = wanted = 0
    for query in queries:
        exact = rank_exactly(stacked, query, everything).select_best(k).rows
        found += len(np.intersect1d(rank(stacked, query, everything, index).select_best(k).rows, exact))
        wanted += len(exact)
    return found / max(wanted, 1)


def rank(vectors: AppendableMatrix, query: _Matrix, candidates: Candidates, index: AnnIndex | None) -> Ranked:
    """Rank the candidates by their inner product with a query (d,), by the graph if there is one."""
    if index is None:
        return rank_exactly(vectors, query, candidates)
    return AnnRanked(index, vectors, query, candidates)


def _empty(dimension: int) -> Index:
    return Index(
        ndim=dimension,
        metric="ip",
        # Half the memory; the graph's results are scored again in float32.
        dtype="bf16",
        connectivity=_NEIGHBOURS,
        expansion_add=_BUILD_EFFORT,
        expansion_search=_SEARCH_EFFORT,
    )
