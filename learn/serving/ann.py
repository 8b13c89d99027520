"""Approximate retrieval for large catalogues: an HNSW graph (usearch) over the bundle's vectors; filters hold.

Shape legend: n items of the bundle, d width of the vectors, q queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from learn.errors import BundleError
from learn.serving.retrieval import Candidates, Hits, Ranked, rank_exactly
from learn.serving.stacked_rows import StackedRows

_Matrix = NDArray[np.float32]

# HNSW's usual 16 neighbours, and the library's own effort while building. Searching takes more, since finding little is
# worse than waiting a millisecond: of 100,000 x 64 in 300 clusters, 128 found .79 of the best ten, 256 .92, 512 .998.
_NEIGHBOURS, _BUILD_EFFORT, _SEARCH_EFFORT = 16, 128, 512
# A filter that leaves less than this share is answered exactly: the graph would have to fetch too much.
_NARROW_SHARE = 0.1
_SPARE_TIMES, _SPARE = 2, 32
_AGAIN = "take another bundle, or run the flow again"


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
        index: The library's own.
    """

    index: Index

    @classmethod
    def read(cls, path: Path, *, count: int, dimension: int) -> AnnIndex:
        """Read a graph that was built.

        Raises:
            BundleError: It is none, or not of these vectors.
        """
        index = _empty(dimension)
        try:
            index.load(str(path))
        except (OSError, RuntimeError, ValueError) as fault:
            raise BundleError(f"The index cannot be read: {fault}.", where=path, fix=_AGAIN) from fault
        if len(index) != count or index.ndim != dimension:
            raise BundleError("The index is not of this bundle's vectors.", where=path, fix=_AGAIN)
        return cls(index)

    def nearest(self, query: _Matrix, count: int) -> NDArray[np.int64]:
        """Return up to ``count`` rows with large inner products with a query (d,)."""
        found = self.index.search(query, min(count, len(self.index)))
        return np.asarray(found.keys, dtype=np.int64)


@dataclass(frozen=True)
class AnnRanked:
    """A ranking that the graph is asked for as far as it is needed.

    Attributes:
        index: The graph.
        vectors: All vectors; those below the bundle's are always scored.
        query: (d,) float32.
        candidates: Items that may come back.
    """

    index: AnnIndex
    vectors: StackedRows
    query: _Matrix
    candidates: Candidates

    def best(self, k: int) -> Hits:
        """Return the k best that were found; exactly where the graph finds too few."""
        bundled, allowed = len(self.vectors.bundled), self.candidates.rows
        share = 1.0 if allowed is None else len(allowed) / len(self.vectors)
        fetched = int(_SPARE_TIMES * k / max(share, _NARROW_SHARE)) + len(self.candidates.excluded) + _SPARE
        if share >= _NARROW_SHARE and fetched <= _NARROW_SHARE * bundled:
            hits = rank_exactly(self.vectors, self.query, self._found(fetched)).best(k)
            if len(hits.rows) == k:
                return hits
        return rank_exactly(self.vectors, self.query, self.candidates).best(k)

    def _found(self, count: int) -> Candidates:
        """Return what the graph finds, and all that is not in it, as far as it may come back."""
        added = np.arange(len(self.vectors.bundled), len(self.vectors))
        rows = np.sort(np.concatenate([self.index.nearest(self.query, count), added]))
        rows = rows[~np.isin(rows, self.candidates.excluded)]
        allowed = self.candidates.rows
        if allowed is not None:
            places = np.minimum(np.searchsorted(allowed, rows), len(allowed) - 1)
            rows = rows[allowed[places] == rows]
        return Candidates(rows, self.candidates.excluded)


def measured_recall(index: AnnIndex, vectors: _Matrix, queries: _Matrix, *, k: int = 10) -> float:
    """Return the share of the exact k best of vectors (n, d) that come back, over queries (q, d)."""
    stacked, everything = StackedRows.of(vectors), Candidates(None, np.empty(0, dtype=np.int64))
    found = wanted = 0
    for query in queries:
        exact = rank_exactly(stacked, query, everything).best(k).rows
        found += len(np.intersect1d(rank(stacked, query, everything, index).best(k).rows, exact))
        wanted += len(exact)
    return found / max(wanted, 1)


def rank(vectors: StackedRows, query: _Matrix, candidates: Candidates, index: AnnIndex | None) -> Ranked:
    """Rank the candidates by their inner product with a query (d,), by the graph where there is one."""
    if index is None:
        return rank_exactly(vectors, query, candidates)
    return AnnRanked(index, vectors, query, candidates)


def _empty(dimension: int) -> Index:
    return Index(
        ndim=dimension,
        metric="ip",
        # Half the memory; what the graph finds is scored anew in float32.
        dtype="bf16",
        connectivity=_NEIGHBOURS,
        expansion_add=_BUILD_EFFORT,
        expansion_search=_SEARCH_EFFORT,
    )
