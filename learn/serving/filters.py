"""Which items may come back: filters by item and by column, diversity, and caps per value of a column.

Filters apply before a list is cut. Diversity is maximal marginal relevance.

Shape legend: n rows of the catalogue, p items of a pool, k items of a list, d width of the vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from learn.errors import RequestError
from learn.retrieval import Candidates, Hits, Ranked
from learn.serving.catalogue import Catalogue, Condition, LabelColumn, UnfitConditionError

# Size of the pool of candidates: enough to choose from, but not so many that k = 1,000 takes seconds.
_SMALLEST_POOL, _POOL_TIMES, _POOL_MORE = 100, 5, 400
_GROWTH = 4


@dataclass(frozen=True)
class Cap:
    """At most so many items of one value.

    Attributes:
        codes: (n,) int32 number of each item's value; 0 if it has none, and then it is not counted.
        at_most: Items of one value.
    """

    codes: NDArray[np.int32]
    at_most: int


def choose_pool_size(k: int) -> int:
    """Return how many items a diverse list of k is chosen from."""
    return max(_SMALLEST_POOL, min(_POOL_TIMES * k, k + _POOL_MORE))


def select_within_caps(ranked: Ranked, k: int, caps: Sequence[Cap]) -> Hits:
    """Return the k best that respect the caps, chosen greedily from the best down.

    With one cap, k are returned whenever k exist. Several caps can conflict, because each chosen item counts in all.
    """
    if not caps:
        return ranked.select_best(k)
    pool = _GROWTH * k
    while True:
        hits = ranked.select_best(pool)
        places = _find_places_within(hits, k, caps)
        if len(places) == k or len(hits.rows) < pool:
            return hits.select(places)
        pool *= _GROWTH


def diversify(hits: Hits, vectors: NDArray[np.float32], *, k: int, diversity: float) -> Hits:
    """Choose k of a pool by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    Each place goes to the largest ``(1 - diversity) * relevance - diversity * similarity``: relevance is the score
    scaled to 0..1 within the pool, similarity the largest cosine to what is in the list already.

    Args:
        hits: The pool, best first.
        vectors: (p, d) float32 vectors of its items, in its order.
        k: Number of items.
        diversity: 0 keeps the order; 1 uses only similarity after the first item.
    """
    count = min(k, len(hits.rows))
    if count == 0:
        return hits
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)  # (p, d)
    spread = hits.scores.max() - hits.scores.min()
    relevance = (hits.scores - hits.scores.min()) / (spread or 1.0)  # (p,)
    # The first place is the best item's, whatever the diversity.
    chosen = [0]
    similarity = units @ units[0]  # (p,)
    taken = np.zeros(len(units), dtype=np.bool_)
    taken[0] = True
    while len(chosen) < count:
        gains = (1 - diversity) * relevance - diversity * similarity
        gains[taken] = -np.inf
        best = int(gains.argmax())
        taken[best] = True
        chosen.append(best)
        np.maximum(similarity, units @ units[best], out=similarity)
    return hits.select(np.array(chosen, dtype=np.int64))


def _find_places_within(hits: Hits, k: int, caps: Sequence[Cap]) -> NDArray[np.int64]:
    columns = [cap.codes[hits.rows].tolist() for cap in caps]
    counts: list[Counter[int]] = [Counter() for _ in caps]
    places: list[int] = []
    for place, codes in enumerate(zip(*columns, strict=True)):
        if any(code and count[code] >= cap.at_most for code, count, cap in zip(codes, counts, caps, strict=True)):
            continue
        places.append(place)
        for code, count in zip(codes, counts, strict=True):
            count[code] += 1
        if len(places) == k:
            break
    return np.array(places, dtype=np.int64)


@dataclass(frozen=True)
class Selection:
    """Some items of the catalogue.

    Attributes:
        item_ids: By id; None: ids do not matter. Unknown ones are ignored.
        columns: By the values of columns.
    """

    item_ids: Sequence[str] | None = None
    columns: Mapping[str, Condition] = field(default_factory=dict)


@dataclass(frozen=True)
class ValueCap:
    """At most so many items of one value of a column; items without a value are not counted."""

    column: str
    at_most: int


@dataclass(frozen=True)
class Filters:
    """What may come back.

    Attributes:
        include_only: Only items that fulfil all of it.
        exclude: No item that fulfils any of it.
        caps: Bounds on the items of one value.
        diversity: From 0 (the best items) to 1 (the most different items).
    """

    include_only: Selection | None = None
    exclude: Selection | None = None
    caps: tuple[ValueCap, ...] = ()
    diversity: float = 0.0

    @property
    def narrow(self) -> bool:
        """Whether it excludes any item."""
        return self.include_only is not None or self.exclude is not None

    @property
    def rearranged(self) -> bool:
        """Whether lists are more than the best allowed items."""
        return bool(self.caps) or self.diversity > 0


NO_FILTERS = Filters()


def find_candidates(catalogue: Catalogue, filters: Filters, *, excluded: NDArray[np.int64]) -> Candidates:
    """Return the items that filters leave.

    Args:
        catalogue: The items.
        filters: What may come back.
        excluded: (x,) further rows that may not.

    Raises:
        RequestError: A filter names a column that the catalogue does not have, or does not fit the column's kind.
    """
    barred = np.concatenate([catalogue.gone, excluded]) if len(catalogue.gone) else excluded
    if not filters.narrow:
        return Candidates(None, barred)
    allowed = np.ones(len(catalogue.ids), dtype=np.bool_)  # (n,)
    if filters.include_only is not None:
        for found in _match_selection(catalogue, filters.include_only, where="include_only"):
            allowed &= found
    if filters.exclude is not None:
        for found in _match_selection(catalogue, filters.exclude, where="exclude"):
            allowed &= ~found
    allowed[barred] = False
    return Candidates(np.flatnonzero(allowed), barred)


def resolve_caps(catalogue: Catalogue, caps: Sequence[ValueCap]) -> list[Cap]:
    """Return caps by rows instead of names.

    Raises:
        RequestError: A cap names a column that the catalogue does not have, or one without a single value per item.
    """
    found: list[Cap] = []
    for cap in caps:
        column = catalogue.columns.get(cap.column)
        if column is None:
            raise _explain_unknown_column(catalogue, cap.column, where="caps")
        if not isinstance(column, LabelColumn) or column.kind == "list":
            raise RequestError(
                f"`{cap.column}` cannot be capped: it holds {'lists' if column.kind == 'list' else 'numbers'}.",
                where="caps",
                fix="cap a column of texts, as a brand",
            )
        found.append(Cap(column.codes, cap.at_most))
    return found


def _match_selection(catalogue: Catalogue, selection: Selection, *, where: str) -> list[NDArray[np.bool_]]:
    found = [_matches(catalogue, name, condition, where=where) for name, condition in selection.columns.items()]
    if selection.item_ids is not None:
        named = np.zeros(len(catalogue.ids), dtype=np.bool_)  # (n,)
        named[[catalogue.rows[item_id] for item_id in selection.item_ids if item_id in catalogue.rows]] = True
        found.append(named)
    return found


def _matches(catalogue: Catalogue, name: str, condition: Condition, *, where: str) -> NDArray[np.bool_]:
    place = f"{where}.columns.{name}"
    column = catalogue.columns.get(name)
    if column is None:
        raise _explain_unknown_column(catalogue, name, where=place)
    try:
        return column.matches(condition)
    except UnfitConditionError as fault:
        raise RequestError(f"`{name}` cannot be filtered so: {fault}.", where=place) from fault


def _explain_unknown_column(catalogue: Catalogue, name: str, *, where: str) -> RequestError:
    return RequestError(
        f"The catalogue has no column `{name[:80]}` to filter by.",
        where=where,
        fix=f"use one of: {', '.join(sorted(catalogue.columns)) or 'there are none'}",
    )
