"""One shop on successive days: what a retraining would have found each morning."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.quality.datasets import SOURCES, Prepared, Source, prepare
from learn.config import DataSettings, Settings
from learn.data import Histories, build_histories, load_tables

_DAY_SECONDS = 86_400.0
# The published order of `games` has no dates; the same interactions by day are next to it.
_BY_DAY = "interactions_by_day.tsv.gz"


@dataclass(frozen=True)
class Shop:
    """A data set with dates, ready to be cut.

    Attributes:
        name: Of the data set.
        interactions: All of them; ``timestamp`` in Unix seconds.
        items: The table of items, Parquet.
        content: (n, c) float32 content vectors in the order of the items.
    """

    name: str
    interactions: pl.DataFrame
    items: Path
    content: NDArray[np.float32]


def open_shop(name: str, *, data: Path, workspace: Path, until: datetime | None = None) -> Shop:
    """Load and encode a data set, or take what an earlier call made of it.

    Args:
        name: Of the data set.
        data: Folder of the public data sets.
        workspace: Where to keep what is made.
        until: Nothing from here on is looked at; None: all is.

    Raises:
        DataError: The data set is not there.
    """
    source = SOURCES[name]
    prepared = prepare(source, data=data, workspace=workspace)
    tables = prepared.folder / "tables"
    interactions = (
        tables if source.split == "by_date" else _write_dated(source, prepared, data=data, workspace=workspace)
    )
    rows = pl.read_parquet(interactions / "interactions.parquet")
    if until is not None:
        rows = rows.filter(pl.col("timestamp") < until.replace(tzinfo=UTC).timestamp())
    return Shop(name, rows, tables / "items.parquet", prepared.content)


def _write_dated(source: Source, prepared: Prepared, *, data: Path, workspace: Path) -> Path:
    folder = workspace / f"{prepared.folder.name}-by-day"
    tables = folder / "tables"
    if not (tables / "interactions.parquet").is_file():
        raw = folder / "data" / source.name
        raw.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / source.name / _BY_DAY, raw / "interactions.tsv.gz")
        shutil.copyfile(data / source.name / "items.jsonl.gz", raw / "items.jsonl.gz")
        load_tables(raw, tables, settings=DataSettings())
    return tables


def build_histories_until(
    shop: Shop, folder: Path, *, days_before_end: float, window_days: float, settings: Settings
) -> Histories:
    """Split what the shop knew so many days before its data ends.

    Args:
        shop: The data set.
        folder: Where to write; what is there is replaced.
        days_before_end: 0: all of it.
        window_days: Interactions older than this are left out; 0: none.
        settings: Section ``split`` is read.
    """
    end = float(shop.interactions["timestamp"].max()) - days_before_end * _DAY_SECONDS  # type: ignore[arg-type]
    begin = end - window_days * _DAY_SECONDS if window_days else float("-inf")
    moment = pl.col("timestamp")
    folder.mkdir(parents=True, exist_ok=True)
    shop.interactions.filter((moment > begin) & (moment <= end)).write_parquet(folder / "interactions.parquet")
    shutil.copyfile(shop.items, folder / "items.parquet")
    return Histories.open(build_histories(folder, folder / "histories", settings=settings.split).folder)
