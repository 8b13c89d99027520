"""The log of interactions turned round: every user's items together and in time order, as flat arrays on disk.

A log of any length passes through: strings become numbers in a stream, the rows are shared out over files by ranges of
users, and each file is sorted by itself. Memory holds the ids of users and items, and one bucket of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import DTypeLike, NDArray

from learn.data.buckets import BUCKET_ROWS, in_buckets


def write_user_order(interactions: Path, item_ids: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Write ``offsets.npy``, ``items.npy`` and ``timestamps.npy``, as :class:`learn.data.histories.Histories` has them.

    Args:
        interactions: The valid interactions; those of unknown items are left out.
        item_ids: ``item_id`` of all items, in item order.
        folder: Where the arrays go; there.

    Returns:
        ``user_id`` of all users, in user order.

    Raises:
        DataError: The interactions cannot be read.
        OSError: The disk is full or closed.
    """
    log = pl.scan_parquet(interactions, glob=False)
    users = _users(log)
    rows = (
        log.select("user_id", "item_id", "row", pl.col("timestamp").cast(pl.Float64))
        .join(item_ids.lazy().with_row_index("item"), on="item_id", how="inner")
        .join(users.lazy(), on="user_id", how="inner")
        .select("bucket", "user", pl.col("item").cast(pl.Int32), "timestamp", "row")
    )
    counts = np.zeros(len(users), np.int64)
    with (
        _flat_array(folder / "items.npy", np.int32) as items,
        _flat_array(folder / "timestamps.npy", np.float64) as timestamps,
    ):
        for _, bucket in in_buckets(rows, folder / "buckets", where=interactions):
            # The row breaks ties: a file's own order is the best witness within one moment.
            ordered = bucket.sort("user", "timestamp", "row")
            first = int(ordered["user"][0])
            found = np.bincount(ordered["user"].to_numpy() - first)
            counts[first : first + len(found)] = found
            items.append(ordered["item"].to_numpy())
            timestamps.append(ordered["timestamp"].to_numpy())
    np.save(folder / "offsets.npy", np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))
    return users.select("user_id")


def _users(log: pl.LazyFrame) -> pl.DataFrame:
    """Number the users by their ids and share them out over buckets of neighbours; a user's rows are never parted."""
    before = pl.col("rows").cast(pl.Int64).cum_sum() - pl.col("rows")
    return (
        log.group_by("user_id")
        .agg(rows=pl.len())
        .collect(engine="streaming")
        .sort("user_id")
        .with_row_index("user")
        .select("user_id", "user", bucket=(before // BUCKET_ROWS).cast(pl.Int32))
    )


class _FlatArray:
    """A one-dimensional ``.npy`` file that grows: its header is put right at the end."""

    def __init__(self, file: BinaryIO, dtype: DTypeLike) -> None:
        self._file, self._dtype, self._length = file, np.dtype(dtype), 0
        self._write_header()

    def append(self, values: NDArray[np.generic]) -> None:
        """Write more values; they are of the array's own type."""
        if values.dtype != self._dtype:
            raise TypeError(f"{values.dtype} in an array of {self._dtype}")
        self._file.write(np.ascontiguousarray(values).data)
        self._length += len(values)

    def finish(self) -> None:
        """Say in the header how many there are; numpy leaves room there for a longer number."""
        self._file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        descr = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, header)


@contextmanager
def _flat_array(path: Path, dtype: DTypeLike) -> Iterator[_FlatArray]:
    with path.open("wb") as file:
        array = _FlatArray(file, dtype)
        yield array
        array.finish()
