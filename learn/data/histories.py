"""Histories: every user's interactions as flat, memory-mapped integer arrays, oldest first.

Shape legend: N interactions, U users, E examples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.data.timestamps import TimestampScale, detect_timestamp_scale
from learn.errors import DataError

Part = Literal["validation", "test"]

Timestamps = NDArray[np.int64 | np.float64]
"""Whole ticks, or floats where the source holds numbers with fractions."""

CLOCK = "clock"
"""Where what a split says of itself, also in a bundle, says what the timestamps are."""

PIECE_ROWS = 4_000_000
"""Interactions looked at at a time where an array of them is read from end to end."""

_ARRAYS = ("offsets", "items", "timestamps", "train_stops")
_EXAMPLE_ARRAYS = ("users", "starts", "stops", "targets")


@dataclass(frozen=True)
class Examples:
    """What is asked of a model in one part: after this history, which item came next?

    The history of example e is ``histories.items[starts[e]:stops[e]]``; it is empty for a new user.

    Attributes:
        name: ``validation`` or ``test``.
        users: (E,) int64, index of the user.
        starts: (E,) int64, where the history begins in ``Histories.items``.
        stops: (E,) int64, where it ends (exclusive).
        targets: (E,) int32, the item that came next.
    """

    name: str
    users: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    targets: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.targets)

    def keep_with_history(self) -> Examples:
        """Return the examples whose history is not empty."""
        kept = np.flatnonzero(self.stops > self.starts)
        return Examples(self.name, self.users[kept], self.starts[kept], self.stops[kept], self.targets[kept])


@dataclass(frozen=True)
class Histories:
    """All users' interactions, flat and in time order, with the border of the training part.

    Attributes:
        folder: Where the arrays are.
        offsets: (U + 1,) int64; user u owns ``items[offsets[u]:offsets[u + 1]]``.
        items: (N,) int32 item indices.
        timestamps: (N,) int64 ticks, or float64 where the source holds fractions; what they are says ``scale``.
        train_stops: (U,) int64; the training part of user u is ``items[offsets[u]:train_stops[u]]``.
        item_count: Items in the catalogue, seen or not.
        split: What the split was made by, for people.
    """

    folder: Path
    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    timestamps: Timestamps
    train_stops: NDArray[np.int64]
    item_count: int
    split: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Histories:
        """Open what :func:`learn.data.splits.build_histories` wrote; the arrays stay on disk.

        Raises:
            DataError: The folder holds no complete histories.
        """
        try:
            meta = json.loads((folder / "histories.json").read_text(encoding="utf-8"))
            offsets, items, timestamps, train_stops = (
                np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS
            )
        except (OSError, ValueError) as fault:
            raise DataError(f"Histories cannot be read: {fault}.", where=folder, fix="run the split again") from fault
        return cls(folder, offsets, items, timestamps, train_stops, int(meta["item_count"]), meta["split"])

    @property
    def scale(self) -> TimestampScale:
        """What the timestamps are, as decided when the tables were read."""
        said = self.split.get(CLOCK)
        if said is not None:
            return TimestampScale.from_dict(said)
        # Histories of an earlier version of LEARN do not say it.
        return detect_timestamp_scale(float(np.median(self.timestamps)) if len(self.timestamps) else 0.0)

    @property
    def user_count(self) -> int:
        """Users, in any part."""
        return len(self.train_stops)

    @property
    def user_ids(self) -> list[str]:
        """Users' ids as in the table, by user index."""
        return pl.read_parquet(self.folder / "users.parquet")["user_id"].to_list()

    @property
    def item_ids(self) -> list[str]:
        """Items' ids as in the table, by item index."""
        return pl.read_parquet(self.folder / "item_ids.parquet")["item_id"].to_list()

    def open_examples(self, part: Part) -> Examples:
        """Open the examples of one part."""
        arrays = (
            np.load(self.folder / f"{part}_{name}.npy", mmap_mode="r", allow_pickle=False) for name in _EXAMPLE_ARRAYS
        )
        return Examples(part, *arrays)

    def mark_training(self) -> NDArray[np.bool_]:
        """Return (N,) bool: which interactions belong to the training part."""
        mask = np.zeros(len(self.items), np.bool_)
        for rows, _, training in self._iterate_blocks():
            mask[rows] = training
        return mask

    def count_popularity(self) -> NDArray[np.int64]:
        """Return (item_count,) int64: interactions of each item in the training part alone."""
        counts = np.zeros(self.item_count, np.int64)
        for _, items in self.iterate_training_blocks():
            counts += np.bincount(items, minlength=self.item_count)
        return counts

    def iterate_training_blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """Yield, for blocks of users, user and item of each training interaction: what fits memory at any size."""
        for rows, users, training in self._iterate_blocks():
            yield users[training], self.items[rows][training]

    def _iterate_blocks(self) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.bool_]]]:
        """Yield, for blocks of users, their rows, and for each row its user and whether it is of the training part."""
        for block in iterate_user_blocks(self.offsets):
            borders = self.offsets[block.start : block.stop + 1]
            users = np.repeat(np.arange(block.start, block.stop), np.diff(borders))
            yield slice(borders[0], borders[-1]), users, np.arange(borders[0], borders[-1]) < self.train_stops[users]

    def read_training_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return users and items (both (N,) int64) of all training interactions, by user, oldest first."""
        training = self.mark_training()
        users = np.repeat(np.arange(self.user_count, dtype=np.int64), np.diff(self.offsets))
        return users[training], self.items[training].astype(np.int64)


def iterate_user_blocks(offsets: NDArray[np.int64]) -> Iterator[slice]:
    """Cut the users into blocks of neighbours with :data:`PIECE_ROWS` together at most, or one user with more.

    Args:
        offsets: (U + 1,) int64, as :class:`Histories` has them.
    """
    begin, users = 0, len(offsets) - 1
    while begin < users:
        end = int(np.searchsorted(offsets, offsets[begin] + PIECE_ROWS, side="right")) - 1
        end = min(users, max(begin + 1, end))
        yield slice(begin, end)
        begin = end


def count_before(offsets: NDArray[np.int64], timestamps: Timestamps, moment: float) -> NDArray[np.int64]:
    """Return (U,) int64: how many of each user's interactions came before a moment, counted and not searched for."""
    counted = np.zeros(len(offsets) - 1, np.int64)
    for users in iterate_user_blocks(offsets):
        borders = offsets[users.start : users.stop + 1]
        earlier = timestamps[borders[0] : borders[-1]] < moment
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(earlier)])
        counted[users] = np.diff(before[borders - borders[0]])
    return counted
