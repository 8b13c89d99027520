"""Exact retrieval: the k items with the largest inner product.

Shape legend: n items, d width of the vectors, x items excluded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def top_k(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
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

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


class ExactRetriever:
    """Scores every item of the catalogue.

    Args:
        vectors: (n, d) float32.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = torch.tensor(vectors)

    @torch.inference_mode()
    def search(self, user: Tensor, *, k: int, excluded: NDArray[np.int64]) -> Hits:
        """Return the k best items for a user vector.

        Args:
            user: (d,) float32.
            k: Items wanted; fewer come back where fewer exist.
            excluded: (x,) item indices that must not come back.
        """
        scores: NDArray[np.float32] = torch.mv(self._vectors, user).numpy()
        scores[excluded] = -np.inf
        rows = top_k(scores, k)
        return Hits(rows, scores[rows])
