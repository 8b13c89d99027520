"""Rows of a bundle, which never change, with rows that came at run time below them.

Shape legend: n rows of the bundle, m rows below, d width, B vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class StackedRows:
    """One matrix in two parts, so that a new item copies nothing of the bundle.

    Attributes:
        bundled: (n, d) float32.
        added: (m, d) float32.
    """

    bundled: _Matrix
    added: _Matrix

    @classmethod
    def of(cls, bundled: _Matrix) -> StackedRows:
        """Return rows with nothing below them."""
        return cls(bundled, np.empty((0, bundled.shape[1]), dtype=np.float32))

    def __len__(self) -> int:
        return len(self.bundled) + len(self.added)

    def take(self, rows: NDArray[np.int64]) -> _Matrix:
        """Return the rows (r,) asked for, (r, d), in memory of their own."""
        if not len(self.added):
            taken: _Matrix = self.bundled[rows]
            return taken
        taken = self.bundled[np.minimum(rows, len(self.bundled) - 1)]
        below = rows >= len(self.bundled)
        taken[below] = self.added[rows[below] - len(self.bundled)]
        return taken

    def times(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the inner product of every row with a vector (d,): (n + m,)."""
        products = np.empty(len(self), dtype=np.float32)
        np.dot(self.bundled, vector, out=products[: len(self.bundled)])
        if len(self.added):
            np.dot(self.added, vector, out=products[len(self.bundled) :])
        return products

    def times_each(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the inner products of every row with each of some vectors (B, d): (B, n + m)."""
        products = vectors @ self.bundled.T  # (B, n)
        if not len(self.added):
            return products
        return np.concatenate([products, vectors @ self.added.T], axis=1)  # (B, n + m)
