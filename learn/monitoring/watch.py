"""Live traffic against the reference profile: what came in, what was found, and the verdict.

from learn.monitoring.watch import watch
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from learn.config import Settings
from learn.data.staging import staged
from learn.data.timestamps import TimestampScale, timestamp_scale
from learn.errors import DriftError
from learn.monitoring.feedback import measure_feedback
from learn.monitoring.live_columns import live_columns
from learn.monitoring.logged_requests import logged_view
from learn.monitoring.made_requests import made_view, table_runs
from learn.monitoring.monitor_report import run_monitor_report
from learn.monitoring.profile import Profile
from learn.monitoring.source import TableRead
from learn.monitoring.traffic_log import TrafficRead
from learn.monitoring.verdict import Findings, Traffic, decide
from learn.monitoring.views import Sizes, View, WatchedModel
from learn.monitoring.watched import Watched, verdict_message

REPORT, VERDICT = "monitor.html", "verdict.json"


def watch(
    read: TrafficRead | TableRead,
    profile: Profile,
    model: WatchedModel,
    *,
    run_id: str,
    reports: Path,
    settings: Settings,
) -> Watched:
    """Compare traffic with the profile, judge it, and write the report and the verdict.

    Time, memory and the page are bounded by the settings' sample sizes, but for reading the log itself.

    Args:
        read: What :func:`learn.monitoring.source.read_source` gave.
        profile: What the model was trained on.
        model: Whose traffic it is.
        run_id: Stands in the verdict's file.
        reports: Folder for ``monitor.html`` and ``verdict.json``.
        settings: Sample sizes, tests, rules and seed.

    Raises:
        DriftError: The sides cannot be compared.
        StorageError: The disk is full or closed.
    """
    findings, view = (
        _log_found(read, model, settings)
        if isinstance(read, TrafficRead)
        else _table_found(read, profile, model, settings)
    )
    samples = () if view is None else live_columns(profile, view, seed=settings.seed)
    findings, page = run_monitor_report(
        findings, samples, settings=settings.drift, rules=settings.monitoring, seed=settings.seed
    )
    verdict = decide(findings, settings.monitoring)
    watched = Watched(findings, verdict, reports / REPORT, reports / VERDICT)
    with staged(reports, names=(REPORT, VERDICT)) as stage:
        (stage / REPORT).write_text(page, encoding="utf-8")
        text = json.dumps(verdict_message(watched, run_id=run_id), indent=2, allow_nan=False)
        (stage / VERDICT).write_text(text + "\n", encoding="utf-8")
    return watched


def _log_found(read: TrafficRead, model: WatchedModel, settings: Settings) -> tuple[Findings, View | None]:
    view = None
    if read.answer_rows:
        view = logged_view("live traffic", read, model, sizes=Sizes.of(settings), seed=settings.seed)
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


def _table_found(
    read: TableRead, profile: Profile, model: WatchedModel, settings: Settings
) -> tuple[Findings, View | None]:
    since = read.since if read.since is not None else _after_training(profile, read.scale)
    # Nothing was quarantined here: rows that say too little are left out, and of an item told twice the first counts.
    interactions = (
        pl.read_parquet(read.folder / "interactions.parquet")
        .drop_nulls(["user_id", "item_id", "timestamp"])
        .sort("user_id", "timestamp", "row")
    )
    items = pl.read_parquet(read.folder / "items.parquet").drop("row").drop_nulls("item_id")
    if read.until is not None:
        interactions = interactions.filter(pl.col("timestamp") < read.until)
    window = interactions if since is None else interactions.filter(pl.col("timestamp") >= since)
    view = None
    if window.height:
        view = made_view(
            f"table {read.name}",
            table_runs(interactions, model, since=since),
            model,
            items=items.unique("item_id", keep="first", maintain_order=True),
            sizes=Sizes.of(settings),
            seed=settings.seed,
        )
    bounds = [window["timestamp"].min(), window["timestamp"].max()]
    moments = [
        read.scale.moment(float(each)) if read.scale.is_clock and isinstance(each, int | float) else None
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


def _after_training(profile: Profile, scale: TimestampScale) -> float | None:
    """Begin of the window where nobody said one: right after the training data, if its clock is the table's."""
    until = profile.facts.until
    if until is None:
        return None
    if timestamp_scale(until) != scale:
        raise DriftError(
            "The timestamps of the table are of another kind than those of the training data.",
            where="timestamp",
            fix="say with `--since` where the window begins",
        )
    return float(np.nextafter(until, np.inf))
