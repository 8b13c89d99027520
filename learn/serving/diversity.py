"""Lists that do not repeat themselves: maximal marginal relevance, and caps per value of a column.

Shape legend: p items of a pool, k items of a list, d width of the vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learn.serving.retrieval import Hits, Ranked

# A pool holds what could stand in the list: wide enough to choose from, and not so wide that k = 1,000 takes seconds.
_SMALLEST_POOL, _POOL_TIMES, _POOL_MORE = 100, 5, 400
_GROWTH = 4


@dataclass(frozen=True)
class Cap:
    """At most so many items of one value.

    Attributes:
        codes: (n,) int32 number of each item's value; 0 where it has none, and then it is not counted.
        at_most: Items of one value.
    """

    codes: NDArray[np.int32]
    at_most: int


def pool_size(k: int) -> int:
    """Return how many items a list of k is chosen from where it is to be diverse."""
    return max(_SMALLEST_POOL, min(_POOL_TIMES * k, k + _POOL_MORE))


def best_within_caps(ranked: Ranked, k: int, caps: Sequence[Cap]) -> Hits:
    """Return the k best that keep to the caps, taken greedily from the best down.

    With one cap k come back whenever k exist. Several can get into each other's way, as each taken item counts in all.
    """
    if not caps:
        return ranked.best(k)
    pool = _GROWTH * k
    while True:
        hits = ranked.best(pool)
        places = _places_within(hits, k, caps)
        if len(places) == k or len(hits.rows) < pool:
            return hits.chosen(places)
        pool *= _GROWTH


def diversified(hits: Hits, vectors: NDArray[np.float32], *, k: int, diversity: float) -> Hits:
    """Choose k of a pool by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    Each place goes to the largest ``(1 - diversity) * relevance - diversity * likeness``: relevance is the score scaled
    to 0..1 within the pool, likeness the largest cosine to what stands in the list already.

    Args:
        hits: The pool, best first.
        vectors: (p, d) float32 vectors of its items, in its order.
        k: Items wanted.
        diversity: 0 keeps the order, 1 looks at likeness alone behind the first item.
    """
    count = min(k, len(hits.rows))
    if count == 0:
        return hits
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)  # (p, d)
    spread = hits.scores.max() - hits.scores.min()
    relevance = (hits.scores - hits.scores.min()) / (spread or 1.0)  # (p,)
    # The first place is the best item's, whatever the diversity.
    chosen = [0]
    likeness = units @ units[0]  # (p,)
    taken = np.zeros(len(units), dtype=np.bool_)
    taken[0] = True
    while len(chosen) < count:
        gains = (1 - diversity) * relevance - diversity * likeness
        gains[taken] = -np.inf
        best = int(gains.argmax())
        taken[best] = True
        chosen.append(best)
        np.maximum(likeness, units @ units[best], out=likeness)
    return hits.chosen(np.array(chosen, dtype=np.int64))


def _places_within(hits: Hits, k: int, caps: Sequence[Cap]) -> NDArray[np.int64]:
    columns = [cap.codes[hits.rows].tolist() for cap in caps]
    counts: list[Counter[int]] = [Counter() for _ in caps]
    places: list[int] = []
    for place, codes in enumerate(zip(*columns, strict=True)):
        if any(code and count[code] >= cap.at_most for code, count, cap in zip(codes, counts, caps, strict=True)):
            continue
        places.append(place)
        for code, count in zip(codes, counts, strict=True):
            count[code] += 1
        if len(places) == k:
            break
    return np.array(places, dtype=np.int64)
