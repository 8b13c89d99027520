"""The two sides of a drift report: what the towers were trained on, and what comes in now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.data.histories import count_before
from learn.errors import DriftError


@dataclass(frozen=True)
class Window:
    """One side of a drift report.

    Vectors are read by row on demand, so memory-mapped arrays stay on disk.

    Attributes:
        name: What people call it, e.g. ``"training"``.
        interactions: Column ``item`` (row number in ``items``); optional ``user`` (any type) and ``timestamp``
            (seconds, or any unit the two windows share; leave it out where it is only an order).
        items: One row an item; ``title``, ``category``, ``brand``, ``description`` and ``price`` are read where
            present. ``item_id`` ties the items of two catalogues together.
        item_vectors: ``(items, d)``, row number as in ``items``; None: not measured.
        user_vectors: ``(users, d)``, one row per user active in the window; None: not measured.
    """

    name: str
    interactions: pl.DataFrame
    items: pl.DataFrame
    item_vectors: NDArray[np.float32] | None = None
    user_vectors: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if "item" not in self.interactions.columns:
            raise DriftError("The interactions have no column `item`.", where=f"window `{self.name}`")
        largest, smallest = self.interactions["item"].max(), self.interactions["item"].min()
        if isinstance(largest, int) and isinstance(smallest, int) and not 0 <= smallest <= largest < self.items.height:
            raise DriftError(
                f"An interaction names item {largest if largest >= self.items.height else smallest}, "
                f"but there are {self.items.height} items.",
                where=f"window `{self.name}`",
                fix="number the items by their row in the table of items",
            )
        if self.item_vectors is not None and len(self.item_vectors) != self.items.height:
            raise DriftError(
                f"There are {len(self.item_vectors)} item vectors for {self.items.height} items.",
                where=f"window `{self.name}`",
                fix="give one vector per row of the table of items",
            )


def history_window(
    name: str,
    *,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    item_indices: NDArray[np.int32],
    timestamps: NDArray[np.float64] | None,
    items: pl.DataFrame,
    item_vectors: NDArray[np.float32] | None = None,
    user_vectors: NDArray[np.float32] | None = None,
) -> Window:
    """Make a window from one slice of each user's history.

    The training window is ``starts=offsets[:-1], stops=train_stops``; the newest one is
    ``starts=positions_from(...), stops=offsets[1:]``.

    Args:
        name: What people call it.
        starts: First position of each user's slice in the flat arrays, ``(users,)``.
        stops: One past the last position, ``(users,)``; equal to the start where a user has nothing here.
        item_indices: Flat histories, ``(n,)``.
        timestamps: Times beside them, ``(n,)``; None where they are only an order.
        items: One row an item.
        item_vectors: ``(items, d)``.
        user_vectors: ``(m, d)``, one row per active user.
    """
    lengths = np.maximum(stops - starts, 0)  # (users,)
    first = np.concatenate([[0], np.cumsum(lengths)])  # (users + 1,)
    positions = np.arange(first[-1]) + np.repeat(starts - first[:-1], lengths)  # (rows,)
    columns = {
        "user": np.repeat(np.arange(len(starts)), lengths),
        "item": np.asarray(item_indices[positions], dtype=np.int32),
    }
    if timestamps is not None:
        columns["timestamp"] = np.asarray(timestamps[positions], dtype=np.float64)
    return Window(name, pl.DataFrame(columns), items, item_vectors, user_vectors)


def positions_from(moment: float, *, offsets: NDArray[np.int64], timestamps: NDArray[np.float64]) -> NDArray[np.int64]:
    """First position of each user's history at or after ``moment``, ``(users,)``; the end where there is none."""
    positions: NDArray[np.int64] = offsets[:-1] + count_before(offsets, timestamps, moment)  # (users,)
    return positions


def table_window(
    name: str,
    *,
    interactions: pl.DataFrame,
    items: pl.DataFrame,
    has_times: bool = True,
    item_vectors: NDArray[np.float32] | None = None,
    user_vectors: NDArray[np.float32] | None = None,
) -> Window:
    """Make a window from tables with ``user_id`` and ``item_id``, such as those of a second data folder.

    Interactions with items that the table of items does not hold are left out.

    Raises:
        DriftError: No interaction is with a known item.
    """
    numbers = items.select("item_id").with_row_index("item").with_columns(pl.col("item").cast(pl.Int32))
    kept = interactions.join(numbers, on="item_id", how="inner", maintain_order="left")
    if kept.is_empty():
        raise DriftError(
            "None of the interactions is with an item of the table of items.",
            where=f"window `{name}`",
            fix="check that both tables are of the same shop and that item ids are written alike",
        )
    columns = ["item", pl.col("user_id").alias("user")]
    if has_times:
        columns.append(pl.col("timestamp"))
    return Window(name, kept.select(columns), items, item_vectors, user_vectors)
