"""The paper's two-stage sampling of history and target actions (LEARN, section 3.3).

Stage 1 draws at most 80 history and 40 target items of a user at random; stage 2 picks the loss positions
among them, newer ones more often.

Shape legend: B users, T history items, K targets, H loss positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn.alignment.batches import Batch
from learn.config import TrainingSettings

_STAGE_ONE_HISTORY, _STAGE_ONE_TARGETS = 80, 40
# w_i = log(a + i (b - a) / (N - 1)) / max w, with the paper's a and b.
_WEIGHT_A, _WEIGHT_B = 10.0, 10_000.0


@dataclass(frozen=True)
class Actions:
    """Sampled histories and targets of the users of one batch.

    Attributes:
        histories: (B, T) int64 items, oldest first, padded on the right.
        positions: (B, H) int64 loss positions within the history.
        real: (B, H) bool, False at padding.
        targets: (B, K) int64 items, oldest first.
        wanted: (B, K) bool, False at padding.
    """

    histories: Tensor
    positions: Tensor
    real: Tensor
    targets: Tensor
    wanted: Tensor

    def share_of_pairs(self, users: slice) -> float:
        """Return the share that some users have in the (position, target) pairs of all."""
        pairs = self.real.sum(dim=1) * self.wanted.sum(dim=1)  # (B,)
        return int(pairs[users].sum()) / int(pairs.sum())


def recency_weights(length: int) -> NDArray[np.float64]:
    """Return the (length,) stage-2 weights, oldest first, the newest 1."""
    if length == 1:
        return np.ones(1)
    weights = np.log(_WEIGHT_A + np.arange(length) * (_WEIGHT_B - _WEIGHT_A) / (length - 1))
    scaled: NDArray[np.float64] = weights / weights.max()
    return scaled


def sample_actions(batch: Batch, *, settings: TrainingSettings, max_history: int, draw: np.random.Generator) -> Actions:
    """Cut each user's window at a random moment and sample actions on both sides."""
    most_history = min(_STAGE_ONE_HISTORY, max_history)
    histories, positions, targets = [], [], []
    for inputs, nexts, real in zip(batch.inputs.numpy(), batch.targets.numpy(), batch.real.numpy(), strict=True):
        sequence = np.append(inputs[real], nexts[real][-1:])
        cut = int(draw.integers(1, len(sequence)))
        history = _stage_one(sequence[:cut], most_history, draw)
        target = _stage_one(sequence[cut:], _STAGE_ONE_TARGETS, draw)
        histories.append(history)
        positions.append(_stage_two(len(history), settings.history_positions, draw))
        targets.append(target[_stage_two(len(target), settings.target_positions, draw)])
    padded_histories, _ = _padded(histories)
    padded_positions, real_positions = _padded(positions)
    padded_targets, wanted = _padded(targets)
    return Actions(padded_histories, padded_positions, real_positions, padded_targets, wanted)


def _stage_one(items: NDArray[np.int64], most: int, draw: np.random.Generator) -> NDArray[np.int64]:
    if len(items) <= most:
        return items
    return items[np.sort(draw.choice(len(items), size=most, replace=False))]


def _stage_two(length: int, most: int, draw: np.random.Generator) -> NDArray[np.int64]:
    if length <= most:
        return np.arange(length)
    weights = recency_weights(length)
    return np.sort(draw.choice(length, size=most, replace=False, p=weights / weights.sum()))


def _padded(rows: list[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    lengths = np.array([len(row) for row in rows])
    real = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros(real.shape, np.int64)
    padded[real] = np.concatenate(rows)
    return torch.from_numpy(padded), torch.from_numpy(real)
