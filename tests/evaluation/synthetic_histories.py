"""Small histories and scorers for the tests of this room."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from torch import Tensor

from learn.config.data import SplitSettings
from learn.data.histories import Examples, Histories
from learn.data.splits import build_histories


@dataclasses.dataclass(frozen=True)
class TableScorer:
    """Scores given beforehand, one row an example."""

    table: Tensor
    name: str = "table"

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:  # noqa: ARG002 - the protocol's
        return self.table[rows]


def in_memory(users: Sequence[Sequence[int]], *, item_count: int) -> tuple[Histories, Examples]:
    """Histories whose last item of each user is the target and all before it the history."""
    lengths = np.array([len(user) for user in users], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = np.array([item for user in users for item in user], dtype=np.int32)
    stops = offsets[1:] - 1
    times = np.arange(len(items), dtype=np.float64)
    histories = Histories(Path("nowhere"), offsets, items, times, stops, item_count, {})
    everybody = np.arange(len(users), dtype=np.int64)
    return histories, Examples("test", everybody, offsets[:-1], stops, items[stops])


def split_histories(
    folder: Path, users: Sequence[Sequence[int]], *, item_count: int, split: SplitSettings | None = None
) -> Histories:
    """Write tables and split them as a run does; a user is a list of item numbers, oldest first, one a second."""
    rows = [
        (f"u{user:05d}", f"i{item:05d}", float(position))
        for user, items in enumerate(users)
        for position, item in enumerate(items)
    ]
    interactions = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").with_row_index("row")
    interactions.write_parquet(folder / "interactions.parquet")
    pl.DataFrame({"item_id": [f"i{item:05d}" for item in range(item_count)]}).write_parquet(folder / "items.parquet")
    build_histories(folder, folder / "histories", settings=split or SplitSettings(method="leave_one_out"))
    return Histories.open(folder / "histories")
