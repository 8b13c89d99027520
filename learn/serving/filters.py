"""Which items of a catalogue may come back: filters by item and by column, applied before any list is cut.

Shape legend: n rows of the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from learn.errors import RequestError
from learn.serving.catalogue import Catalogue
from learn.serving.columns import Condition, LabelColumn, UnfitConditionError
from learn.serving.diversity import Cap
from learn.serving.retrieval import Candidates


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
        diversity: From 0 (the best items) to 1 (items as unlike as can be).
    """

    include_only: Selection | None = None
    exclude: Selection | None = None
    caps: tuple[ValueCap, ...] = ()
    diversity: float = 0.0

    @property
    def narrow(self) -> bool:
        """Whether it takes any item out."""
        return self.include_only is not None or self.exclude is not None

    @property
    def rearranged(self) -> bool:
        """Whether lists are more than the best of what is left."""
        return bool(self.caps) or self.diversity > 0


NO_FILTERS = Filters()


def candidates(catalogue: Catalogue, filters: Filters, *, excluded: NDArray[np.int64]) -> Candidates:
    """Return the items that filters leave.

    Args:
        catalogue: The items.
        filters: What may come back.
        excluded: (x,) further rows that may not.

    Raises:
        RequestError: A filter names a column that the catalogue has not, or asks it for what it does not hold.
    """
    barred = np.concatenate([catalogue.gone, excluded]) if len(catalogue.gone) else excluded
    if not filters.narrow:
        return Candidates(None, barred)
    allowed = np.ones(len(catalogue.ids), dtype=np.bool_)  # (n,)
    if filters.include_only is not None:
        for found in _found(catalogue, filters.include_only, where="include_only"):
            allowed &= found
    if filters.exclude is not None:
        for found in _found(catalogue, filters.exclude, where="exclude"):
            allowed &= ~found
    allowed[barred] = False
    return Candidates(np.flatnonzero(allowed), barred)


def caps_of(catalogue: Catalogue, caps: Sequence[ValueCap]) -> list[Cap]:
    """Return caps by rows instead of names.

    Raises:
        RequestError: A cap names a column that the catalogue has not, or one that does not hold one value an item.
    """
    found: list[Cap] = []
    for cap in caps:
        column = catalogue.columns.get(cap.column)
        if column is None:
            raise _unknown(catalogue, cap.column, where="caps")
        if not isinstance(column, LabelColumn) or column.kind == "list":
            raise RequestError(
                f"`{cap.column}` cannot be capped: it holds {'lists' if column.kind == 'list' else 'numbers'}.",
                where="caps",
                fix="cap a column of texts, as a brand",
            )
        found.append(Cap(column.codes, cap.at_most))
    return found


def _found(catalogue: Catalogue, selection: Selection, *, where: str) -> list[NDArray[np.bool_]]:
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
        raise _unknown(catalogue, name, where=place)
    try:
        return column.matches(condition)
    except UnfitConditionError as fault:
        raise RequestError(f"`{name}` cannot be filtered so: {fault}.", where=place) from fault


def _unknown(catalogue: Catalogue, name: str, *, where: str) -> RequestError:
    return RequestError(
        f"The catalogue has no column `{name[:80]}` to filter by.",
        where=where,
        fix=f"use one of: {', '.join(sorted(catalogue.columns)) or 'there are none'}",
    )
