"""Figures of the lists themselves: coverage of the catalogue, popularity bias, diversity within a list.

They are measured on the lists of a sample of examples, history masked, as served.

Shape legend: E examples, B examples of a block, L lists, k places of a list, N items, c content dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from learn.config import EvaluationSettings
from learn.data import Examples, Histories
from learn.evaluation.ranking import Scorer, flatten_histories, iterate_blocks
from learn.evaluation.slices import mark_tail_items

NOTHING = -1
"""Item index at a place of a list that the model left empty."""


@dataclass(frozen=True)
class ListFigures:
    """Figures of one model's lists; None if they cannot be computed.

    Attributes:
        lists: Number of lists, empty ones included.
        length: Places in a list.
        filled: Share of all places that hold an item.
        coverage: Share of the catalogue that is in at least one list. It grows with ``lists``: compare models
            only within one table.
        concentration: Gini coefficient of how often each item is recommended: 0 all equally, near 1 a few only.
        popularity_lift: Mean training popularity of recommended items over that of the histories' items, minus 1:
            above 0 the lists are more popular than what these users chose themselves.
        tail_share: Share of recommended items from the tail or without training interactions.
        diversity: Mean over lists of 1 - mean cosine of its items' centred content vectors; None without vectors.
    """

    lists: int
    length: int
    filled: float
    coverage: float
    concentration: float | None
    popularity_lift: float | None
    tail_share: float | None
    diversity: float | None


def sample_examples(examples: Examples, *, count: int, seed: int) -> Examples:
    """Draw at most ``count`` examples without replacement, kept in order."""
    if len(examples) <= count:
        return examples
    chosen = np.sort(np.random.default_rng(seed).choice(len(examples), size=count, replace=False))
    return Examples(
        examples.name,
        users=examples.users[chosen],
        starts=examples.starts[chosen],
        stops=examples.stops[chosen],
        targets=examples.targets[chosen],
    )


def rank_lists(
    scorer: Scorer, histories: Histories, examples: Examples, *, length: int, block_users: int
) -> NDArray[np.int64]:
    """Return (E, k) item indices, best first, history masked; ``NOTHING`` where fewer can be recommended."""
    length = min(length, histories.item_count)
    lists = np.full((len(examples), length), NOTHING, dtype=np.int64)
    for rows in iterate_blocks(len(examples), histories.item_count, block_users=block_users):
        scores = scorer.score(histories, examples, rows)
        scores = torch.where(scores.isnan(), -torch.inf, scores)  # a copy: the scorer's scores must not change
        pairs = flatten_histories(histories, examples, rows)
        seen = (torch.from_numpy(pairs.rows).to(scores.device), torch.from_numpy(pairs.items).to(scores.device))
        scores[seen] = -torch.inf
        best = scores.topk(length, dim=1)  # (B, k)
        lists[rows] = torch.where(best.values > -torch.inf, best.indices, NOTHING).cpu().numpy()
    return lists


def list_figures(
    lists: NDArray[np.int64],
    histories: Histories,
    examples: Examples,
    *,
    settings: EvaluationSettings,
    content: NDArray[np.float32] | None = None,
) -> ListFigures:
    """Measure lists.

    Args:
        lists: (L, k) as :func:`rank_lists` gives them.
        histories: What the examples point into; popularity comes from its training part.
        examples: The examples of the lists, in their order.
        settings: Has the share of the tail.
        content: (N, c) content vectors of all items, for the diversity.
    """
    popularity = histories.count_popularity()
    recommended = lists[lists != NOTHING]
    times = np.bincount(recommended, minlength=histories.item_count)
    rare = (popularity == 0) | mark_tail_items(popularity, share=settings.tail_share)
    return ListFigures(
        lists=len(lists),
        length=lists.shape[1],
        filled=len(recommended) / lists.size if lists.size else 0.0,
        coverage=float((times > 0).mean()),
        concentration=_compute_gini(times),
        popularity_lift=_measure_popularity_lift(popularity, recommended, histories, examples),
        tail_share=float(rare[recommended].mean()) if len(recommended) else None,
        diversity=None if content is None else _measure_diversity(lists, content),
    )


def _compute_gini(times: NDArray[np.int64]) -> float | None:
    ordered = np.sort(times).astype(np.float64)
    count, total = len(ordered), ordered.sum()
    if total == 0:
        return None
    ranks = np.arange(1, count + 1)
    return float((2 * ranks - count - 1) @ ordered / (count * total))


def _measure_popularity_lift(
    popularity: NDArray[np.int64], recommended: NDArray[np.int64], histories: Histories, examples: Examples
) -> float | None:
    chosen = popularity[flatten_histories(histories, examples, slice(0, len(examples))).items]
    if len(recommended) == 0 or len(chosen) == 0 or chosen.sum() == 0:
        return None
    return float(popularity[recommended].mean() / chosen.mean() - 1)


def _measure_diversity(lists: NDArray[np.int64], content: NDArray[np.float32]) -> float | None:
    directions = centre_directions(content)  # (N, c)
    filled = lists != NOTHING
    vectors = directions[np.where(filled, lists, 0)] * filled[..., None]  # (L, k, c)
    sizes = filled.sum(axis=1)
    several = sizes >= 2
    if not several.any():
        return None
    # The sum of all pairs' cosines is |sum of the vectors|^2 less each vector's own square.
    squares = np.square(vectors.sum(axis=1)).sum(axis=1) - np.square(vectors).sum(axis=(1, 2))  # (L,)
    cosines = squares[several] / (sizes * (sizes - 1))[several]
    return float(1 - cosines.mean())


def centre_directions(content: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, c) unit vectors of the content less its mean: raw text vectors all point much the same way."""
    centred = content - content.mean(axis=0, dtype=np.float64).astype(np.float32)  # (N, c)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)  # (N, 1)
    directions: NDArray[np.float32] = centred / np.maximum(lengths, np.finfo(np.float32).tiny)  # (N, c)
    return directions
