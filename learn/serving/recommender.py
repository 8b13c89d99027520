"""The model of the service, without a web framework: it maps histories to items.

One matrix product scores many users in the time of a few single ones, so requests that are open at the same time are
scored together. Its float32 sums differ from those of a single user in the last digits. If two neighbours in a list
are too close for that, the list is computed separately, so nobody's list depends on other requests.

Shape legend: B users, n items, h known items of a history, T positions the user tower reads, W input width, D vector
width.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle, islice
from typing import Annotated, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from learn.errors import RequestError
from learn.model import pad_histories
from learn.registry import Bundle, read_trained_rows
from learn.retrieval import (
    AnnIndex,
    Candidates,
    ExactRanked,
    Hits,
    OrderRanked,
    Ranked,
    rank,
    rank_exactly,
    rank_scored,
)
from learn.serving.catalogue import Catalogue, ItemChange, measure_lengths
from learn.serving.filters import (
    NO_FILTERS,
    Filters,
    choose_pool_size,
    diversify,
    find_candidates,
    resolve_caps,
    select_within_caps,
)
from learn.traffic import Fallback

Vector = NDArray[np.float32]

CLOSE = 1e-5
"""Scores closer than this may swap places between a batch and a single user: a hundred times what float32 sums of
unit vectors were seen to differ by."""

_NOBODY = np.empty(0, dtype=np.int64)
# Most users of one product: more no longer make it cheaper, but need more memory.
_MOST_USERS, _SCORE_BYTES = 256, 64 * 2**20


@dataclass(frozen=True, slots=True)
class RecommendedItem:
    """One place of a list; as it is here it is in the service's answers and on its OpenAPI page."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)

    item_id: Annotated[str, Field(examples=["item_7"])]
    """The item."""

    title: Annotated[str | None, Field(examples=["Oak bookshelf, five boards"])]
    """Its title, where it has one."""

    score: Annotated[float, Field(examples=[0.62])]
    """Inner product of user and item vector; in a fallback, interactions in the last window; of similar items, the
    cosine."""

    rank: Annotated[int, Field(examples=[1])]
    """1 for the best."""


@dataclass(frozen=True)
class Query:
    """A list that is requested.

    Attributes:
        history: Item ids, oldest first; unknown ids are listed in the answer and otherwise ignored.
        k: Number of items, at least 1; fewer are returned if fewer exist.
        exclude_seen: Leave out the items of the history.
        filters: What may come back.
    """

    history: Sequence[str]
    k: int
    exclude_seen: bool = True
    filters: Filters = NO_FILTERS


@dataclass(frozen=True)
class Recommendation:
    """An answer.

    Attributes:
        items: Best first.
        unknown_items: Ids of the history that are not in the catalogue, without repeats, in the history's order.
        fallback: Why the list is by popularity instead of by the user tower; ``None`` if it is the tower's.
        user_vector: (D,) float32 that the items were ranked by; None if the user tower was not used.
    """

    items: tuple[RecommendedItem, ...]
    unknown_items: tuple[str, ...] = ()
    fallback: Fallback | None = None
    user_vector: Vector | None = field(default=None, repr=False, compare=False)


class Recommender:
    """Recommends from one bundle; safe to share between threads.

    Args:
        bundle: A bundle that was read and checked.

    Raises:
        BundleError: Its index of the approximate search cannot be read.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.version = bundle.version
        self.bundle = bundle
        self._towers = bundle.towers
        self._changing = threading.Lock()
        self._catalogue = Catalogue.from_bundle(bundle)
        count, dimension = bundle.item_vectors.shape
        self._index = None if bundle.index is None else AnnIndex.read(bundle.index, count=count, dimension=dimension)

    @property
    def catalogue(self) -> Catalogue:
        """The current items."""
        return self._catalogue

    def recommend(
        self, history: Sequence[str], *, k: int, exclude_seen: bool = True, filters: Filters = NO_FILTERS
    ) -> Recommendation:
        """Recommend items to one user.

        Args:
            history: Item ids, oldest first; unknown ids are listed in the answer and otherwise ignored.
            k: Number of items, at least 1; fewer are returned if fewer exist.
            exclude_seen: Leave out the items of the history.
            filters: What may come back.

        Raises:
            RequestError: A filter does not fit the catalogue.
        """
        return self._recommend_one(self._catalogue, Query(history, k, exclude_seen, filters))

    def recommend_together(self, wanted: Sequence[Query]) -> list[Recommendation | RequestError]:
        """Recommend items to many users; each gets the same list as in a separate request.

        Returns:
            For each of them the answer, or the error of its filters.
        """
        catalogue = self._catalogue
        at_once = int(np.clip(_SCORE_BYTES // (4 * len(catalogue.vectors)), 1, _MOST_USERS))
        plain = [place for place, each in enumerate(wanted) if self._index is None and not each.filters.rearranged]
        known = {place: _find_known(catalogue, wanted[place].history) for place in plain}
        scored = [place for place in plain if len(known[place][0])]
        found: dict[int, Recommendation] = {}
        for begin in range(0, len(scored), at_once):
            part = scored[begin : begin + at_once]
            if len(part) > 1:
                found |= self._recommend_many(catalogue, {place: (wanted[place], *known[place]) for place in part})
        return [found.get(place) or self._recommend_or_refuse(catalogue, each) for place, each in enumerate(wanted)]

    def find_similar_items(self, item_id: str, *, k: int, filters: Filters = NO_FILTERS) -> Recommendation:
        """List the items most similar to one of the catalogue, without itself.

        Raises:
            KeyError: It is not in the catalogue.
            RequestError: A filter does not fit the catalogue.
        """
        catalogue = self._catalogue
        row = np.array([catalogue.rows[item_id]], dtype=np.int64)
        return self._find_alike(catalogue, catalogue.vectors.take(row)[0], k=k, filters=filters, excluded=row)

    def find_similar_to_vector(self, vector: Vector, *, k: int, filters: Filters = NO_FILTERS) -> Recommendation:
        """List the items most similar to an item vector (D,).

        Raises:
            RequestError: A filter does not fit the catalogue.
        """
        return self._find_alike(self._catalogue, vector, k=k, filters=filters, excluded=_NOBODY)

    def encode_user(self, history: Sequence[str]) -> tuple[Vector | None, tuple[str, ...]]:
        """Return the user vector (D,) after a history, None if no item of it is known, and the unknown ids."""
        catalogue = self._catalogue
        rows, unknown = _find_known(catalogue, history)
        return (self._encode_users(catalogue, [rows])[0] if len(rows) else None), unknown

    def encode_items(self, item_ids: Sequence[str]) -> tuple[Vector, tuple[str, ...]]:
        """Return vectors (k, D) of the known ones of some items, in their order, and the unknown ids."""
        catalogue = self._catalogue
        rows, unknown = _find_known(catalogue, item_ids)
        return catalogue.vectors.take(rows), unknown

    @torch.inference_mode()
    def map_content(self, content: Vector, item_ids: Sequence[str | None]) -> tuple[Vector, Vector]:
        """Encode content vectors with the item tower.

        The ID table is used for items that the towers were trained on; of all others only the text is read.

        Args:
            content: (m, c) float32 frozen content vectors.
            item_ids: Their items' ids; None for a text that is not an item.

        Returns:
            The user tower's inputs, (m, W), and the vectors that users are compared with, (m, D).

        Raises:
            BundleError: The towers were trained on other items than the bundle's.
        """
        ids = torch.tensor([self._id_rows.get(item or "", -1) for item in item_ids], dtype=torch.int64)
        inputs = self._towers.compute_item_inputs(torch.from_numpy(content), ids)  # (m, W)
        return inputs.numpy(), self._towers.encode_items(inputs).numpy()

    def change_items(self, changes: Sequence[ItemChange]) -> None:
        """Apply changes, at most one per item; all later answers use them."""
        with self._changing:
            self._catalogue = self._catalogue.apply_changes(changes)

    def warm_up(self) -> None:
        """Run each kind of request once, so that the first user does not wait for it."""
        ids = self._catalogue.ids
        for length in (0, 1, 2, self._towers.settings.max_history):
            for k in (1, 10):
                self.recommend(list(islice(cycle(ids), length)), k=k)

    def _recommend_one(self, catalogue: Catalogue, wanted: Query) -> Recommendation:
        rows, unknown = _find_known(catalogue, wanted.history)
        allowed = find_candidates(catalogue, wanted.filters, excluded=rows if wanted.exclude_seen else _NOBODY)
        if len(rows):
            vector = self._encode_users(catalogue, [rows])[0]
            ranked = rank(catalogue.vectors, vector, allowed, self._index)
            return Recommendation(_list_items(catalogue, _cut(catalogue, ranked, wanted)), unknown, None, vector)
        ranked = _rank_popular(catalogue, allowed)
        fallback: Fallback = "no_known_item" if unknown else "empty_history"
        return Recommendation(_list_items(catalogue, _cut(catalogue, ranked, wanted)), unknown, fallback)

    def _recommend_or_refuse(self, catalogue: Catalogue, wanted: Query) -> Recommendation | RequestError:
        try:
            return self._recommend_one(catalogue, wanted)
        except RequestError as refused:
            return refused

    def _recommend_many(
        self, catalogue: Catalogue, asked: dict[int, tuple[Query, NDArray[np.int64], tuple[str, ...]]]
    ) -> dict[int, Recommendation]:
        """Return the lists whose neighbouring scores are far enough apart."""
        vectors = self._encode_users(catalogue, [rows for _, rows, _ in asked.values()])  # (B, D)
        scores = catalogue.vectors.multiply_each(vectors)  # (B, n)
        found = {}
        for user, (place, (wanted, rows, unknown)) in enumerate(asked.items()):
            try:
                allowed = find_candidates(catalogue, wanted.filters, excluded=rows if wanted.exclude_seen else _NOBODY)
            except RequestError:
                continue
            # One place more than requested, because the last one may be close to it too.
            hits = rank_scored(scores[user], allowed).select_best(wanted.k + 1)
            if _is_far_apart(hits.scores):
                listed = _list_items(catalogue, Hits(hits.rows[: wanted.k], hits.scores[: wanted.k]))
                found[place] = Recommendation(listed, unknown, None, vectors[user])
        return found

    @cached_property
    def _id_rows(self) -> dict[str, int]:
        return read_trained_rows(self.bundle) if self._towers.id_count else {}

    @torch.inference_mode()
    def _encode_users(self, catalogue: Catalogue, histories: Sequence[NDArray[np.int64]]) -> Vector:
        """Return the vectors (B, D) of users after histories of rows, none of them empty."""
        stops = np.cumsum([len(rows) for rows in histories])
        starts = np.concatenate([[0], stops[:-1]])
        longest = self._towers.settings.max_history
        padded, lengths = pad_histories(np.concatenate(histories), starts, stops, max_length=longest)  # (B, T), (B,)
        inputs = catalogue.inputs.take(padded.ravel()).reshape(*padded.shape, -1)  # (B, T, W)
        vectors: Vector = self._towers.encode_users(torch.from_numpy(inputs), torch.from_numpy(lengths)).numpy()
        return vectors  # (B, D)

    def _find_alike(
        self, catalogue: Catalogue, vector: Vector, *, k: int, filters: Filters, excluded: NDArray[np.int64]
    ) -> Recommendation:
        allowed = find_candidates(catalogue, filters, excluded=excluded)
        ranked = rank_exactly(catalogue.vectors, vector / _measure_length(vector), allowed)
        lengths = catalogue.lengths if ranked.rows is None else catalogue.lengths[ranked.rows]
        # A vector of zeros, of an item without any information, is similar to nothing.
        cosines = np.divide(ranked.scores, lengths, out=np.zeros_like(ranked.scores), where=lengths > 0)
        hits = _cut(catalogue, ExactRanked(cosines, ranked.rows), Query((), k, filters=filters))
        return Recommendation(_list_items(catalogue, hits))


def _find_known(catalogue: Catalogue, history: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    found = [catalogue.rows.get(item_id, -1) for item_id in history]
    rows = np.array(found, dtype=np.int64)
    if -1 not in found:
        return rows, ()
    unknown = (item_id for item_id, row in zip(history, found, strict=True) if row < 0)
    return rows[rows >= 0], tuple(dict.fromkeys(unknown))


def _rank_popular(catalogue: Catalogue, allowed: Candidates) -> OrderRanked:
    order = catalogue.popularity_order
    if allowed.rows is not None:
        wanted = np.zeros(len(catalogue.ids), dtype=np.bool_)  # (n,)
        wanted[allowed.rows] = True
        order = order[wanted[order]]
    return OrderRanked(order, catalogue.recent)


def _cut(catalogue: Catalogue, ranked: Ranked, wanted: Query) -> Hits:
    k, filters = wanted.k, wanted.filters
    caps = resolve_caps(catalogue, filters.caps)
    if not filters.diversity:
        return select_within_caps(ranked, k, caps)
    # Any part of a list that respects the caps also respects them.
    pool = select_within_caps(ranked, choose_pool_size(k), caps)
    return diversify(pool, catalogue.vectors.take(pool.rows), k=k, diversity=filters.diversity)


def _is_far_apart(best: Vector) -> bool:
    """Return whether all neighbouring scores of a list, best first, differ by more than rounding could."""
    above = best[:-1]
    return bool((above - best[1:] > CLOSE * np.maximum(np.abs(above), 1.0)).all())


def _measure_length(vector: Vector) -> float:
    return float(measure_lengths(vector[None])[0]) or 1.0


def _list_items(catalogue: Catalogue, hits: Hits) -> tuple[RecommendedItem, ...]:
    places: Iterable[tuple[int, float]] = zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)
    return tuple(
        RecommendedItem(catalogue.ids[row], catalogue.titles[row], score, rank)
        for rank, (row, score) in enumerate(places, start=1)
    )


# Most requests of one product. With more, the first would wait for longer than the others gain.
_AT_MOST = 32
# A turn of the event loop that brings no request takes microseconds; a request takes about so many turns from its first
# byte to here, so that those that came with another are not left for the next product.
_QUIET_TURNS = 4


class RecommendsTogether(Protocol):
    """A model that answers many queries at once."""

    def recommend_together(self, wanted: Sequence[Query]) -> list[Recommendation | RequestError]:
        """Return an answer or a refusal for each."""
        ...


class RequestBatcher:
    """Collects the requests that the event loop brings, and answers them together.

    To be used from only one event loop. It waits for no timer: when the loop brings no more requests, the collected
    ones are answered.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[RecommendsTogether, Query, asyncio.Future[Recommendation]]] = []

    async def recommend(self, model: RecommendsTogether, wanted: Query) -> Recommendation:
        """Recommend items to one user.

        Raises:
            RequestError: A filter does not fit the catalogue.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Recommendation] = loop.create_future()
        self._waiting.append((model, wanted, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._look, 1, 0)
        return await answer

    def _look(self, seen: int, quiet: int) -> None:
        count = len(self._waiting)
        quiet = quiet + 1 if count == seen else 0
        if count < _AT_MOST and quiet < _QUIET_TURNS:
            asyncio.get_running_loop().call_soon(self._look, count, quiet)
            return
        now, self._waiting = self._waiting[:_AT_MOST], self._waiting[_AT_MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._look, len(self._waiting), 0)
        for model in dict.fromkeys(model for model, _, _ in now):
            _answer(model, [(wanted, answer) for asked, wanted, answer in now if asked is model])


def _answer(model: RecommendsTogether, asked: Sequence[tuple[Query, asyncio.Future[Recommendation]]]) -> None:
    # A client that has disconnected in the meantime has cancelled its answer.
    left = [(wanted, answer) for wanted, answer in asked if not answer.done()]
    try:
        found = model.recommend_together([wanted for wanted, _ in left])
    except Exception as fault:
        for _, answer in left:
            answer.set_exception(fault)
        return
    for (_, answer), each in zip(left, found, strict=True):
        if isinstance(each, RequestError):
            answer.set_exception(each)
        else:
            answer.set_result(each)
