"""Recall@k along k: where in the lists the targets stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CURVE_CUTOFFS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)
"""The k of the curve: each place of the first ten, which are what a page shows, then fewer and fewer."""


def recall_curve(ranks: NDArray[np.float64]) -> list[float]:
    """Return Recall@k for each of :data:`CURVE_CUTOFFS`, NaN where there are no examples.

    Args:
        ranks: (E,) ranks, 1 is best, ``inf`` a miss; halves stand for ties.
    """
    if len(ranks) == 0:
        return [float("nan")] * len(CURVE_CUTOFFS)
    reached = np.searchsorted(np.sort(ranks), CURVE_CUTOFFS, side="right")  # (K,): examples with rank <= k
    return [float(share) for share in reached / len(ranks)]
