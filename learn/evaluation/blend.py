"""A blend of baselines: their scores on one scale, added with weights that were chosen on validation.

Shape legend: B examples of a block, N items, S scorers, W weightings tried.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn.config import EvaluationSettings
from learn.data.histories import Examples, Histories
from learn.evaluation.beyond_accuracy import sample_examples
from learn.evaluation.metrics import metric_values
from learn.evaluation.profiles import history_pairs
from learn.evaluation.ranking import Scorer, blocks, rank_block, tiles

# Weightings tried at most: tenths for three scorers, coarser with more.
_MAX_WEIGHTINGS = 66
_TILE_SCORES = 2**17


@dataclass(frozen=True)
class Blend:
    """The weighted sum of several scorers' standardised scores.

    Each scorer's scores are divided by their standard deviation over the catalogue, for each user anew, after their
    mean was taken off: scores of different models share no unit. A scorer that recommends nothing to a user
    has no say for that user; where none has, nothing is recommended.
    """

    scorers: tuple[Scorer, ...]
    weights: tuple[float, ...]
    name: str = "blend"

    def scores(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        used = [(scorer, weight) for scorer, weight in zip(self.scorers, self.weights, strict=True) if weight > 0]
        parts = [_Part.of(scorer.scores(histories, examples, rows)) for scorer, _ in used]
        return _mixed(parts, [weight for _, weight in used])


def tune_blend(scorers: Sequence[Scorer], histories: Histories, *, settings: EvaluationSettings, seed: int) -> Blend:
    """Choose the weights with the best NDCG at the first cutoff on validation, history masked.

    All shares of a grid are tried on at most ``settings.tuning_users`` examples, drawn by ``seed``; of equals
    the most even one wins.

    Raises:
        ValueError: There is no scorer to blend.
    """
    if not scorers:
        raise ValueError("a blend needs at least one scorer")
    examples = sample_examples(histories.examples("validation"), count=settings.tuning_users, seed=seed)
    weightings = _weightings(len(scorers))
    quality = np.zeros(len(weightings))  # (W,)
    for rows in blocks(len(examples), histories.item_count * len(scorers), block_users=settings.block_users):
        quality += _quality(scorers, weightings, histories, examples, rows, cutoff=settings.cutoffs[0])
    best = weightings[int(quality.argmax())]
    return Blend(tuple(scorers), tuple(float(weight) for weight in best))


def _quality(
    scorers: Sequence[Scorer],
    weightings: NDArray[np.float64],
    histories: Histories,
    examples: Examples,
    rows: slice,
    *,
    cutoff: int,
) -> NDArray[np.float64]:
    """Return (W,): the sum of the block's NDCG under each weighting."""
    targets, seen = np.asarray(examples.targets[rows]), history_pairs(histories, examples, rows)
    parts = [_Part.of(scorer.scores(histories, examples, rows)) for scorer in scorers]
    ranks = (rank_block(_mixed(parts, weights.tolist()), targets, seen) for weights in weightings)
    return np.array([metric_values(each.masked, f"ndcg@{cutoff}").sum() for each in ranks])


@dataclass(frozen=True)
class _Part:
    """One scorer's block: (B, N) standardised scores, and which of them it really gave."""

    scores: Tensor
    given: Tensor

    @classmethod
    def of(cls, scores: Tensor) -> _Part:
        standardised = torch.empty_like(scores)  # (B, N)
        given = torch.empty_like(scores, dtype=torch.bool)  # (B, N)
        # A few rows at a time stay in the cache over the many passes (measured: twice as fast).
        for rows in tiles(*scores.shape, scores=_TILE_SCORES):
            given[rows] = scores[rows].isfinite()
            standardised[rows] = _standardised(scores[rows], given[rows])
        return cls(standardised, given)


def _mixed(parts: Sequence[_Part], weights: Sequence[float]) -> Tensor:
    """Return (B, N) weighted sums; -inf where no scorer with a weight gave a score."""
    total = torch.zeros_like(parts[0].scores)  # (B, N)
    given = torch.zeros_like(parts[0].given)  # (B, N)
    for part, weight in zip(parts, weights, strict=True):
        if weight > 0:
            total.add_(part.scores, alpha=weight)
            given.logical_or_(part.given)
    return total.masked_fill_(~given, -torch.inf)


def _standardised(scores: Tensor, given: Tensor) -> Tensor:
    """Return (B, N) scores with mean 0 and deviation 1 over the ``given`` ones of each row; 0 elsewhere."""
    count = given.sum(dim=1, keepdim=True).clamp_(min=1)  # (B, 1)
    known = torch.where(given, scores, 0.0)
    centred = torch.where(given, known - known.sum(dim=1, keepdim=True) / count, 0.0)
    deviation = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()  # (B, 1)
    return centred / torch.where(deviation > 0, deviation, 1.0)


def _weightings(scorers: int) -> NDArray[np.float64]:
    """Return (W, S) shares that sum to 1: the finest even grid within the limit, the most even shares first."""
    steps = 1
    while scorers > 1 and math.comb(steps + scorers, scorers - 1) <= _MAX_WEIGHTINGS:
        steps += 1
    grid = [shares for shares in itertools.product(range(steps + 1), repeat=scorers) if sum(shares) == steps]
    shares = np.array(grid, dtype=np.float64) / steps
    return shares[np.argsort(np.square(shares).sum(axis=1), kind="stable")]
