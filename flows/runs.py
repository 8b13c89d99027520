"""What earlier runs of a flow found, through Metaflow's client: drift as a course instead of one reading.

Bring the reports and the bundle of a run home that handed its files on: python -m flows.runs RUN --to FOLDER.
"""

# the environment must be settled before the libraries that read it are imported
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from flows.models import find_finished_task
from learn.environment import configure_process
from learn.errors import BundleError, LearnError
from learn.monitoring import DriftSummary, MonitorResult, TrendPoint
from learn.storage import RunFile, RunFiles

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


def monitor_trend(present: MonitorResult, *, current: Any, last: int) -> list[TrendPoint]:
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


configure_process()


def fetch_run(run_id: str, *, to: Path) -> list[Path]:
    """Fetch a train run's reports and bundle into a folder.

    Args:
        run_id: Of a finished run, with or without the flow's name.
        to: Gets the folders ``reports`` and ``bundle``.

    Returns:
        The two folders.

    Raises:
        BundleError: There is no such run, it has not come to its end, or it handed nothing on.
        StorageError: The disk is full or closed, or a file's pieces are gone.
        StoreError: The place of the files cannot be reached.
    """
    task = find_finished_task(run_id.removeprefix("TrainFlow/"), where=f"run {run_id}")
    settings, reports, bundle = (task[name].data for name in ("settings", "reports", "bundle"))
    if not settings.places.run_files:
        raise BundleError(
            f"Run {run_id} handed no files on: `places.run_files` was not set.",
            where=reports,
            fix="look there, on the machine or the volume of the run",
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


def main(words: Sequence[str] | None = None) -> int:
    """Fetch; the exit status is 1 where that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m flows.runs", description=__doc__)
    parser.add_argument("run", help="id of a finished train run")
    parser.add_argument("--to", type=Path, default=Path(), help="folder for `reports` and `bundle` (here)")
    options = parser.parse_args(words)
    try:
        found = fetch_run(options.run, to=options.to.absolute())
    except LearnError as error:
        print(f"{error.headline}\n{error}", file=sys.stderr)
        return 1
    print("\n".join(str(folder) for folder in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
