"""From flat histories to padded batches, without a Python loop over users.

Shape legend: B users, T positions, P real positions in the batch, S seen pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn.data import Histories

# Batches are cut from this many batches' worth of shuffled windows, sorted by length: little padding, still random.
_SORTED_BATCHES = 16
# Windows whose targets are counted at a time: with 50 positions each, they take some 100 MB.
_COUNTED_WINDOWS = 100_000


def pad_histories(
    items: NDArray[np.int32], starts: NDArray[np.int64], stops: NDArray[np.int64], *, max_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gather runs of ``items`` into one array, oldest first, padded with 0 on the right.

    Args:
        items: (N,) flat items of all users.
        starts: (B,) start of each run.
        stops: (B,) end of each run, exclusive.
        max_length: How many of the newest items of each run are kept.

    Returns:
        (B, T) int64 items and (B,) int64 lengths; T is the longest length kept, at least 1.
    """
    lengths = np.minimum(stops - starts, max_length)
    steps = np.arange(max(1, int(lengths.max(initial=0))))
    positions = (stops - lengths)[:, None] + steps  # (B, T)
    real = steps < lengths[:, None]
    padded = np.zeros(real.shape, dtype=np.int64)
    padded[real] = items[positions[real]]
    return padded, lengths


@dataclass(frozen=True)
class Batch:
    """Windows of users' training histories, and the item that came next at each position.

    Attributes:
        inputs: (B, T) int64 item indices, padded on the right.
        targets: (B, T) int64, the item after each position.
        real: (B, T) bool, False at the padding.
    """

    inputs: Tensor
    targets: Tensor
    real: Tensor

    def select(self, windows: slice) -> Batch:
        """Return some of the windows; the width stays."""
        return Batch(self.inputs[windows], self.targets[windows], self.real[windows])

    def list_seen_pairs(self) -> tuple[Tensor, Tensor]:
        """Return, for every real position, the items of its window up to and including it.

        Returns:
            (S,) int64 row among the real positions, and (S,) int64 item index.
        """
        length = self.inputs.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        batch, at, seen = (self.real.unsqueeze(2) & causal).nonzero(as_tuple=True)
        rows = (self.real.flatten().cumsum(0) - 1).view_as(self.real)
        return rows[batch, at], self.inputs[batch, seen]


class TrainingWindows:
    """All training histories cut into windows of at most ``max_length`` inputs, each with its targets.

    Args:
        histories: The split data; only the training part is read.
        max_length: Inputs of a window; longer histories give several windows, none sharing a target.
    """

    def __init__(self, histories: Histories, *, max_length: int) -> None:
        self._items = np.asarray(histories.items)
        starts, stops = np.asarray(histories.offsets[:-1]), np.asarray(histories.train_stops)
        pairs = np.maximum(stops - starts - 1, 0)
        windows = -(-pairs // max_length)
        user = np.repeat(np.arange(len(starts)), windows)
        nth_from_end = np.arange(len(user)) - np.repeat(np.cumsum(windows) - windows, windows)
        self.stops = stops[user] - nth_from_end * max_length
        self.starts = np.maximum(starts[user], self.stops - 1 - max_length)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def positions(self) -> int:
        """Positions of an epoch, padding not counted."""
        return int((self.stops - self.starts - 1).sum())

    def count_targets(self, *, items: int) -> NDArray[np.int64]:
        """Return (items,) int64: how often each item of the catalogue is a target in an epoch."""
        counts = np.zeros(items, np.int64)
        for begin in range(0, len(self), _COUNTED_WINDOWS):
            starts, stops = (ends[begin : begin + _COUNTED_WINDOWS] for ends in (self.starts, self.stops))
            lengths = stops - starts - 1
            begins = np.cumsum(lengths) - lengths
            places = np.arange(lengths.sum()) - np.repeat(begins - starts - 1, lengths)
            counts += np.bincount(self._items[places], minlength=items)
        return counts

    def iterate_shuffled(self, *, batch_positions: int, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield every window once, in an order that depends only on ``seed`` and ``epoch``.

        Args:
            batch_positions: Most padded positions of a batch; a batch always holds at least one window.
            seed: Seed of the run.
            epoch: Counted from 1.
        """
        draw = np.random.default_rng((seed, epoch))
        order = draw.permutation(len(self))
        lengths = self.stops - self.starts - 1
        pool = max(1, int(_SORTED_BATCHES * batch_positions / lengths.mean()))
        batches: list[NDArray[np.int64]] = []
        for begin in range(0, len(order), pool):
            chosen = order[begin : begin + pool]
            chosen = chosen[np.argsort(lengths[chosen], kind="stable")]
            batches.extend(_cut(chosen, lengths[chosen], batch_positions))
        for index in draw.permutation(len(batches)):
            yield self.batch(batches[index])

    def batch(self, windows: NDArray[np.int64]) -> Batch:
        """Gather some windows."""
        starts, stops = self.starts[windows], self.stops[windows]
        length = int((stops - starts).max())
        sequence, lengths = pad_histories(self._items, starts, stops, max_length=length)
        real = np.arange(length - 1) < (lengths - 1)[:, None]
        return Batch(torch.from_numpy(sequence[:, :-1]), torch.from_numpy(sequence[:, 1:]), torch.from_numpy(real))


def _cut(windows: NDArray[np.int64], lengths: NDArray[np.int64], positions: int) -> Iterator[NDArray[np.int64]]:
    """Cut windows sorted by length into runs of at most so many padded positions."""
    begin = 0
    while begin < len(windows):
        padded = lengths[begin:] * np.arange(1, len(windows) - begin + 1)
        count = max(1, int(np.searchsorted(padded, positions, side="right")))
        yield windows[begin : begin + count]
        begin += count
