"""Real requests to draw windows from: public data, frozen vectors, and lists ranked by them.

No towers are trained: whether a test raises false alarms depends on the data, not on how good the model is. A user's
vector is the mean of their newest items' vectors, and lists are ranked by it.

Shape legend: P requests of the pool, n items, d vector width.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.quality.datasets import SOURCES, Prepared, prepare
from learn.monitoring import REQUEST_COLUMNS, Profile, ProfileFacts, View, find_places

K = 10
_NEWEST_ITEMS = 10
_CATEGORIES = 30
_BLOCK = 1_000


@dataclass(frozen=True)
class Pool:
    """Requests of one data set.

    Attributes:
        name: Of the data set.
        requests: (P) rows, as :data:`learn.monitoring.requests.REQUEST_COLUMNS`.
        items: ``item_id``, ``title`` and ``category``: the commonest of the title's words over the catalogue.
        popularity: ``item_id`` and ``count``.
        item_vectors: (n, d) in the order of ``items``.
        user_vectors: (P, d).
    """

    name: str
    requests: pl.DataFrame
    items: pl.DataFrame
    popularity: pl.DataFrame
    item_vectors: NDArray[np.float32]
    user_vectors: NDArray[np.float32]

    def draw(self, rows: int, rng: np.random.Generator) -> tuple[Profile, View]:
        """Draw two windows without a request in common: the one as reference profile, the other as live traffic."""
        drawn = rng.permutation(self.requests.height)[: 2 * rows]
        reference, live = (self._draw_view(part) for part in (drawn[:rows], drawn[rows:]))
        facts = ProfileFacts(weights_sha256="", interactions=0, until=None, k=K)
        return Profile(facts, reference, self.items, self.popularity), live

    def _draw_view(self, rows: NDArray[np.int64]) -> View:
        requests = self.requests[rows]
        return View(
            self.name,
            requests,
            self.items,
            item_vectors=self.item_vectors[find_places(requests["item_id"], self.items)],
            user_vectors=self.user_vectors[rows],
        )


def make_pool(name: str, *, width: int, rows: int, data: Path, workspace: Path) -> Pool:
    """Make the pool of a data set: random places of random users' histories.

    Args:
        name: Of the data set.
        width: Of the vectors; below that of the encoder, their first principal components.
        rows: Requests; interactions without a history before them make none.
        data: Folder of the public data sets.
        workspace: Where tables and vectors are kept.

    Raises:
        DataError: The data set is not there.
    """
    prepared = prepare(SOURCES[name], data=data, workspace=workspace)
    histories = prepared.histories
    first = np.repeat(histories.offsets[:-1], np.diff(histories.offsets))
    places = np.flatnonzero(np.arange(len(histories.items)) > first)
    at = np.random.default_rng(0).permutation(places)[:rows]
    vectors = _read_vectors(prepared, width)
    users = _encode_users(np.asarray(histories.items), first[at], at, vectors)
    ids = np.asarray(histories.item_ids)
    lists, scores = _rank_lists(np.asarray(histories.items), first[at], at, users, vectors)
    requests = pl.DataFrame(
        {
            "history_length": at - first[at],
            "unknown_items": np.zeros(len(at), np.int64),
            "answered_by": ["towers"] * len(at),
            "item_id": ids[np.asarray(histories.items)[at]].tolist(),
            "items": ids[lists].tolist(),
            "scores": scores.tolist(),
        },
        schema=REQUEST_COLUMNS,
    )
    items = pl.DataFrame({"item_id": ids, "title": prepared.titles, "category": _list_categories(prepared.titles)})
    counts = np.bincount(np.asarray(histories.items), minlength=len(ids))
    return Pool(name, requests, items, pl.DataFrame({"item_id": ids, "count": counts}), vectors, users)


def _read_vectors(prepared: Prepared, width: int) -> NDArray[np.float32]:
    vectors = np.asarray(prepared.content)
    if width < vectors.shape[1]:
        centred = vectors - vectors.mean(axis=0)
        _, axes = np.linalg.eigh(centred.T @ centred)
        vectors = centred @ axes[:, ::-1][:, :width]
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _encode_users(
    items: NDArray[np.int32], first: NDArray[np.int64], at: NDArray[np.int64], vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    begins = np.maximum(first, at - _NEWEST_ITEMS)
    users: NDArray[np.float32] = np.stack(
        [vectors[items[begin:end]].mean(axis=0) for begin, end in zip(begins, at, strict=True)]
    )
    users /= np.maximum(np.linalg.norm(users, axis=1, keepdims=True), 1e-9)
    return users


def _rank_lists(
    items: NDArray[np.int32],
    first: NDArray[np.int64],
    at: NDArray[np.int64],
    users: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    lists, best = np.empty((len(at), K), np.int64), np.empty((len(at), K), np.float32)
    for begin in range(0, len(at), _BLOCK):
        scores = users[begin : begin + _BLOCK] @ vectors.T  # (B, n)
        for row in range(len(scores)):
            scores[row, items[first[begin + row] : at[begin + row]]] = -np.inf
        top = np.argpartition(-scores, K, axis=1)[:, :K]
        found = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-found, axis=1)
        lists[begin : begin + _BLOCK] = np.take_along_axis(top, order, axis=1)
        best[begin : begin + _BLOCK] = np.take_along_axis(found, order, axis=1)
    return lists, best


def _list_categories(titles: list[str | None]) -> list[str]:
    # Neither data set has categories.
    words = [[word for word in (title or "").lower().split() if word.isalpha()] for title in titles]
    common = {word: -count for word, count in Counter(w for each in words for w in set(each)).most_common(_CATEGORIES)}
    return [
        min((word for word in each if word in common), key=lambda word: common[word], default="other") for each in words
    ]
