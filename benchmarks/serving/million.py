"""A large catalogue in process: exact and approximate search over vectors in clusters, as those of a shop are."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.results import Million
from learn.retrieval import AnnIndex, AppendableMatrix, Candidates, build_index, measure_recall, rank, rank_exactly

DIMENSION = 64
_CLUSTERS_PER_MILLION, _SPREAD, _QUERIES, _RECALL_QUERIES, _K = 3_000, 0.5, 200, 200, 10
_NOBODY = np.empty(0, dtype=np.int64)


def measure_million(*, items: int) -> Million:
    """Build the index, load it, and search both ways; one thread asks."""
    draw = np.random.default_rng(0)
    centres = _normalise(draw.standard_normal((max(1, items * _CLUSTERS_PER_MILLION // 1_000_000), DIMENSION)))
    vectors, queries = _draw_around(centres, items, draw), _draw_around(centres, _QUERIES, draw)
    with tempfile.TemporaryDirectory(prefix="learn-ann-") as folder:
        path = Path(folder) / "index"
        print(f"building the index of {items:,} vectors", flush=True)
        started = time.perf_counter()
        build_index(vectors, path)
        built = time.perf_counter()
        index = AnnIndex.read(path, count=items, dimension=DIMENSION)
        loaded = time.perf_counter()
        size = path.stat().st_size
    stacked, everything = AppendableMatrix.from_rows(vectors), Candidates(None, _NOBODY)
    exact = _time_milliseconds(lambda query: rank_exactly(stacked, query, everything).select_best(_K), queries)
    approximate = _time_milliseconds(lambda query: rank(stacked, query, everything, index).select_best(_K), queries)
    return Million(
        items=items,
        dimension=DIMENSION,
        exact_p50_milliseconds=float(np.percentile(exact, 50)),
        exact_p95_milliseconds=float(np.percentile(exact, 95)),
        ann_p50_milliseconds=float(np.percentile(approximate, 50)),
        ann_p95_milliseconds=float(np.percentile(approximate, 95)),
        ann_recall10=measure_recall(index, vectors, queries[:_RECALL_QUERIES], k=_K),
        build_seconds=built - started,
        load_seconds=loaded - built,
        vectors_bytes=vectors.nbytes,
        index_bytes=size,
    )


def _draw_around(centres: NDArray[np.float32], count: int, draw: np.random.Generator) -> NDArray[np.float32]:
    noise = draw.standard_normal((count, DIMENSION), dtype=np.float32) * np.float32(_SPREAD / DIMENSION**0.5)
    noise += centres[draw.integers(0, len(centres), count)]
    return _normalise(noise)


def _normalise(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / lengths, dtype=np.float32)


def _time_milliseconds(search: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32]) -> list[float]:
    search(queries[0])
    spent = []
    for query in queries:
        started = time.perf_counter()
        search(query)
        spent.append(1e3 * (time.perf_counter() - started))
    return spent
