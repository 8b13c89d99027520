"""Quarantine: the failed rows with key, reasons and the whole record; and the tables without them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.data.formats import list_engine_faults, raise_engine_fault
from learn.data.numbers import UNREADABLE, list_unreadable_columns
from learn.data.timestamps import TimestampScale
from learn.data.validation.derived_columns import drop_rows
from learn.data.validation.summary import Example
from learn.errors import DataError, explain_storage_faults
from learn.storage import atomic_files

QUARANTINE = "quarantine.parquet"
EXAMPLES = 5
"""Example rows a check: more do not fit a phone, fewer do not show a pattern."""

_SHOWN_CHARACTERS = 160


def collect_examples(
    name: str, table: pl.LazyFrame, failing: Mapping[str, NDArray[np.int64]]
) -> dict[str, tuple[Example, ...]]:
    """Fetch the first few failing rows of each check.

    Args:
        name: ``items`` or ``interactions``.
        table: All rows.
        failing: Row numbers by the check's name.
    """
    first = {reason: np.sort(rows)[:EXAMPLES].tolist() for reason, rows in failing.items()}
    wanted = pl.Series(sorted({row for rows in first.values() for row in rows}), dtype=pl.Int64)
    fetched = table.filter(pl.col("row").is_in(wanted.implode())).collect(engine="streaming")
    records = {int(record["row"]): record for record in fetched.iter_rows(named=True)}
    return {reason: tuple(_build_example(name, records[row], reason) for row in rows) for reason, rows in first.items()}


def _build_example(name: str, record: Mapping[str, object], reason: str) -> Example:
    column = reason.removesuffix("_unreadable")
    unread = record.get(f"{UNREADABLE}{column}", record.get("weight_text") if column == "weight" else None)
    if name == "items":
        title = record["title"]
        shown = "no title" if title is None else _cut(title)
        if unread is not None:
            shown = f"{column} {_cut(unread)}"
        return Example(int(str(record["row"])), _format_value(record["item_id"]), shown)
    timestamp = record.get("timestamp_text") or record["timestamp"]
    key = f"{_format_value(record['user_id'])} / {_format_value(record['item_id'])}"
    shown = f"timestamp {_cut(timestamp)}" if unread is None else f"{column} {_cut(unread)}"
    return Example(int(str(record["row"])), key, shown)


def _format_value(value: object) -> str:
    return "none" if value is None else _cut(value)


def _cut(value: object) -> str:
    text = f"{value:.15g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def build_quarantine_rows(name: str, table: pl.LazyFrame, failures: pl.DataFrame) -> pl.LazyFrame:
    """Make the quarantine's rows of one table.

    Returns:
        ``table``, ``row``, ``key``, ``reasons`` (list of names) and ``record`` (the row as JSON).
    """
    reasons = failures.group_by("row", maintain_order=True).agg(reasons="reason").lazy()
    key = pl.col("item_id") if name == "items" else pl.concat_str("user_id", "item_id", separator=" / ")
    # JSON has no bytes; their hex text is at least readable.
    readable = table.with_columns(pl.col(pl.Binary).bin.encode("hex"))
    return (
        readable.filter(pl.col("row").is_in(failures["row"].unique().implode()))
        .join(reasons, on="row", how="left", maintain_order="left")
        .select(
            pl.lit(name).alias("table"),
            "row",
            key.alias("key"),
            "reasons",
            pl.struct(readable.collect_schema().names()).struct.json_encode().alias("record"),
        )
    )


def write_quarantine(parts: list[pl.LazyFrame], path: Path) -> None:
    """Write the quarantine table, completely or not at all.

    Raises:
        StorageError: The disk is full or not writable.
    """
    with atomic_files(path.parent, names=(path.name,)) as stage:
        _write_parquet(pl.concat(parts), stage / path.name)


def write_valid(
    tables: Mapping[str, tuple[pl.LazyFrame, pl.Series]],
    quarantine: list[pl.LazyFrame],
    destination: Path,
    *,
    scale: TimestampScale,
) -> None:
    """Write the rows that passed and the quarantine; either all files appear or none does.

    Args:
        tables: By name, all rows and the numbers of those that failed.
        quarantine: What :func:`build_quarantine_rows` made of each.
        destination: The folder.
        scale: What the timestamps are; the interactions say it again.

    Raises:
        StorageError: The disk is full or not writable.
    """
    with atomic_files(destination, names=tuple(f"{name}.parquet" for name in (*tables, "quarantine"))) as stage:
        for name, (table, failed) in tables.items():
            originals = ["timestamp_text", "weight_text", *list_unreadable_columns(table.collect_schema()).values()]
            rows = drop_rows(table, failed).drop(originals, strict=False)
            said = scale.to_metadata() if name == "interactions" else {}
            _write_parquet(rows, stage / f"{name}.parquet", metadata=said)
        _write_parquet(pl.concat(quarantine), stage / QUARANTINE)


def _write_parquet(rows: pl.LazyFrame, path: Path, *, metadata: Mapping[str, str] | None = None) -> None:
    try:
        rows.sink_parquet(path, metadata=dict(metadata or {}))
    except list_engine_faults() as fault:
        raise_engine_fault(fault, DataError(f"The rows cannot be written: {fault}.", where=path.parent))


def leave_nothing(destination: Path) -> None:
    """Remove what an earlier run left in the destination: it would pass for this run's valid rows.

    Raises:
        StorageError: The folder is closed.
    """
    with explain_storage_faults(destination):
        for name in ("items.parquet", "interactions.parquet", QUARANTINE):
            (destination / name).unlink(missing_ok=True)
