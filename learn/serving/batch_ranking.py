"""Lists of many users at once, the same ones that requests would be answered with.

One product of matrices scores a batch of users in the time that single products score a few. Its float32 sums differ
in their last digits from those of a single user; where two neighbours of a list are closer than that could matter, the
list is asked for as a request would be.

Shape legend: B users of a batch, T positions the user tower reads, n items, w input width, d vector width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn.alignment.batches import pad_histories
from learn.data.traffic import Fallback
from learn.serving.bundle import Bundle
from learn.serving.recommender import Recommender

CLOSE = 1e-5
"""Scores closer than this may change places between a batch and a single user: a hundred times what float32 sums of
unit vectors were seen to differ by."""

_BATCH_USERS = 256
_SCORE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class RankedUser:
    """One user's list.

    Attributes:
        items: Item ids, best first.
        scores: Their scores.
        fallback: Why the list is of popular items; None where it is the user tower's.
        vector: (d,) float32; None where no item of the history is known.
        unknown_items: Items of the history that the catalogue does not hold.
    """

    items: list[str]
    scores: list[float]
    fallback: Fallback | None
    vector: NDArray[np.float32] | None
    unknown_items: int


class BatchRanker:
    """Ranks the catalogue of a bundle for many users.

    Args:
        bundle: A bundle that was read and checked.

    Attributes:
        asked_alone: Users whose list was too close to call, and was asked for alone.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.asked_alone = 0
        self._recommender = Recommender(bundle)
        self._towers = bundle.towers
        self._inputs = bundle.item_inputs
        self._vectors = torch.tensor(bundle.item_vectors).T  # (d, n)
        self._ids = bundle.item_ids
        self._row_of = {item_id: row for row, item_id in enumerate(self._ids)}
        self._batch = int(np.clip(_SCORE_BYTES // (4 * len(self._ids)), 1, _BATCH_USERS))

    def rank(self, histories: Sequence[Sequence[str]], *, k: int) -> list[RankedUser]:
        """Return each user's list, without the items of the history.

        Args:
            histories: Item ids, oldest first; unknown ones are ignored.
            k: Items wanted; fewer come back where fewer exist.
        """
        known = [self._known(history) for history in histories]
        some = [place for place, rows in enumerate(known) if len(rows)]
        ranked: list[RankedUser | None] = [None] * len(histories)
        for begin in range(0, len(some), self._batch):
            batch = some[begin : begin + self._batch]
            found = self._ranked([known[place] for place in batch], k=k)
            for place, (vector, order) in zip(batch, found, strict=True):
                ranked[place] = self._user(histories[place], order, k=k, vector=vector, known=len(known[place]))
        return [
            each or self._user(history, None, k=k, vector=None, known=0)
            for each, history in zip(ranked, histories, strict=True)
        ]

    def _known(self, history: Sequence[str]) -> NDArray[np.int32]:
        rows = (self._row_of.get(item_id, -1) for item_id in history)
        return np.array([row for row in rows if row >= 0], dtype=np.int32)

    @torch.inference_mode()
    def _ranked(
        self, histories: Sequence[NDArray[np.int32]], *, k: int
    ) -> Iterator[tuple[NDArray[np.float32], list[tuple[int, float]] | None]]:
        vectors = self._user_vectors(histories)
        scores = vectors @ self._vectors  # (B, n)
        for user, rows in enumerate(histories):
            scores[user, torch.from_numpy(rows).long()] = -torch.inf
        # One place more than wanted: the last one may be close to it, too.
        best = scores.topk(min(k + 1, len(self._ids)), dim=1)
        sure = _sure(best.values)
        for vector, values, places, certain in zip(
            vectors.numpy(), best.values.tolist(), best.indices.tolist(), sure.tolist(), strict=True
        ):
            order = [(row, score) for row, score in zip(places, values, strict=True) if score > -np.inf]
            yield vector, order[:k] if certain else None

    def _user_vectors(self, histories: Sequence[NDArray[np.int32]]) -> Tensor:
        lengths = np.array([len(history) for history in histories], dtype=np.int64)
        stops = np.cumsum(lengths)
        longest = self._towers.settings.max_history
        padded, kept = pad_histories(np.concatenate(histories), stops - lengths, stops, max_length=longest)
        inputs = torch.from_numpy(self._inputs[padded])  # (B, T, w)
        return self._towers.user_vectors(inputs, torch.from_numpy(kept))  # (B, d)

    def _user(
        self,
        history: Sequence[str],
        order: list[tuple[int, float]] | None,
        *,
        k: int,
        vector: NDArray[np.float32] | None,
        known: int,
    ) -> RankedUser:
        unknown = len(history) - known
        if order is not None:
            items, scores = [self._ids[row] for row, _ in order], [score for _, score in order]
            return RankedUser(items, scores, None, vector, unknown)
        self.asked_alone += vector is not None
        answer = self._recommender.recommend(history, k=k)
        items, scores = [item.item_id for item in answer.items], [item.score for item in answer.items]
        return RankedUser(items, scores, answer.fallback, vector, unknown)


def _sure(best: Tensor) -> Tensor:
    """Return (B,) bool: whether all neighbours of a list (B, k + 1), best first, are far enough apart."""
    above, below = best[:, :-1], best[:, 1:]
    # Excluded items stand at the end with -inf: they are no neighbours of anything.
    apart = (above - below > CLOSE * above.abs().clamp_min(1.0)) | (below == -torch.inf)
    return apart.all(dim=1)
