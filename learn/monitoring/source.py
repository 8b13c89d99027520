"""Where traffic comes from: a service's log, or a data folder with a table of interactions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from learn.config import Settings
from learn.data import load_tables
from learn.data.timestamps import TimestampScale, timestamp_scale
from learn.errors import SettingsError
from learn.monitoring.traffic_log import TrafficRead, is_traffic_log, read_traffic


@dataclass(frozen=True)
class TableRead:
    """A data folder that was read for its interactions.

    Attributes:
        name: Of the folder.
        folder: Holds ``items.parquet`` and ``interactions.parquet``.
        since: Timestamp in the table's unit from which on interactions are the window; None: not said.
        until: Interactions from it on are left out.
        scale: What the timestamps are.
        rows: Interactions, before and in the window.
    """

    name: str
    folder: Path
    since: float | None
    until: float | None
    scale: TimestampScale
    rows: int

    @property
    def sentence(self) -> str:
        """What was read, in one line."""
        return f"Table: {self.rows:,} interactions in folder {self.name}."


def one_source(traffic: str, table: str) -> Path:
    """Return the one folder that was named.

    Raises:
        SettingsError: None was, or both.
    """
    if bool(traffic) == bool(table):
        raise SettingsError(
            "Name one folder to look at.",
            where="command line",
            fix="give `--traffic` with a traffic log, or `--current` with a table of interactions",
        )
    return Path(traffic or table).absolute()


def window_begin(since: str, *, days: int) -> str:
    """Return the begin of the window: as said, or so many days before now, in UTC; empty where nothing was said.

    Raises:
        SettingsError: Both were said, or the days are negative.
    """
    if days < 0 or (days and since):
        raise SettingsError("Say one begin of the window.", where="--days", fix="give `--since` or `--days`, not both")
    return (datetime.now(tz=UTC) - timedelta(days=days)).isoformat() if days else since


def read_source(
    folder: Path, destination: Path, *, settings: Settings, since: str = "", until: str = ""
) -> TrafficRead | TableRead:
    """Read a traffic log, or a data folder with a table of interactions; which of them it is, its files tell.

    Args:
        folder: Where it lies.
        destination: Folder for what is made of it.
        settings: How tables are read.
        since: Begin of the window, a date or a timestamp; empty: all of a log, and of a table what came after training.
        until: End of the window; empty: none.

    Raises:
        DataError: The folder holds neither.
        SettingsError: A moment is none.
    """
    if is_traffic_log(folder):
        return read_traffic(folder, destination, since=_moment(since, "--since"), until=_moment(until, "--until"))
    tables = load_tables(folder, destination, settings=settings.data)
    times = pl.scan_parquet(destination / "interactions.parquet").select(pl.col("timestamp").median()).collect()
    scale = timestamp_scale(float(times.item() or 0))
    bounds = [
        scale.parse(text, setting=option) if text else None for text, option in ((since, "--since"), (until, "--until"))
    ]
    return TableRead(folder.name, destination, bounds[0], bounds[1], scale, tables.interactions)


def _moment(text: str, option: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as fault:
        raise SettingsError(f"`{text}` is no date.", where=option, fix="write it as 2026-01-31") from fault
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
