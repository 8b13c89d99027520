"""What earlier runs of a flow found, through Metaflow's client: drift as a course instead of one reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from learn.monitoring.summary import DriftSummary
from learn.monitoring.trend import TrendPoint
from learn.monitoring.watched import Watched

_LOOKED_AT = 3
"""Runs looked at for each one wanted: some failed, or came to no comparison."""


def training_trend(present: DriftSummary, *, current: Any, last: int) -> list[TrendPoint]:
    """Return the drift of the last trainings of this branch, the present one last.

    Args:
        present: What this run found.
        current: Metaflow's ``current``.
        last: Most runs, this one among them.
    """

    def read(summary: DriftSummary, run: Any) -> TrendPoint:
        return TrendPoint.of(summary.columns, run_id=run.id, moment=run.created_at)

    return _trend(present, read, step="compare_windows", artifact="drift_summary", current=current, last=last)


def monitor_trend(present: Watched, *, current: Any, last: int) -> list[TrendPoint]:
    """Return drift and verdict of the monitor's last runs of this branch, the present one last.

    Args:
        present: What this run found.
        current: Metaflow's ``current``.
        last: Most runs, this one among them.
    """

    def read(watched: Watched, run: Any) -> TrendPoint:
        columns, verdict = watched.findings.columns, watched.verdict.level
        return TrendPoint.of(columns, run_id=run.id, moment=run.created_at, verdict=verdict)

    return _trend(present, read, step="compare", artifact="watched", current=current, last=last)


def _trend(
    present: Any, read: Callable[[Any, Any], TrendPoint], *, step: str, artifact: str, current: Any, last: int
) -> list[TrendPoint]:
    from metaflow.client.core import Flow, Run

    own = Run(f"{current.flow_name}/{current.run_id}", _namespace_check=False)
    flow = Flow(current.flow_name, _namespace_check=False)  # type: ignore[no-untyped-call]  # Metaflow types it not
    runs = (run for run in flow.runs(f"project_branch:{current.branch_name}") if run.id != own.id)
    earlier = _found(islice(runs, _LOOKED_AT * last), read, step=step, artifact=artifact)
    newest_first = list(islice(earlier, last - 1))
    return [*reversed(newest_first), read(present, own)]


def _found(
    runs: Iterator[Any], read: Callable[[Any, Any], TrendPoint], *, step: str, artifact: str
) -> Iterator[TrendPoint]:
    for run in runs:
        try:
            point = read(run[step].task[artifact].data, run)
        except Exception:  # noqa: S112  # what a run of earlier code left must not stop this one's card
            continue
        if point.effects:
            yield point
