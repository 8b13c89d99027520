"""Histories in, items out: the model behind the service, without a web framework.

Shape legend: n items, h known items of a history, T positions the user tower reads, w input width, d vector width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn.serving.bundle import Bundle
from learn.serving.retrieval import ExactRetriever, Hits

Fallback = Literal["empty_history", "no_known_item"]


@dataclass(frozen=True)
class RecommendedItem:
    """One place of a list.

    Attributes:
        item_id: The item.
        title: Its title, where it has one.
        score: Inner product with the user vector; in a fallback, interactions in the last window.
        rank: 1 for the best.
    """

    item_id: str
    title: str | None
    score: float
    rank: int


@dataclass(frozen=True)
class Recommendation:
    """An answer.

    Attributes:
        items: Best first.
        unknown_ids: Ids of the history that the catalogue does not hold, each once, in the history's order.
        fallback: Why the list is popularity instead of the user tower's; ``None`` where it is the tower's.
    """

    items: tuple[RecommendedItem, ...]
    unknown_ids: tuple[str, ...]
    fallback: Fallback | None


class Recommender:
    """Recommends from one bundle; safe to share between threads.

    Args:
        bundle: A bundle that was read and checked.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.version = bundle.version
        self._towers = bundle.towers
        self._inputs = torch.tensor(bundle.item_inputs)  # (n, w)
        self._retriever = ExactRetriever(bundle.item_vectors)
        self._ids = bundle.item_ids
        self._titles: list[str | None] = bundle.items["title"].to_list()
        self._rows = {item_id: row for row, item_id in enumerate(self._ids)}
        self._recent = bundle.items["recent_interactions"].fill_null(0).to_numpy().astype(np.float32)
        self._popular = popularity_order(bundle)

    def recommend(self, history: Sequence[str], *, k: int, exclude_seen: bool = True) -> Recommendation:
        """Recommend items to one user.

        Args:
            history: Item ids, oldest first; unknown ids are named in the answer and otherwise ignored.
            k: Items wanted, at least 1; fewer come back where fewer exist.
            exclude_seen: Leave out the items of the history.
        """
        unknown = tuple(dict.fromkeys(item_id for item_id in history if item_id not in self._rows))
        rows = np.array([self._rows[item_id] for item_id in history if item_id in self._rows], dtype=np.int64)
        if not len(rows):
            return Recommendation(self._popular_items(k), unknown, "no_known_item" if unknown else "empty_history")
        excluded = rows if exclude_seen else rows[:0]
        hits = self._retriever.search(self.user_vector(rows), k=k, excluded=excluded)
        return Recommendation(self._listed(hits), unknown, None)

    @torch.inference_mode()
    def user_vector(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the (d,) unit vector of a user with this history of item indices (h,), h at least 1."""
        newest = torch.from_numpy(rows[-self._towers.settings.max_history :])  # (T,)
        inputs = self._inputs[newest].unsqueeze(0)  # (1, T, w)
        return self._towers.user_vectors(inputs, torch.tensor([len(newest)])).squeeze(0)  # (d,)

    def warm_up(self) -> None:
        """Run the whole path once for each kind of request, so that the first user does not wait for it."""
        for length in (0, 1, 2, self._towers.settings.max_history):
            for k in (1, 10):
                self.recommend(list(islice(cycle(self._ids), length)), k=k)

    def _popular_items(self, k: int) -> tuple[RecommendedItem, ...]:
        rows = self._popular[:k]
        return self._listed(Hits(rows, self._recent[rows]))

    def _listed(self, hits: Hits) -> tuple[RecommendedItem, ...]:
        places: Iterable[tuple[int, float]] = zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)
        return tuple(
            RecommendedItem(self._ids[row], self._titles[row], score, rank)
            for rank, (row, score) in enumerate(places, start=1)
        )


def popularity_order(bundle: Bundle) -> NDArray[np.int64]:
    """Return (n,) item indices for users without history: most popular in the last window first.

    Ties go to the item more popular in the whole training part, then to the lower index.
    """
    recent, training = (
        bundle.items[name].fill_null(0).to_numpy() for name in ("recent_interactions", "training_interactions")
    )
    return np.lexsort((np.arange(len(recent)), -training, -recent))
