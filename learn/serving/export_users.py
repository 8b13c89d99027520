"""Users and their histories, block by block: from what a run split, or from any table of interactions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from learn.config import DataSettings
from learn.data.histories import Histories
from learn.data.tables import load_interactions

_BLOCK_USERS = 4_096
# Interactions held at once: some 200 MB with ids of 20 characters.
_PART_ROWS = 1_000_000


@dataclass(frozen=True)
class UserBlock:
    """Some users.

    Attributes:
        user_ids: Their ids.
        histories: Item ids of each, oldest first, as a service would be asked.
    """

    user_ids: list[str]
    histories: list[list[str]]

    @property
    def interactions(self) -> int:
        """Length of all histories together."""
        return sum(len(history) for history in self.histories)


@dataclass(frozen=True)
class Users:
    """Everybody whose list is wanted; memory holds one part of them at a time.

    Attributes:
        interactions: Rows of the table, those that say nothing among them.
        source: What they are read from: histories of a run, or a table in the contract's layout.
    """

    interactions: int
    source: Histories | Path

    @classmethod
    def open(cls, path: Path, *, scratch: Path) -> Users:
        """Open users.

        Args:
            path: A folder of histories, as the train flow writes it; a table of interactions in any known format; or a
                folder with such a table named ``interactions``.
            scratch: Where a copy of the table in the contract's layout may be written.

        Raises:
            DataError: There is no such thing, or it cannot be read.
            StorageError: The disk is full or closed.
        """
        if (path / "histories.json").is_file():
            histories = Histories.open(path)
            return cls(len(histories.items), histories)
        table = load_interactions(path, scratch, settings=DataSettings())
        return cls(pq.read_metadata(table).num_rows, table)

    def blocks(self) -> Iterator[UserBlock]:
        """Yield all users, each once."""
        return _of_histories(self.source) if isinstance(self.source, Histories) else self._of_table(self.source)

    def _of_table(self, table: Path) -> Iterator[UserBlock]:
        parts = -(-self.interactions // _PART_ROWS)
        rows = (
            pl.scan_parquet(table, glob=False)
            .select("user_id", "item_id", "timestamp", "row")
            # What a run would put into quarantine: nobody, nothing, or nobody knows when.
            .drop_nulls(["user_id", "item_id", "timestamp"])
        )
        # The table is read once for each part: slower than sorting it on disk, and nothing has to be kept there.
        for part in range(parts):
            mine = rows.filter(pl.col("user_id").hash(0) % parts == part).collect(engine="streaming")
            # The row breaks ties, as in a run's histories.
            by_user = mine.sort("user_id", "timestamp", "row").group_by("user_id", maintain_order=True)
            for block in by_user.agg("item_id").iter_slices(_BLOCK_USERS):
                yield UserBlock(block["user_id"].to_list(), block["item_id"].to_list())


def _of_histories(histories: Histories) -> Iterator[UserBlock]:
    users, items = histories.user_ids, histories.item_ids
    for begin in range(0, len(users), _BLOCK_USERS):
        end = min(begin + _BLOCK_USERS, len(users))
        bounds = histories.offsets[begin : end + 1].tolist()
        named = [[items[row] for row in histories.items[start:stop].tolist()] for start, stop in pairwise(bounds)]
        yield UserBlock(users[begin:end], named)
