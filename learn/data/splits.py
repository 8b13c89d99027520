"""Histories and their split: by two cut dates for everybody, or each user's last items.

A log of any length passes through. Strings become numbers in a stream, rows are split over files by ranges of users,
and each file is sorted by itself; memory holds the ids of users and items, and one bucket of rows.

A user's interactions are in time order and each part is a run of them. So a split is a few positions per user, and an
example's history is a slice.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
from numpy.typing import DTypeLike, NDArray

from learn.config import SplitSettings
from learn.data.histories import CLOCK, Examples, Histories, Timestamps, count_before
from learn.data.out_of_core import BUCKET_ROWS, iterate_buckets
from learn.data.timestamps import TimestampScale, read_timestamp_scale
from learn.errors import SplitError, explain_storage_faults


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
        OSError: The disk is full or not writable.
    """
    log = pl.scan_parquet(interactions, glob=False)
    # Whole ticks stay whole: as floats, neighbours of 100 ns would be one moment.
    is_whole = log.collect_schema()["timestamp"].is_integer()
    dtype = pl.Int64() if is_whole else pl.Float64()
    users = _number_users(log)
    rows = (
        log.select("user_id", "item_id", "row", pl.col("timestamp").cast(dtype))
        .join(item_ids.lazy().with_row_index("item"), on="item_id", how="inner")
        .join(users.lazy(), on="user_id", how="inner")
        .select("bucket", "user", pl.col("item").cast(pl.Int32), "timestamp", "row")
    )
    counts = np.zeros(len(users), np.int64)
    with (
        _open_flat_array(folder / "items.npy", np.int32) as items,
        _open_flat_array(folder / "timestamps.npy", np.int64 if is_whole else np.float64) as timestamps,
    ):
        for _, bucket in iterate_buckets(rows, folder / "buckets", where=interactions):
            # The row breaks ties: a file's own order is the best witness within one moment.
            ordered = bucket.sort("user", "timestamp", "row")
            first = int(ordered["user"][0])
            found = np.bincount(ordered["user"].to_numpy() - first)
            counts[first : first + len(found)] = found
            items.append(ordered["item"].to_numpy())
            timestamps.append(ordered["timestamp"].to_numpy())
    np.save(folder / "offsets.npy", np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))
    return users.select("user_id")


def _number_users(log: pl.LazyFrame) -> pl.DataFrame:
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
def _open_flat_array(path: Path, dtype: DTypeLike) -> Iterator[_FlatArray]:
    with path.open("wb") as file:
        array = _FlatArray(file, dtype)
        yield array
        array.finish()


_Long = NDArray[np.int64]


@dataclass(frozen=True)
class SplitSummary:
    """What a split gave, small enough to travel between steps."""

    folder: Path
    method: str
    described: str
    users: int
    items: int
    interactions: int
    training_interactions: int
    validation_examples: int
    test_examples: int


@dataclass(frozen=True)
class _Parts:
    train_stops: _Long
    validation: Examples
    test: Examples
    meta: dict[str, Any]


def build_histories(tables: Path, destination: Path, *, settings: SplitSettings) -> SplitSummary:
    """Turn valid tables into histories with a split, written completely or not at all.

    Args:
        tables: Folder of the valid ``items.parquet`` and ``interactions.parquet``.
        destination: Folder to write; what was there is replaced.
        settings: Which split, and its cuts.

    Raises:
        SplitError: Nobody has two interactions, or a part would be empty.
        SettingsError: A cut is neither a date nor a number.
        StorageError: The disk is full or not writable.
    """
    with explain_storage_faults(destination), _open_folder_atomic(destination) as scratch:
        scale = read_timestamp_scale(tables / "interactions.parquet")
        item_ids = pl.read_parquet(tables / "items.parquet", columns=["item_id"])
        item_ids.write_parquet(scratch / "item_ids.parquet")
        users = write_user_order(tables / "interactions.parquet", item_ids, scratch)
        users.write_parquet(scratch / "users.parquet")
        offsets = np.load(scratch / "offsets.npy", allow_pickle=False)
        if np.diff(offsets).max(initial=0) < 2:
            raise SplitError(
                "No user has two interactions, so there is nothing to learn an order from.",
                where=tables / "interactions.parquet",
                fix="check that `user_id` names the person and not the order or the session",
            )
        items, timestamps = (
            np.load(scratch / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("items", "timestamps")
        )
        parts = _split(offsets, items, timestamps, scale, settings)
        _check_parts(parts, offsets)
        _write_parts(scratch, parts, scale, item_count=len(item_ids))
    return summarise_split(Histories.open(destination))


def _split(
    offsets: _Long, items: NDArray[np.int32], timestamps: Timestamps, scale: TimestampScale, settings: SplitSettings
) -> _Parts:
    method = settings.method
    if method == "auto":
        method = "by_date" if scale.is_clock else "leave_one_out"
        if scale.is_clock and not (settings.validation_from or settings.test_from):
            return _split_by_date_if_possible(offsets, items, timestamps, scale, settings)
    if method == "leave_one_out":
        return _leave_one_out(offsets, items)
    if not scale.is_clock and not (settings.validation_from and settings.test_from):
        raise SplitError(
            "The timestamps are only an order, so no date divides all users' histories.",
            where="interactions, column `timestamp`",
            fix="use `--split leave_one_out`, or give `split.validation_from` and `split.test_from` as numbers; if the "
            'numbers are moments, set `validation.timestamps = "unix"`',
        )
    return _split_by_date(offsets, items, timestamps, scale, settings)


def _split_by_date_if_possible(
    offsets: _Long, items: NDArray[np.int32], timestamps: Timestamps, scale: TimestampScale, settings: SplitSettings
) -> _Parts:
    """Split by date, or by each user's last items where the dates are too few for three parts."""
    try:
        parts = _split_by_date(offsets, items, timestamps, scale, settings)
        _check_parts(parts, offsets)
    except SplitError as fault:
        parts = _leave_one_out(offsets, items)
        parts.meta["described"] += f". No split by date: {fault.what[0].lower()}{fault.what[1:].rstrip('.')}"
    return parts


def _leave_one_out(offsets: _Long, items: NDArray[np.int32]) -> _Parts:
    starts, ends = offsets[:-1], offsets[1:]
    counts = ends - starts
    # A user of two interactions has one to learn from and one to be asked about.
    train_stops = np.where(counts >= 3, ends - 2, np.where(counts == 2, ends - 1, ends))
    validation = _build_examples("validation", np.flatnonzero(counts >= 3), starts, ends - 2, items)
    test = _build_examples("test", np.flatnonzero(counts >= 2), starts, ends - 1, items)
    described = "each user's last item is test, the one before validation"
    return _Parts(train_stops, validation, test, {"method": "leave_one_out", "described": described})


def _split_by_date(
    offsets: _Long,
    items: NDArray[np.int32],
    timestamps: Timestamps,
    scale: TimestampScale,
    settings: SplitSettings,
) -> _Parts:
    first_cut, second_cut = _choose_cuts(timestamps, scale, settings)
    starts, ends = offsets[:-1], offsets[1:]
    before_first = starts + count_before(offsets, timestamps, first_cut)
    before_second = starts + count_before(offsets, timestamps, second_cut)
    validation = _build_examples(
        "validation", np.flatnonzero(before_second > before_first), starts, before_first, items
    )
    test = _build_examples("test", np.flatnonzero(ends > before_second), starts, before_second, items)
    said = [scale.format(cut) for cut in (first_cut, second_cut)]
    meta = {
        "method": "by_date",
        "described": f"training before {said[0]}, validation before {said[1]}, test from there on",
        "validation_from": first_cut,
        "test_from": second_cut,
    }
    return _Parts(before_first, validation, test, meta)


def _choose_cuts(timestamps: Timestamps, scale: TimestampScale, settings: SplitSettings) -> tuple[float, float]:
    shares = (1 - settings.validation_share - settings.test_share, 1 - settings.test_share)
    texts = (settings.validation_from, settings.test_from)
    names = ("split.validation_from", "split.test_from")
    first, second = (
        scale.parse(text, setting=name) if text else _find_quantile(timestamps, share)
        for text, name, share in zip(texts, names, shares, strict=True)
    )
    if not first < second:
        said = [scale.format(cut) for cut in (first, second)]
        raise SplitError(
            f"The validation window is empty: it would begin at {said[0]} and end at {said[1]}.",
            where="settings, section `split`",
            fix="set `validation_from` before `test_from`, or use `--split leave_one_out`",
        )
    return first, second


def _find_quantile(timestamps: Timestamps, share: float) -> float:
    """Return the timestamp of a rank itself, an int of ints; numpy's quantile would pass it through a float."""
    rank = math.ceil((len(timestamps) - 1) * share)
    return np.partition(timestamps, rank)[rank].item()  # type: ignore[no-any-return]


def _build_examples(name: str, users: _Long, starts: _Long, stops: _Long, items: NDArray[np.int32]) -> Examples:
    return Examples(name, users, starts[users], stops[users], items[stops[users]])


def _check_parts(parts: _Parts, offsets: _Long) -> None:
    training = int((parts.train_stops - offsets[:-1]).sum())
    sizes = {"training": training, "validation": len(parts.validation), "test": len(parts.test)}
    empty = [name for name, size in sizes.items() if size == 0]
    if empty:
        raise SplitError(
            f"The {' and the '.join(empty)} part would be empty ({parts.meta['described']}).",
            where="settings, section `split`",
            fix="move `validation_from` and `test_from`, or use `--split leave_one_out`",
        )


@contextmanager
def _open_folder_atomic(destination: Path) -> Iterator[Path]:
    """Provide a folder next to the destination, and put it in its place once all is well."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    scratch = destination.with_name(destination.name + ".partial")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        yield scratch
        shutil.rmtree(destination, ignore_errors=True)
        scratch.rename(destination)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_parts(folder: Path, parts: _Parts, scale: TimestampScale, *, item_count: int) -> None:
    np.save(folder / "train_stops.npy", parts.train_stops)
    for part in (parts.validation, parts.test):
        for name in ("users", "starts", "stops", "targets"):
            np.save(folder / f"{part.name}_{name}.npy", getattr(part, name))
    meta = {"item_count": item_count, "split": {**parts.meta, CLOCK: scale.to_dict()}}
    (folder / "histories.json").write_text(json.dumps(meta, indent=2), encoding="utf-8")


def summarise_split(histories: Histories) -> SplitSummary:
    """Summarise what a split wrote."""
    return SplitSummary(
        folder=histories.folder,
        method=str(histories.split["method"]),
        described=str(histories.split["described"]),
        users=histories.user_count,
        items=histories.item_count,
        interactions=len(histories.items),
        training_interactions=int((histories.train_stops - histories.offsets[:-1]).sum()),
        validation_examples=len(histories.open_examples("validation")),
        test_examples=len(histories.open_examples("test")),
    )
