"""Export vectors and lists of all users at once, as Parquet.

    user_vectors.parquet     user_id, vector (d) float32; null for users without a known item
    item_vectors.parquet     item_id, vector (d) float32
    recommendations.parquet  user_id, items and scores (best first), fallback, history_length, unknown_items
    export.json              which model, k, and counts

Each list is the service's answer to the same history without filters. Users come block by block, from a run's split or
from any table of interactions.

Shape legend: B users of a block, d vector width.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn

from learn.config import DataSettings
from learn.data import Histories, load_interactions
from learn.errors import DataError
from learn.progress import LINE_SECONDS, ProgressDisplay
from learn.registry import Bundle
from learn.serving.recommender import Query, Recommendation, Recommender
from learn.storage import atomic_files

_BLOCK_USERS = 4_096
# Interactions in memory at a time: some 200 MB with ids of 20 characters.
_PART_ROWS = 1_000_000


@dataclass(frozen=True)
class UserBlock:
    """Some users.

    Attributes:
        user_ids: Their ids.
        histories: Item ids of each, oldest first, as in a request to the service.
    """

    user_ids: list[str]
    histories: list[list[str]]

    @property
    def interactions(self) -> int:
        """Length of all histories together."""
        return sum(len(history) for history in self.histories)


@dataclass(frozen=True)
class Users:
    """All users of an export; only one part of them is in memory at a time.

    Attributes:
        interactions: Rows of the table, including unusable ones.
        source: Their source: histories of a run, or a table in the contract's layout.
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
            DataError: The path does not exist, or cannot be read.
            StorageError: The disk is full or not writable.
        """
        if (path / "histories.json").is_file():
            histories = Histories.open(path)
            return cls(len(histories.items), histories)
        table = load_interactions(path, scratch, settings=DataSettings())
        return cls(pq.read_metadata(table).num_rows, table)

    def iterate_blocks(self) -> Iterator[UserBlock]:
        """Yield all users, without repeats."""
        return (
            _iterate_histories(self.source) if isinstance(self.source, Histories) else self._iterate_table(self.source)
        )

    def _iterate_table(self, table: Path) -> Iterator[UserBlock]:
        parts = -(-self.interactions // _PART_ROWS)
        rows = (
            pl.scan_parquet(table, glob=False)
            .select("user_id", "item_id", "timestamp", "row")
            # A run would quarantine these rows: without a user, an item or a time.
            .drop_nulls(["user_id", "item_id", "timestamp"])
        )
        # The table is read once for each part: slower than sorting on disk, but needs no disk space.
        for part in range(parts):
            mine = rows.filter(pl.col("user_id").hash(0) % parts == part).collect(engine="streaming")
            # The row breaks ties, as in a run's histories.
            by_user = mine.sort("user_id", "timestamp", "row").group_by("user_id", maintain_order=True)
            for block in by_user.agg("item_id").iter_slices(_BLOCK_USERS):
                yield UserBlock(block["user_id"].to_list(), block["item_id"].to_list())


def _iterate_histories(histories: Histories) -> Iterator[UserBlock]:
    users, items = histories.user_ids, histories.item_ids
    for begin in range(0, len(users), _BLOCK_USERS):
        end = min(begin + _BLOCK_USERS, len(users))
        bounds = histories.offsets[begin : end + 1].tolist()
        named = [[items[row] for row in histories.items[start:stop].tolist()] for start, stop in pairwise(bounds)]
        yield UserBlock(users[begin:end], named)


USERS, ITEMS, LISTS, SUMMARY = "user_vectors.parquet", "item_vectors.parquet", "recommendations.parquet", "export.json"

_LINE_SECONDS = LINE_SECONDS


@dataclass(frozen=True)
class ExportSummary:
    """The result of an export.

    Attributes:
        model_version: Version of the bundle.
        k: Requested length of each list.
        items: Number of item vectors.
        users: Number of users, each with a list.
        fallbacks: Users who got popular items, because no item of their history is known.
        interactions: Rows of the table that the users come from.
        left_out: Rows without a user, an item or a readable time.
    """

    model_version: str
    k: int
    items: int
    users: int
    fallbacks: int
    interactions: int
    left_out: int


def export(
    bundle: Bundle, users: Path, destination: Path, *, k: int = 10, console: Console | None = None
) -> ExportSummary:
    """Write the vectors and lists of all users, all files or none.

    The bundle, a million interactions and a few thousand users are in memory, whatever the number of users.

    Args:
        bundle: A bundle that was read and checked.
        users: Histories of a run, or a table of interactions in any known format.
        destination: Folder for the files; those of an earlier export are replaced.
        k: Length of each list.
        console: Where to show the progress; standard error by default.

    Raises:
        DataError: The users cannot be read, or the destination is a file.
        StorageError: The disk is full or not writable.
    """
    taken = next((path for path in (destination, *destination.parents) if path.exists() and not path.is_dir()), None)
    if taken is not None:
        raise DataError("The export cannot be written: this is a file, not a folder.", where=taken, fix="give --out")
    with atomic_files(destination, names=(USERS, ITEMS, LISTS, SUMMARY)) as stage:
        found = Users.open(users, scratch=stage)
        summary = _write_export(bundle, found, stage, k=k, console=console or Console(stderr=True))
        (stage / SUMMARY).write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    return summary


def _write_export(bundle: Bundle, users: Users, stage: Path, *, k: int, console: Console) -> ExportSummary:
    recommender = Recommender(bundle)
    width = bundle.item_vectors.shape[1]
    vector = pa.list_(pa.float32(), width)
    pq.write_table(
        pa.table({"item_id": bundle.item_ids, "vector": _to_arrow_vectors(bundle.item_vectors)}),
        stage / ITEMS,
        compression="zstd",
    )
    count = fallbacks = kept = 0
    with ExitStack() as open_files:
        vectors, lists = (
            open_files.enter_context(pq.ParquetWriter(stage / name, schema, compression="zstd"))
            for name, schema in ((USERS, _build_user_schema(vector)), (LISTS, _build_list_schema()))
        )
        for block in _with_progress(users, console):
            found = recommender.recommend_together([Query(history, k) for history in block.histories])
            # Only filters can be refused, and there are none.
            ranked = [each for each in found if isinstance(each, Recommendation)]
            vectors.write_table(_build_user_table(block, ranked, width=width))
            lists.write_table(_build_list_table(block, ranked))
            count += len(block.user_ids)
            fallbacks += sum(user.fallback is not None for user in ranked)
            kept += block.interactions
    return ExportSummary(
        bundle.version, k, len(bundle.items), count, fallbacks, users.interactions, users.interactions - kept
    )


def _build_user_table(block: UserBlock, ranked: Sequence[Recommendation], *, width: int) -> pa.Table:
    nobody = np.zeros(width, dtype=np.float32)
    values = np.stack([nobody if user.user_vector is None else user.user_vector for user in ranked])  # (B, d)
    valid = np.array([user.user_vector is not None for user in ranked])
    return pa.table([pa.array(block.user_ids), _to_arrow_vectors(values, valid=valid)], names=["user_id", "vector"])


def _build_list_table(block: UserBlock, ranked: Sequence[Recommendation]) -> pa.Table:
    return pa.table(
        [
            pa.array(block.user_ids),
            pa.array([[item.item_id for item in user.items] for user in ranked], pa.list_(pa.string())),
            pa.array([[item.score for item in user.items] for user in ranked], pa.list_(pa.float32())),
            pa.array([user.fallback for user in ranked], pa.string()),
            pa.array([len(history) for history in block.histories], pa.int32()),
            pa.array(map(_count_unknown, block.histories, ranked), pa.int32()),
        ],
        schema=_build_list_schema(),
    )


def _count_unknown(history: Sequence[str], user: Recommendation) -> int:
    return sum(item_id in user.unknown_items for item_id in history) if user.unknown_items else 0


def _build_user_schema(vector: pa.DataType) -> pa.Schema:
    return pa.schema([("user_id", pa.string()), ("vector", vector)])


def _build_list_schema() -> pa.Schema:
    return pa.schema(
        [
            ("user_id", pa.string()),
            ("items", pa.list_(pa.string())),
            ("scores", pa.list_(pa.float32())),
            ("fallback", pa.string()),
            ("history_length", pa.int32()),
            ("unknown_items", pa.int32()),
        ]
    )


def _to_arrow_vectors(values: NDArray[np.float32], *, valid: NDArray[np.bool_] | None = None) -> pa.Array[Any]:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=None if valid is None else pa.array(~valid))


def _with_progress(users: Users, console: Console) -> Iterator[UserBlock]:
    done = people = 0
    with ProgressDisplay(
        "Exporting",
        total=users.interactions,
        console=console,
        line_seconds=_LINE_SECONDS,
        counts=MofNCompleteColumn(),
    ) as display:
        for block in users.iterate_blocks():
            yield block
            done += block.interactions
            people += len(block.user_ids)
            rate = f"{people / display.seconds:,.0f} users/s"
            share = f"{done:,} of {users.interactions:,} interactions"
            display.update(done, rate=f"interactions, {rate}", line=f"Exported {people:,} users, {share}, {rate}")
