"""How loud each channel speaks beside the towers, chosen on validation.

The choice goes by NDCG@10 and Recall@10 together: over half the grid NDCG@10 alone differs by less than its error,
while Recall@10 differs by a tenth (measured on review data).

Shape legend: B examples of a block, n items, W weightings tried.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from learn.alignment.scoring import TowerScorer
from learn.config import EvaluationSettings
from learn.data.histories import Examples, Histories
from learn.evaluation.beyond_accuracy import sample_examples
from learn.evaluation.metrics import metric_values
from learn.evaluation.profiles import history_pairs
from learn.evaluation.ranking import blocks, rank_block

# Spread of a channel's scores as a share of the spread of the towers'; the quality is flat around the best.
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.2)


@dataclass(frozen=True)
class ChannelTuning:
    """Chooses the weights of a model's channels.

    Attributes:
        histories: The split data.
        examples: Validation examples that are read.
        settings: How many are scored at a time.
        masked: Whether the history is taken out of the ranking.
    """

    histories: Histories
    examples: Examples
    settings: EvaluationSettings
    masked: bool

    def __call__(self, scorer: TowerScorer) -> tuple[float, ...]:
        """Return the weights with the best sum of NDCG@10 and Recall@10."""
        channels = len(scorer.towers.channels)
        if not channels or not len(self.examples):
            return (0.0,) * channels
        tried = [(1.0,) if channel.learned else _SHARES for channel in scorer.towers.channels]
        weightings = np.array(list(itertools.product(*tried)))
        weightings = weightings * _full_weights(scorer, self.histories, self.examples)
        quality = np.zeros(len(weightings))  # (W,)
        parts = channels + 2
        block_users = self.settings.block_users
        for rows in blocks(len(self.examples), self.histories.item_count * parts, block_users=block_users):
            quality += _quality(scorer, weightings.tolist(), self.histories, self.examples, rows, masked=self.masked)
        # Of equals the first, which is the quietest.
        return tuple(float(weight) for weight in weightings[int(quality.argmax())])


def tune_channels(histories: Histories, *, settings: EvaluationSettings, masked: bool, seed: int) -> ChannelTuning:
    """Return what chooses the weights on validation.

    Args:
        histories: The split data.
        settings: At most ``selection_users`` examples are read.
        masked: Whether the history is taken out of the ranking.
        seed: Of the draw of examples.
    """
    validation = histories.examples("validation").with_history()
    examples = sample_examples(validation, count=settings.selection_users, seed=seed)
    return ChannelTuning(histories, examples, settings, masked)


def _full_weights(scorer: TowerScorer, histories: Histories, examples: Examples) -> NDArray[np.float64]:
    """Return (channels,): the weight at which a channel's scores vary as much as the towers', or the learned one."""
    rows = next(blocks(len(examples), histories.item_count, block_users=256))
    towers, *channels = (float(part.std(dim=1).mean()) for part in _parts(scorer, histories, examples, rows))
    full = [towers / spread if spread > 0 else 0.0 for spread in channels]
    pairs = zip(scorer.towers.channels, full, strict=True)
    return np.array([channel.weight.item() if channel.learned else weight for channel, weight in pairs])


def _parts(scorer: TowerScorer, histories: Histories, examples: Examples, rows: slice) -> list[Tensor]:
    """Return (B, n) scores of the towers and of each channel at weight 1."""
    users = scorer.vectors_after(histories.items, examples.starts[rows], examples.stops[rows])
    sides = zip(
        scorer.split(users),
        scorer.split(scorer.weighted([1.0] * len(scorer.towers.channels)).item_vectors),
        strict=True,
    )
    return [(user @ item.T).cpu() for user, item in sides]


def _quality(
    scorer: TowerScorer,
    weightings: Sequence[Sequence[float]],
    histories: Histories,
    examples: Examples,
    rows: slice,
    *,
    masked: bool,
) -> NDArray[np.float64]:
    """Return (W,): the sum of the block's NDCG@10 and Recall@10 under each weighting."""
    targets, seen = np.asarray(examples.targets[rows]), history_pairs(histories, examples, rows)
    towers, *channels = _parts(scorer, histories, examples, rows)
    found = []
    for weights in weightings:
        total = towers.clone()  # (B, n)
        for weight, channel in zip(weights, channels, strict=True):
            if weight:
                total.add_(channel, alpha=weight)
        both = rank_block(total, targets, seen)
        ranks = both.masked if masked else both.unmasked
        found.append(float(sum(metric_values(ranks, metric).sum() for metric in ("ndcg@10", "recall@10"))))
    return np.array(found)
