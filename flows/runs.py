"""What earlier runs found, through Metaflow's client, and the command ``learn runs``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from flows.models import find_finished_task
from learn.errors import BundleError
from learn.monitoring import DriftSummary, MonitorResult, TrendPoint
from learn.storage import RunFile, RunFiles

_FLOW_FILE = Path(__file__).with_name("train_flow.py")
_FLOW = "TrainFlow"

_LOOKED_AT = 3
"""Runs looked at for each one wanted: some failed, or came to no comparison."""


def read_training_trend(present: DriftSummary, *, current: Any, last: int) -> list[TrendPoint]:
    """Return the drift of the last trainings of this branch, the present one last.

    Args:
        present: What this run found.
        current: Metaflow's ``current``.
        last: Most runs, this one among them.
    """

    def read(summary: DriftSummary, run: Any) -> TrendPoint:
        return TrendPoint.from_columns(summary.columns, run_id=run.id, moment=run.created_at)

    return _read_trend(present, read, step="compare_windows", artifact="drift_summary", current=current, last=last)


def read_monitor_trend(present: MonitorResult, *, current: Any, last: int) -> list[TrendPoint]:
    """Return drift and verdict of the monitor's last runs of this branch, the present one last.

    Args:
        present: What this run found.
        current: Metaflow's ``current``.
        last: Most runs, this one among them.
    """

    def read(watched: MonitorResult, run: Any) -> TrendPoint:
        columns, verdict = watched.findings.columns, watched.verdict.level
        return TrendPoint.from_columns(columns, run_id=run.id, moment=run.created_at, verdict=verdict)

    return _read_trend(present, read, step="compare", artifact="watched", current=current, last=last)


def _read_trend(
    present: Any, read: Callable[[Any, Any], TrendPoint], *, step: str, artifact: str, current: Any, last: int
) -> list[TrendPoint]:
    from metaflow.client.core import Flow, Run

    own = Run(f"{current.flow_name}/{current.run_id}", _namespace_check=False)
    flow = Flow(current.flow_name, _namespace_check=False)  # type: ignore[no-untyped-call]  # Metaflow types it not
    runs = (run for run in flow.runs(f"project_branch:{current.branch_name}") if run.id != own.id)
    earlier = _iterate_points(islice(runs, _LOOKED_AT * last), read, step=step, artifact=artifact)
    newest_first = list(islice(earlier, last - 1))
    return [*reversed(newest_first), read(present, own)]


def _iterate_points(
    runs: Iterator[Any], read: Callable[[Any, Any], TrendPoint], *, step: str, artifact: str
) -> Iterator[TrendPoint]:
    for run in runs:
        try:
            point = read(run[step].task[artifact].data, run)
        except Exception:  # noqa: S112  # what a run of earlier code left must not stop this one's card
            continue
        if point.effects:
            yield point


def fetch_run(run_id: str, *, to: Path) -> list[Path]:
    """Fetch a train run's reports and bundle into a folder.

    Args:
        run_id: Of a finished run, with or without the flow's name.
        to: Gets the folders ``reports`` and ``bundle``.

    Returns:
        The two folders.

    Raises:
        BundleError: There is no such run, it has not finished, or it stored no files to fetch.
        StorageError: The disk is full or not writable, or a file's pieces are gone.
        StoreError: The place of the files cannot be reached.
    """
    task = find_finished_task(run_id.removeprefix("TrainFlow/"), where=f"run {run_id}")
    settings, reports, bundle = (task[name].data for name in ("settings", "reports", "bundle"))
    if not settings.places.run_files:
        raise BundleError(
            f"Run {run_id} stored no files to fetch: its setting `places.run_files` was empty.",
            where=reports,
            fix="look for them on the machine or the volume of the run",
        )
    roots = {"reports": Path(reports), "bundle": Path(bundle["bundle"])}
    moved = [
        RunFile(to / name / file.path.relative_to(root), file.pieces)
        for name, root in roots.items()
        for file in task["handed"].data
        if file.path.is_relative_to(root)
    ]
    RunFiles.open(settings.places.run_files).fetch(moved, roots=[to])
    return [to / name for name in roots]


@dataclass(frozen=True)
class RunRow:
    """One training run, as ``learn runs list`` shows it.

    Attributes:
        run: Metaflow's id.
        begun: Local date and time.
        outcome: ``finished``, ``failed`` or ``unfinished``.
        data_version: Version of the data it read; this and all following fields are empty if the run did not finish.
        recall: Recall@10 of the towers on test, history masked.
        ndcg: NDCG@10 of the same.
        fit: The gate's word.
        bento: Tag of the service.
    """

    run: str
    begun: str
    outcome: str
    data_version: str = ""
    recall: float | None = None
    ndcg: float | None = None
    fit: bool | None = None
    bento: str = ""


def list_runs(*, last: int) -> list[RunRow]:
    """Return the newest training runs of every user, the newest first; none if nothing ever ran here."""
    from metaflow.client.core import Flow
    from metaflow.exception import MetaflowNotFound

    try:
        flow = Flow(_FLOW, _namespace_check=False)  # type: ignore[no-untyped-call]  # Metaflow types it not
        return [_read_row(run) for run in islice(flow.runs(), last)]
    except MetaflowNotFound:
        return []


def _read_row(run: Any) -> RunRow:
    outcome = "finished" if run.successful else "failed" if run.finished else "unfinished"
    row = RunRow(run.id, f"{run.created_at:%Y-%m-%d %H:%M}", outcome)
    if not run.successful:
        return row
    data = run["end"].task.data
    towers = data.metrics["test"]["towers"]["masked"]
    return RunRow(
        row.run,
        row.begun,
        outcome,
        data.data_version["version"],
        towers["recall@10"],
        towers["ndcg@10"],
        data.decision["fit"],
        data.bento["bento_tag"],
    )


@click.group()
def runs() -> None:
    """List, show, resume and fetch training runs."""


@runs.command("list")
@click.option("--last", type=click.IntRange(min=1), default=10, show_default=True, help="Runs to show.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_command(last: int, as_json: bool) -> None:
    """Show the newest training runs."""
    rows = list_runs(last=last)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    elif not rows:
        click.echo("No training ran here yet; `learn train` starts one.")
    for row in () if as_json else rows:
        figures = "" if row.ndcg is None else f"  NDCG@10 {row.ndcg:.4f}  Recall@10 {row.recall:.4f}"
        fit = {None: "", True: "  fit to serve", False: "  not fit to serve"}[row.fit]
        click.echo(f"{row.run}  {row.begun}  {row.outcome:<10}  {row.data_version[:12]:<12}{figures}{fit}")


@runs.command("show")
@click.argument("run")
def show_command(run: str) -> None:
    """Print the result of a finished run as JSON: data, figures, decision, bundle and service."""
    data = find_finished_task(run.removeprefix(f"{_FLOW}/"), where=f"run {run}").data
    names = ("data_version", "validation", "content", "metrics", "drift", "decision", "bundle", "bento")
    found = {name: getattr(data, name) for name in names} | {"reports": str(data.reports)}
    click.echo(json.dumps(found, indent=2))


@runs.command("resume")
@click.argument("run", default="")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- METAFLOW WORDS]")
def resume_command(run: str, words: tuple[str, ...]) -> None:
    """Continue a run that failed or was stopped; by default the newest one."""
    origin = ["--origin-run-id", run.removeprefix(f"{_FLOW}/")] if run else []
    command = [sys.executable, str(_FLOW_FILE), "--no-pylint", "resume", *origin, *words]
    os.execv(command[0], command)  # noqa: S606 - no shell, and a list of words of our own


@runs.command("fetch")
@click.argument("run")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder for `reports` and `bundle`; by default this one.",
)
def fetch_command(run: str, to: Path) -> None:
    """Fetch the reports and the bundle of a run that ran on other machines."""
    for folder in fetch_run(run, to=to.absolute()):
        click.echo(str(folder))
