"""Vectors of single fields behind the whole prompt's: an item's line holds several texts, its row as many vectors."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

SEPARATOR = "\x1f"
"""Stands between the texts of a line: ASCII's unit separator, which cleaning takes out of every text."""


def texts_of(lines: Iterable[str], *, blocks: int) -> list[str]:
    """The texts of some items, (n * blocks), those of an item after each other.

    Args:
        lines: Of the prompt. A line with fewer texts than blocks is one of free text: its fields are empty.
        blocks: Vectors of an item: the whole prompt's and one for each field that has its own.
    """
    if blocks == 1:
        return list(lines)
    apart = (line.split(SEPARATOR) for line in lines)
    return list(itertools.chain.from_iterable((texts + [""] * blocks)[:blocks] for texts in apart))


def weigh_fields(rows: npt.NDArray[np.float32], *, said: npt.NDArray[np.bool_]) -> None:
    """Turn unit vectors that stand side by side into one unit vector an item, in place.

    A field that an item does not have gets zeros and takes no part in the length, so that the inner product of two
    items is a mean over the fields.

    Args:
        rows: (n, blocks * c) float32, unit vectors after each other.
        said: (n, blocks), which of an item's texts hold anything; the whole prompt's counts in any case.
    """
    n, blocks = said.shape
    if blocks == 1:
        return
    present = said.copy()
    present[:, 0] = True
    weights = (present / np.sqrt(present.sum(axis=1, keepdims=True))).astype(np.float32)  # (n, blocks)
    rows.reshape(n, blocks, -1)[:] *= weights[:, :, None]


def rows_of(vectors: npt.NDArray[np.float32], texts: Sequence[str], *, blocks: int) -> npt.NDArray[np.float32]:
    """The rows of some items, (n, blocks * c), from the unit vectors (n * blocks, c) of their texts."""
    rows = vectors.reshape(len(texts) // blocks, -1)  # (n, blocks * c)
    weigh_fields(rows, said=np.array([bool(text) for text in texts]).reshape(-1, blocks))
    return rows
