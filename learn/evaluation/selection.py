"""Training with the epoch, and the weights of the channels, chosen on validation.

Channel weights are chosen by NDCG@10 and Recall@10 together: over half of the grid NDCG@10 differs by less than its
error, while Recall@10 differs by a tenth (measured on review data).

Validation also chooses the weight of a channel that training has learned. Training sees the next item, and within a
basket that is never the item just taken; the next basket may hold it again. On a shop whose customers buy the same
again, validation NDCG@10 of the towers and that channel is .045 at the learned weight and .10 at the best one.

Shape legend: B examples of a block, b of a tile of it, n items, W weightings tried.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn.config import EvaluationSettings
from learn.data import Examples, Histories
from learn.evaluation.lists import sample_examples
from learn.evaluation.metrics import compute_metric
from learn.evaluation.ranking import Scorer, flatten_histories, iterate_blocks, iterate_tiles, rank_block, rank_targets
from learn.model import (
    SINGLE_PROCESS,
    Group,
    RunInputs,
    TowerScorer,
    TrainingSummary,
    WarmStart,
    compute_training_key,
    train_towers,
)

# Spread of a channel's scores as a share of the towers' spread; values near the best are almost as good.
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.2)
# Scores summed and ranked at a time: they stay in a core's cache over all that is tried (measured: 2.5 times as fast as
# the whole block).
_TILE_SCORES = 512 * 2**10


@dataclass(frozen=True)
class ChannelTuning:
    """Chooses the weights of a model's channels.

    Attributes:
        histories: The split data.
        examples: The validation examples that are used.
        settings: How many examples are scored at a time.
        masked: Whether the history is left out of the ranking.
    """

    histories: Histories
    examples: Examples
    settings: EvaluationSettings
    masked: bool

    def __call__(self, scorer: TowerScorer, *, learned_alone: bool = False) -> tuple[float, ...]:
        """Return the weights with the best sum of NDCG@10 and Recall@10.

        Args:
            scorer: The towers with their catalogue.
            learned_alone: Choose only weights that are learned; those of the other channels are 0.
        """
        channels = scorer.towers.channels
        weights = [channel.weight.item() if channel.learned else 0.0 for channel in channels]
        if not channels or not len(self.examples):
            return tuple(weights)
        learned = [place for place, channel in enumerate(channels) if channel.learned]
        others = [place for place, channel in enumerate(channels) if not channel.learned]
        # One after the other: both together would be a grid of some 700 weightings with the same result.
        turns = [learned] if learned_alone else [learned, others, learned]
        tried = self._list_tries(scorer)
        for places in turns:
            weights = self._find_best(
                scorer, weights, [tried[place] if place in places else None for place in range(len(channels))]
            )
        return tuple(weights)

    def _list_tries(self, scorer: TowerScorer) -> list[list[float]]:
        """Return the weights to try for each channel; the first of equally good ones wins."""
        full = _compute_full_weights(scorer, self.histories, self.examples)
        found = []
        for channel, weight in zip(scorer.towers.channels, full, strict=True):
            louder = [share * weight for share in _SHARES]
            if channel.learned:
                # Items that are left out of the ranking cannot be judged by it.
                signed = [] if self.masked else [*louder, *(-each for each in louder if each)]
                found.append([channel.weight.item(), *signed])
            else:
                found.append(louder)
        return found

    def _find_best(
        self, scorer: TowerScorer, weights: Sequence[float], tried: Sequence[Sequence[float] | None]
    ) -> list[float]:
        """Return the best weights; a channel with nothing to try keeps its weight."""
        pairs = zip(weights, tried, strict=True)
        weightings = list(itertools.product(*([weight] if more is None else more for weight, more in pairs)))
        if len(weightings) == 1:
            return list(weightings[0])
        quality = np.zeros(len(weightings))  # (W,)
        parts, items = len(weights) + 2, _encode_item_parts(scorer)
        block_users = self.settings.block_users
        for rows in iterate_blocks(len(self.examples), self.histories.item_count * parts, block_users=block_users):
            quality += _measure_quality(
                scorer, items, weightings, self.histories, self.examples, rows, masked=self.masked
            )
        # Of ties the first, which has the smallest weight.
        return list(weightings[int(quality.argmax())])


def tune_channels(histories: Histories, *, settings: EvaluationSettings, masked: bool, seed: int) -> ChannelTuning:
    """Return an object that chooses the weights on validation.

    Args:
        histories: The split data.
        settings: At most ``selection_users`` examples are used.
        masked: Whether the history is left out of the ranking.
        seed: Seed of the draw of examples.
    """
    validation = histories.open_examples("validation").keep_with_history()
    examples = sample_examples(validation, count=settings.selection_users, seed=seed)
    return ChannelTuning(histories, examples, settings, masked)


def _compute_full_weights(scorer: TowerScorer, histories: Histories, examples: Examples) -> list[float]:
    """Return (channels,): the weight at which a channel's scores vary as much as the towers'."""
    rows = next(iterate_blocks(len(examples), histories.item_count, block_users=256))
    audible = range(len(scorer.towers.channels))
    towers, channels = _score_parts(scorer, _encode_item_parts(scorer), histories, examples, rows, audible=audible)
    spread = float(towers.std(dim=1).mean())
    spreads = [float(channels[place].std(dim=1).mean()) for place in audible]
    return [spread / each if each > 0 else 0.0 for each in spreads]


def _encode_item_parts(scorer: TowerScorer) -> tuple[Tensor, ...]:
    """Return the items' vectors of the towers and of each channel at weight 1: (n, its width) each."""
    return scorer.split(scorer.reweight([1.0] * len(scorer.towers.channels)).item_vectors)


def _score_parts(
    scorer: TowerScorer,
    items: Sequence[Tensor],
    histories: Histories,
    examples: Examples,
    rows: slice,
    *,
    audible: Iterable[int],
) -> tuple[Tensor, dict[int, Tensor]]:
    """Return (B, n) scores of the towers and, by its place, of each channel in ``audible``, at weight 1."""
    users = scorer.split(scorer.encode_runs(histories.items, examples.starts[rows], examples.stops[rows]))
    # The towers are before the channels.
    channels = {place: (users[place + 1] @ items[place + 1].T).cpu() for place in audible}
    return (users[0] @ items[0].T).cpu(), channels


def _measure_quality(
    scorer: TowerScorer,
    items: Sequence[Tensor],
    weightings: Sequence[Sequence[float]],
    histories: Histories,
    examples: Examples,
    rows: slice,
    *,
    masked: bool,
) -> NDArray[np.float64]:
    """Return (W,): the sum of the block's NDCG@10 and Recall@10 under each weighting."""
    audible = [place for place, weights in enumerate(zip(*weightings, strict=True)) if any(weights)]
    towers, channels = _score_parts(scorer, items, histories, examples, rows, audible=audible)
    ranks = np.empty((len(weightings), len(towers)))  # (W, B)
    for tile in iterate_tiles(*towers.shape, scores=_TILE_SCORES):
        inside = slice(rows.start + tile.start, rows.start + tile.stop)
        targets, seen = np.asarray(examples.targets[inside]), flatten_histories(histories, examples, inside)
        own, others = towers[tile], {place: scores[tile] for place, scores in channels.items()}
        room = torch.empty_like(own)  # (b, n)
        for place, weights in enumerate(weightings):
            both = rank_block(_add_weighted(own, others, weights, out=room), targets, seen)
            ranks[place, tile] = both.masked if masked else both.unmasked
    return np.array([sum(compute_metric(each, metric).sum() for metric in ("ndcg@10", "recall@10")) for each in ranks])


def _add_weighted(towers: Tensor, channels: Mapping[int, Tensor], weights: Sequence[float], *, out: Tensor) -> Tensor:
    """Return (b, n) scores of the towers and the channels with a weight, in ``out`` unless no channel has one."""
    total = towers
    for place, scores in channels.items():
        if weights[place]:
            total = torch.add(total, scores, alpha=weights[place], out=out)
    return total


def make_validation_measure(
    histories: Histories, *, settings: EvaluationSettings, masked: bool = True
) -> Callable[[Scorer], float]:
    """Return a function that gives a scorer's NDCG@10 on validation.

    Users without a history are left out: they cannot tell two models of histories apart. Of more than
    ``selection_users`` the same sample is used each time.

    Args:
        histories: The split data.
        settings: How many users are scored at a time.
        masked: Whether the history is left out of the ranking.
    """
    asked = histories.open_examples("validation").keep_with_history()
    examples = sample_examples(asked, count=settings.selection_users, seed=0)

    def measure(scorer: Scorer) -> float:
        ranks = rank_targets(scorer, histories, examples, block_users=settings.block_users)
        return float(compute_metric(ranks.masked if masked else ranks.unmasked, "ndcg@10").mean())

    return measure


def train_selected(
    inputs: RunInputs, *, start: WarmStart | None = None, group: Group = SINGLE_PROCESS
) -> TrainingSummary:
    """Train the towers of a run, or reuse those of an earlier run with the same input.

    Args:
        inputs: Histories, content vectors and settings; the weights go to ``training/<key>`` in the workspace.
        start: Earlier weights to begin with.
        group: The processes that share every batch; each of them calls this.

    Raises:
        BundleError: The earlier weights are of towers of another shape.
        TrainingError: There is nothing to train on, the loss stopped being a number, or a process of the group is
            lost.
        StorageError: The disk is full or not writable.
    """
    histories, settings = inputs.open_histories(), inputs.settings
    # Judged as it is trained: if repeats are to be learned, they must count.
    masked = settings.training.mask_seen
    key = compute_training_key(
        histories, inputs.content, settings=settings, seed=settings.seed, start=start, processes=group.size
    )
    return train_towers(
        histories,
        inputs.open_content(),
        destination=settings.workspace.absolute() / "training" / key,
        settings=settings,
        seed=settings.seed,
        measure=make_validation_measure(histories, settings=settings.evaluation, masked=masked),
        tune=tune_channels(histories, settings=settings.evaluation, masked=masked, seed=settings.seed),
        start=start,
        group=group,
    )
