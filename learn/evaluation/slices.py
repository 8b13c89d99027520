"""Slices: groups of examples that the overall figure could hide.

Shape legend: E examples, N items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learn.config import EvaluationSettings
from learn.data import Examples, Histories
from learn.evaluation.ranking import flatten_histories

_Mask = NDArray[np.bool_]

# Examples whose histories are flattened at a time.
_BLOCK = 65_536

SLICES = ("cold_items", "tail_items", "short_histories", "new_users", "repeats")


def mark_slices(histories: Histories, examples: Examples, *, settings: EvaluationSettings) -> dict[str, _Mask]:
    """Return (E,) bool for each slice, by name; slices may overlap and may be empty.

    - ``cold_items``: the target has no training interaction; only its text can recommend it.
    - ``tail_items``: the target is a trained item of the tail, see :func:`mark_tail_items`.
    - ``short_histories``: at most ``settings.short_history`` interactions before the target, new users included.
    - ``new_users``: no interaction before the target.
    - ``repeats``: the target is already in the history, so it cannot be reached if the history is masked.
    """
    popularity = histories.count_popularity()
    targets = np.asarray(examples.targets)
    lengths = np.asarray(examples.stops) - np.asarray(examples.starts)
    masks = (
        popularity[targets] == 0,
        mark_tail_items(popularity, share=settings.tail_share)[targets],
        lengths <= settings.short_history,
        lengths == 0,
        _mark_repeats(histories, examples),
    )
    return dict(zip(SLICES, masks, strict=True))


def mark_tail_items(popularity: NDArray[np.int64], *, share: float) -> _Mask:
    """Return (N,) bool: the least popular trained items that together hold at most ``share`` of the interactions.

    Items with the same popularity are in or out together, so the slice does not depend on the catalogue's order.
    Items without any training interaction are not among them: they are the cold items.
    """
    levels = np.bincount(popularity) * np.arange(int(popularity.max(initial=0)) + 1)
    held = np.cumsum(levels)
    border = int(np.searchsorted(held, share * held[-1], side="right"))
    tail: _Mask = (popularity > 0) & (popularity < border)
    return tail


def _mark_repeats(histories: Histories, examples: Examples) -> _Mask:
    repeated = np.zeros(len(examples), dtype=np.bool_)
    for start in range(0, len(examples), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(examples)))
        pairs = flatten_histories(histories, examples, rows)
        hits = pairs.items == np.asarray(examples.targets[rows])[pairs.rows]
        repeated[start + pairs.rows[hits]] = True
    return repeated
