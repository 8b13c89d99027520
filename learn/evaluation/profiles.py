"""Histories of a block of examples as flat pairs and as sparse rows: what ranking masks and baselines read.

Shape legend: B examples of a block, N items, P (example, item) pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from learn.data.histories import Examples, Histories


@dataclass(frozen=True)
class HistoryPairs:
    """The items in the histories of a block, each item once per example, at its newest place.

    Attributes:
        rows: (P,) int64, example within the block.
        items: (P,) int64, item index.
        ages: (P,) int64, 0 for the newest item of a history, 1 for the one before it …
    """

    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    ages: NDArray[np.int64]


def history_pairs(histories: Histories, examples: Examples, rows: slice, *, last: int | None = None) -> HistoryPairs:
    """Flatten the histories of the examples ``rows``.

    Args:
        histories: What the examples point into.
        examples: All examples.
        rows: The block.
        last: Newest interactions read of each history; None reads them all.
    """
    stops = np.asarray(examples.stops[rows])
    lengths = stops - np.asarray(examples.starts[rows])
    if last is not None:
        lengths = np.minimum(lengths, last)
    row = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
    begins = np.cumsum(lengths) - lengths
    age = np.arange(len(row), dtype=np.int64) - begins[row]
    item = histories.items[stops[row] - 1 - age].astype(np.int64)
    # Newest first within a row, so the first of equal keys is the item's newest place.
    _, newest = np.unique(row * histories.item_count + item, return_index=True)
    return HistoryPairs(row[newest], item[newest], age[newest])


def history_profile(
    histories: Histories, examples: Examples, rows: slice, *, last: int | None = None, decay: float = 1.0
) -> sparse.csr_array:
    """Return the block's histories as (B, N) float32 rows that hold ``decay ** age`` at each item of the history."""
    pairs = history_pairs(histories, examples, rows, last=last)
    weights = np.power(decay, pairs.ages).astype(np.float32)
    shape = (rows.stop - rows.start, histories.item_count)
    return sparse.csr_array((weights, (pairs.rows, pairs.items)), shape=shape)


def empty_histories(examples: Examples, rows: slice) -> NDArray[np.bool_]:
    """Return (B,) bool: which examples of the block have no history at all."""
    empty: NDArray[np.bool_] = np.asarray(examples.stops[rows]) <= np.asarray(examples.starts[rows])
    return empty
