"""Ranks of the targets among all items, by counting and never by sorting.

The rank of a target is 1 + the items that score higher + half the other items that score the same. Both counts come
from one pass over a block of scores. The rank without the user's history follows by subtracting the few history items,
so each model computes its scores once.

Shape legend: B examples of a block, E examples, N items, P (example, item) pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from learn.data import Examples, Histories


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


def flatten_histories(
    histories: Histories, examples: Examples, rows: slice, *, last: int | None = None
) -> HistoryPairs:
    """Flatten the histories of the examples ``rows``.

    Args:
        histories: The histories that the examples refer to.
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


def build_history_profile(
    histories: Histories, examples: Examples, rows: slice, *, last: int | None = None, decay: float = 1.0
) -> sparse.csr_array:
    """Return the block's histories as (B, N) float32 rows that hold ``decay ** age`` at each item of the history."""
    pairs = flatten_histories(histories, examples, rows, last=last)
    weights = np.power(decay, pairs.ages).astype(np.float32)
    shape = (rows.stop - rows.start, histories.item_count)
    return sparse.csr_array((weights, (pairs.rows, pairs.items)), shape=shape)


def empty_histories(examples: Examples, rows: slice) -> NDArray[np.bool_]:
    """Return (B,) bool: which examples of the block have no history at all."""
    empty: NDArray[np.bool_] = np.asarray(examples.stops[rows]) <= np.asarray(examples.starts[rows])
    return empty


# Most scores of one block; above it fewer users are scored at a time.
_BLOCK_BYTES = 256 * 2**20
# Scores compared at a time: they and the result of the comparison stay in a core's cache (measured: nine times
# faster than comparing the whole block).
_TILE_BYTES = 512 * 2**10


class Scorer(Protocol):
    """A model that can be ranked: it scores every item of the catalogue for a block of examples."""

    @property
    def name(self) -> str:
        """The model's name in the tables, e.g. ``popularity``."""
        ...

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """Score all items for the examples ``rows``.

        Args:
            histories: All histories; of an example only ``items[starts:stops]`` may be read.
            examples: The examples, all of them.
            rows: Which of them to score: a slice with step 1 inside ``range(len(examples))``.

        Returns:
            (B, N) float32 on any device, higher is better. ``-inf`` means "never recommended"; the whole row
            is ``-inf`` if the model recommends nothing. The caller does not change it.
        """
        ...


@dataclass(frozen=True)
class Ranks:
    """Rank of each example's target among all items; 1 is best, ``inf`` a miss.

    Attributes:
        masked: (E,) float64, with the example's history left out of the ranking. A target that is in the
            history cannot be reached and is a miss.
        unmasked: (E,) float64, over the whole catalogue.
    """

    masked: NDArray[np.float64]
    unmasked: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.masked)


def rank_targets(scorer: Scorer, histories: Histories, examples: Examples, *, block_users: int) -> Ranks:
    """Rank every example's target, with the history masked and without, in one pass over the scores.

    Args:
        scorer: The model.
        histories: The histories that the examples refer to.
        examples: Histories and targets.
        block_users: Examples scored at a time; fewer if their scores would exceed 256 MiB.

    Raises:
        ValueError: The scorer returned another shape than (B, N).
    """
    masked = np.empty(len(examples), dtype=np.float64)
    unmasked = np.empty(len(examples), dtype=np.float64)
    for rows in iterate_blocks(len(examples), histories.item_count, block_users=block_users):
        scores = scorer.score(histories, examples, rows)
        if scores.shape != (rows.stop - rows.start, histories.item_count):
            expected = (rows.stop - rows.start, histories.item_count)
            raise ValueError(f"{scorer.name} returned scores of shape {tuple(scores.shape)}, not {expected}")
        seen = flatten_histories(histories, examples, rows)
        ranks = rank_block(scores, np.asarray(examples.targets[rows]), seen)
        masked[rows], unmasked[rows] = ranks.masked, ranks.unmasked
    return Ranks(masked, unmasked)


def iterate_blocks(examples: int, items: int, *, block_users: int) -> Iterator[slice]:
    """Cut ``range(examples)`` into blocks whose float32 scores over ``items`` stay within 256 MiB."""
    step = max(1, min(block_users, _BLOCK_BYTES // (4 * max(items, 1))))
    for start in range(0, examples, step):
        yield slice(start, min(start + step, examples))


def iterate_tiles(examples: int, items: int, *, scores: int) -> Iterator[slice]:
    """Cut ``range(examples)`` into tiles of at most ``scores`` scores over ``items``, or of one example.

    A tile that fits a core's cache can be read many times at little cost.
    """
    return iterate_blocks(examples, items, block_users=max(1, scores // max(items, 1)))


def rank_block(scores: Tensor, targets: NDArray[np.integer], seen: HistoryPairs) -> Ranks:
    """Rank the targets of one block.

    Args:
        scores: (B, N) float32; they are not changed.
        targets: (B,) item indices.
        seen: The block's history items, each pair once.
    """
    wanted = torch.from_numpy(targets.astype(np.int64)).to(scores.device)[:, None]  # (B, 1)
    level = scores.gather(1, wanted)  # (B, 1)
    above, level_or_above = _count_above(scores, level)
    unmasked = 0.5 + 0.5 * (above + level_or_above)
    seen_above, seen_level, seen_target = _count_history_above(scores, level[:, 0], targets, seen)
    masked = unmasked - seen_above - 0.5 * seen_level
    reached = (level > -torch.inf)[:, 0].cpu().numpy()
    return Ranks(np.where(reached & ~seen_target, masked, np.inf), np.where(reached, unmasked, np.inf))


def _count_above(scores: Tensor, level: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count per row the scores above ``level`` (B, 1), and those not below it."""
    rows, items = scores.shape
    step = max(1, _TILE_BYTES // (4 * max(items, 1))) if scores.device.type == "cpu" else max(rows, 1)
    # Comparing into float32 vectorises the sum, which is exact up to 2^24 items.
    tile = torch.empty((min(step, rows), items), dtype=torch.float32, device=scores.device)  # (b, N)
    above = torch.empty(rows, dtype=torch.float32, device=scores.device)  # (B,)
    level_or_above = torch.empty_like(above)  # (B,)
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows))
        compared = tile[: part.stop - start]
        torch.sum(torch.gt(scores[part], level[part], out=compared), dim=1, out=above[part])
        torch.sum(torch.ge(scores[part], level[part], out=compared), dim=1, out=level_or_above[part])
    return above.cpu().numpy().astype(np.float64), level_or_above.cpu().numpy().astype(np.float64)


def _count_history_above(
    scores: Tensor, level: Tensor, targets: NDArray[np.integer], seen: HistoryPairs
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Count per row the history items above the target, those level with it, and whether the target is one."""
    row, item = (torch.from_numpy(index).to(scores.device) for index in (seen.rows, seen.items))
    values, levels = scores[row, item], level[row]  # (P,), (P,)
    count = len(targets)
    above = np.bincount(seen.rows[(values > levels).cpu().numpy()], minlength=count)
    same = np.bincount(seen.rows[(values == levels).cpu().numpy()], minlength=count)
    has_target = np.zeros(count, dtype=np.bool_)
    has_target[seen.rows[seen.items == targets[seen.rows]]] = True
    return above.astype(np.float64), same.astype(np.float64), has_target
