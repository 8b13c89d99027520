"""Do the lists show as many items as before, and share the places as evenly?

Both figures hang on how many lists there are, so equally many of both sides are looked at, and their scatter is
learned by swapping whole lists between the sides: places of one list hang together.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from learn.monitoring.two_sample import Comparison

_MOST_LISTS = 1_000
_SWAPS = 300
"""The figures sum over many items, so their scatter under swaps is a bell curve that 300 draws measure to a
twentieth; its tail then gives p-values that would else take tens of thousands."""

Figure = Callable[[NDArray[np.int64]], float]


def coverage(counts: NDArray[np.int64]) -> float:
    """Items shown at least once."""
    return float(np.count_nonzero(counts))


def concentration(counts: NDArray[np.int64]) -> float:
    """Gini coefficient of the places that items hold: 0 all equally, near 1 a few only."""
    ordered = np.sort(counts)
    total = int(ordered.sum())
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * ranks - len(ordered) - 1) @ ordered) / max(1, len(ordered) * total)


def compare_lists(
    reference: NDArray[np.int64], current: NDArray[np.int64], *, figure: Figure, rng: np.random.Generator
) -> Comparison:
    """Compare a figure of two sides' lists, ``(n, k)`` and ``(m, k)`` item numbers from 0.

    The effect is the difference of the figures, relative to the larger.
    """
    rows = min(len(reference), len(current), _MOST_LISTS)
    lists = np.concatenate([part[rng.permutation(len(part))[:rows]] for part in (reference, current)])  # (2 rows, k)
    size = int(lists.max()) + 1
    pooled = np.bincount(lists.ravel(), minlength=size)

    def figures(chosen: NDArray[np.int64]) -> tuple[float, float]:
        counts = np.bincount(lists[chosen].ravel(), minlength=size)
        return figure(counts), figure(pooled - counts)

    observed = figures(np.arange(rows))
    swapped = [figures(rng.permutation(2 * rows)[:rows]) for _ in range(_SWAPS)]
    by_chance = np.std([one - other for one, other in swapped])
    difference = abs(observed[0] - observed[1])
    p_value = 1.0 if difference == 0 else 0.0 if by_chance == 0 else math.erfc(difference / by_chance / math.sqrt(2))
    return Comparison(effect=difference / max(*observed, 1e-12), p_value=max(p_value, 1e-300))
