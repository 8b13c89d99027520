"""Monitor live traffic: read a service's log or a table, compare it with the reference profile, reach a verdict."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from learn.config import Settings
from learn.data import TimestampScale, load_tables, read_timestamp_scale
from learn.errors import DriftError, SettingsError
from learn.monitoring.feedback import measure_feedback
from learn.monitoring.monitor_report import run_monitor_report
from learn.monitoring.profile import Profile
from learn.monitoring.requests import (
    MonitoredModel,
    Sizes,
    View,
    read_table_runs,
    sample_logged_requests,
    simulate_requests,
)
from learn.monitoring.samples import draw_live_columns
from learn.monitoring.verdict import Findings, MonitorResult, Traffic, decide, format_verdict
from learn.storage import atomic_files
from learn.traffic import TrafficRead, is_traffic_log, read_traffic


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


def choose_source(traffic: str, table: str) -> Path:
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


def parse_window_begin(since: str, *, days: int) -> str:
    """Return the begin of the window: as said, or so many days before now, in UTC; empty if nothing was said.

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
        folder: Where it is.
        destination: Folder for what is made of it.
        settings: How tables are read.
        since: Begin of the window, a date or a timestamp; empty: all of a log, and of a table what came after training.
        until: End of the window; empty: none.

    Raises:
        DataError: The folder holds neither.
        SettingsError: A moment is none.
    """
    if is_traffic_log(folder):
        return read_traffic(
            folder, destination, since=_parse_moment(since, "--since"), until=_parse_moment(until, "--until")
        )
    tables = load_tables(folder, destination, settings=settings.data, timestamps=settings.validation.timestamps)
    scale = read_timestamp_scale(destination / "interactions.parquet")
    bounds = [
        scale.parse(text, setting=option) if text else None for text, option in ((since, "--since"), (until, "--until"))
    ]
    return TableRead(folder.name, destination, bounds[0], bounds[1], scale, tables.interactions)


def _parse_moment(text: str, option: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as fault:
        raise SettingsError(f"`{text}` is no date.", where=option, fix="write it as 2026-01-31") from fault
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


REPORT, VERDICT = "monitor.html", "verdict.json"


def monitor(
    read: TrafficRead | TableRead,
    profile: Profile,
    model: MonitoredModel,
    *,
    run_id: str,
    reports: Path,
    settings: Settings,
) -> MonitorResult:
    """Compare traffic with the profile, judge it, and write the report and the verdict.

    Time, memory and the page are bounded by the settings' sample sizes, except for reading the log itself.

    Args:
        read: What :func:`learn.monitoring.watch.read_source` gave.
        profile: What the model was trained on.
        model: Whose traffic it is.
        run_id: Stands in the verdict's file.
        reports: Folder for ``monitor.html`` and ``verdict.json``.
        settings: Sample sizes, tests, rules and seed.

    Raises:
        DriftError: The sides cannot be compared.
        StorageError: The disk is full or not writable.
    """
    findings, view = (
        _examine_log(read, model, settings)
        if isinstance(read, TrafficRead)
        else _examine_table(read, profile, model, settings)
    )
    samples = () if view is None else draw_live_columns(profile, view, seed=settings.seed)
    findings, page = run_monitor_report(
        findings, samples, settings=settings.drift, rules=settings.monitoring, seed=settings.seed
    )
    verdict = decide(findings, settings.monitoring)
    watched = MonitorResult(findings, verdict, reports / REPORT, reports / VERDICT)
    with atomic_files(reports, names=(REPORT, VERDICT)) as stage:
        (stage / REPORT).write_text(page, encoding="utf-8")
        text = json.dumps(format_verdict(watched, run_id=run_id), indent=2, allow_nan=False)
        (stage / VERDICT).write_text(text + "\n", encoding="utf-8")
    return watched


def _examine_log(read: TrafficRead, model: MonitoredModel, settings: Settings) -> tuple[Findings, View | None]:
    view = None
    if read.answer_rows:
        view = sample_logged_requests(
            "live traffic", read, model, sizes=Sizes.from_settings(settings), seed=settings.seed
        )
    traffic = Traffic(
        name="traffic log",
        kind="log",
        model_version=model.version,
        first=read.first,
        last=read.last,
        requests=read.answer_rows,
        compared=0 if view is None else view.requests.height,
        unknown_share=0.0 if view is None else view.unknown_share,
        lines=read.lines,
        damaged=read.damaged,
        damaged_examples=tuple(f"{each.file}:{each.line}: {each.text}" for each in read.named),
    )
    return Findings(traffic, (), measure_feedback(read, settings=settings.monitoring)), view


def _examine_table(
    read: TableRead, profile: Profile, model: MonitoredModel, settings: Settings
) -> tuple[Findings, View | None]:
    # Nothing was quarantined here: rows that say too little are left out, and of an item told twice the first counts.
    interactions = (
        pl.read_parquet(read.folder / "interactions.parquet")
        .drop_nulls(["user_id", "item_id", "timestamp"])
        .sort("user_id", "timestamp", "row")
    )
    is_whole = interactions.schema["timestamp"].is_integer()
    since = read.since if read.since is not None else _find_training_end(profile, read.scale, is_whole=is_whole)
    items = pl.read_parquet(read.folder / "items.parquet").drop("row").drop_nulls("item_id")
    if read.until is not None:
        interactions = interactions.filter(pl.col("timestamp") < read.until)
    window = interactions if since is None else interactions.filter(pl.col("timestamp") >= since)
    view = None
    if window.height:
        view = simulate_requests(
            f"table {read.name}",
            read_table_runs(interactions, model, since=since),
            model,
            items=items.unique("item_id", keep="first", maintain_order=True),
            sizes=Sizes.from_settings(settings),
            seed=settings.seed,
        )
    bounds = [window["timestamp"].min(), window["timestamp"].max()]
    moments = [
        read.scale.to_datetime(each) if read.scale.is_clock and isinstance(each, int | float) else None
        for each in bounds
    ]
    traffic = Traffic(
        name=f"table {read.name}",
        kind="table",
        model_version=model.version,
        first=moments[0],
        last=moments[1],
        requests=window.height,
        compared=0 if view is None else view.requests.height,
        unknown_share=0.0 if view is None else view.unknown_share,
    )
    return Findings(traffic, (), None), view


def _find_training_end(profile: Profile, scale: TimestampScale, *, is_whole: bool) -> float | None:
    """Begin of the window if nobody said one: right after the training data, if both have a clock."""
    until = profile.facts.until
    if until is None:
        return None
    if not scale.is_clock:
        raise DriftError(
            "The timestamps of the table are only an order, those of the training data are moments.",
            where="timestamp",
            fix="say with `--since` where the window begins",
        )
    trained = profile.facts.scale
    if isinstance(until, float):
        # A float is all that is nearest to it, as the same moment written in digits.
        begin = trained.convert(float(np.nextafter(until, np.inf)), into=scale)
        return math.ceil(begin) if is_whole else begin
    begin = trained.convert(until, into=scale)
    return math.floor(begin) + 1 if is_whole else float(np.nextafter(begin, np.inf))
