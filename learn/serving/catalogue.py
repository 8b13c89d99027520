"""The items a service knows at one moment: those of the bundle, and what was changed at run time.

A catalogue never changes. A change makes a new one, which shares all that stayed: whoever is in the middle of an answer
goes on with the old one.

Shape legend: n items of the bundle, m items with vectors of their own, W width of what is read, D width of the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.serving.bundle import Bundle
from learn.serving.columns import Cell, Column, column_for, read_columns
from learn.serving.stacked_rows import StackedRows

_NO_FILTER = frozenset({"item_id", "title"})


@dataclass(frozen=True)
class ItemChange:
    """What became of one item.

    Attributes:
        item_id: The item.
        cells: All its columns, also those that stayed; None: it was deleted.
        read: (W,) float32, what the user tower reads of it, and
        vector: (D,) float32, what users are compared with; both None: those of the bundle hold.
    """

    item_id: str
    cells: Mapping[str, Cell] | None
    read: NDArray[np.float32] | None = None
    vector: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Catalogue:
    """The items at one moment, in rows: the bundle's first, then those with vectors of their own.

    Attributes:
        ids: Item ids by row.
        titles: Titles by row, where items have one.
        rows: The row of each item that may be recommended or read.
        bundled_rows: The row of each item of the bundle, whatever became of it.
        columns: Columns that can be filtered by.
        inputs: (n + m, W) what the user tower reads.
        vectors: (n + m, D) what users are compared with.
        lengths: (n + m,) lengths of the vectors.
        recent: (n + m,) interactions in the last window.
        training: (n + m,) interactions in the training part.
        gone: Rows that stand for no item: deleted, or replaced by another row.
    """

    ids: list[str]
    titles: list[str | None]
    rows: dict[str, int]
    bundled_rows: dict[str, int]
    columns: dict[str, Column]
    inputs: StackedRows
    vectors: StackedRows
    lengths: NDArray[np.float32]
    recent: NDArray[np.int64]
    training: NDArray[np.int64]
    gone: NDArray[np.int64]

    @classmethod
    def of(cls, bundle: Bundle) -> Catalogue:
        """Return the catalogue of a bundle."""
        # The vectors are read whole with each answer and get memory of their own; of the inputs, a few rows are.
        vectors = np.array(bundle.item_vectors, order="C")
        ids = bundle.item_ids
        recent, training = popularity_counts(bundle.items)
        rows = {item_id: row for row, item_id in enumerate(ids)}
        return cls(
            ids=ids,
            titles=bundle.items["title"].cast(pl.String).to_list(),
            rows=rows,
            bundled_rows=rows,
            columns=read_columns(bundle.items, without=_NO_FILTER),
            inputs=StackedRows.of(bundle.item_inputs),
            vectors=StackedRows.of(vectors),
            lengths=lengths_of(vectors),
            recent=recent,
            training=training,
            gone=np.empty(0, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def popularity_order(self) -> NDArray[np.int64]:
        """(items,) rows for users without history, as :func:`popularity_order` ranks them."""
        order = popularity_order(recent=self.recent, training=self.training)
        return order[~np.isin(order, self.gone)] if len(self.gone) else order

    def with_changes(self, changes: Sequence[ItemChange]) -> Catalogue:
        """Return the catalogue after some changes, one an item."""
        ids, titles, rows = list(self.ids), list(self.titles), dict(self.rows)
        gone = set(self.gone.tolist())
        bundled = len(self.vectors.bundled)
        inputs, vectors = list(self.inputs.added), list(self.vectors.added)
        recent, training = list(self.recent[bundled:]), list(self.training[bundled:])
        cells: dict[int, Mapping[str, Cell]] = {}
        for change in changes:
            before = rows.pop(change.item_id, None)
            home = self.bundled_rows.get(change.item_id)
            if before is not None:
                gone.add(before)
            if change.cells is None:
                continue
            if change.vector is None or change.read is None:
                if home is None:
                    raise KeyError(change.item_id)
                row = home
            elif before is not None and before >= bundled:
                row = before
                inputs[row - bundled], vectors[row - bundled] = change.read, change.vector
            else:
                row = len(ids)
                ids.append(change.item_id)
                titles.append(None)
                inputs.append(change.read)
                vectors.append(change.vector)
                recent.append(self.recent[home] if home is not None else np.int64(0))
                training.append(self.training[home] if home is not None else np.int64(0))
            gone.discard(row)
            rows[change.item_id] = row
            title = change.cells.get("title")
            titles[row] = title if isinstance(title, str) else None
            cells[row] = change.cells
        added = StackedRows(self.vectors.bundled, _stacked(vectors, self.vectors))
        return Catalogue(
            ids=ids,
            titles=titles,
            rows=rows,
            bundled_rows=self.bundled_rows,
            columns=_changed_columns(self.columns, cells, count=len(ids)),
            inputs=StackedRows(self.inputs.bundled, _stacked(inputs, self.inputs)),
            vectors=added,
            lengths=np.concatenate([self.lengths[:bundled], lengths_of(added.added)]),
            recent=np.concatenate([self.recent[:bundled], np.array(recent, dtype=np.int64)]),
            training=np.concatenate([self.training[:bundled], np.array(training, dtype=np.int64)]),
            gone=np.array(sorted(gone), dtype=np.int64),
        )


def popularity_counts(items: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (n,) interactions in the last window, and (n,) in the training part."""
    recent, training = (
        items[name].fill_null(0).to_numpy().astype(np.int64)
        for name in ("recent_interactions", "training_interactions")
    )
    return recent, training


def popularity_order(*, recent: NDArray[np.int64], training: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n,) rows, most popular in the last window first.

    Ties go to the item more popular in the whole training part, then to the lower row.
    """
    return np.lexsort((np.arange(len(recent)), -training, -recent))


def lengths_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the lengths (n,) of vectors (n, d)."""
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return lengths


def _stacked(rows: Sequence[NDArray[np.float32]], like: StackedRows) -> NDArray[np.float32]:
    return np.stack(rows) if rows else like.bundled[:0]


def _changed_columns(
    columns: Mapping[str, Column], cells: Mapping[int, Mapping[str, Cell]], *, count: int
) -> dict[str, Column]:
    known = dict(columns)
    for row_cells in cells.values():
        for name, cell in row_cells.items():
            if name not in known and name not in _NO_FILTER and (fresh := column_for(cell, count=count)) is not None:
                known[name] = fresh
    return {
        name: column.with_cells({row: row_cells.get(name) for row, row_cells in cells.items()}, count=count)
        for name, column in known.items()
    }
