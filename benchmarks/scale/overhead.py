"""The engine's share of a run: the sample's run next to a run of the same graph without any work in its steps."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.harness.cli import BenchmarkError
from benchmarks.harness.page import Part
from benchmarks.harness.provenance import ROOT
from benchmarks.scale.kills import is_finished, read_step_seconds
from benchmarks.scale.small_run import STEPS, Place, create_repository
from learn.data import make_sample

_LOG = "run.log"
_WORK, _EMPTY = "train_flow.py", "empty_flow.py"
_FLOWS = {_WORK: ROOT / "flows" / _WORK, _EMPTY: ROOT / "benchmarks" / "scale" / _EMPTY}
_REPEATS = 3


@dataclass(frozen=True)
class Timed:
    """One run by the clock.

    Attributes:
        seconds: Of the whole command.
        steps: Seconds that each step's process ran, by step.
    """

    seconds: float
    steps: Mapping[str, float]


def measure(*, data: Path, workspace: Path) -> Part:  # noqa: ARG001  # the sample is made, no public data are read
    """Run both flows in turn, each three times from an empty folder, and compare their medians."""
    runs = [{name: _run(workspace / name, flow) for name, flow in _FLOWS.items()} for _ in range(_REPEATS)]
    work, empty = (_find_median([run[name] for run in runs]) for name in _FLOWS)
    between = {name: timed.seconds - sum(timed.steps.values()) for name, timed in ((_WORK, work), (_EMPTY, empty))}
    rows = [(f"`{step}`", _format_seconds(work.steps[step]), _format_seconds(empty.steps[step])) for step in STEPS]
    return Part(
        name="What the engine takes",
        figures={"engine_overhead_seconds_sample_run": round(empty.seconds, 2)},
        header=("Step", "sample's run", "without its work"),
        rows=(
            *rows,
            (
                "before, between and after, less what ran side by side",
                _format_seconds(between[_WORK]),
                _format_seconds(between[_EMPTY]),
            ),
            ("**whole command**", _format_seconds(work.seconds), _format_seconds(empty.seconds)),
        ),
        notes=(
            f"Seconds by the clock, medians of {_REPEATS} runs in turn. The second flow has the same steps, cards, "
            "branches and decorators, and nothing in them: its time is that of Metaflow, of starting Python for each "
            "step and of reading the settings. What keeps the first one near it: a step loads only the libraries that "
            "it uses, inside the step, and the evaluation and the drift report run side by side.",
        ),
    )


def _run(folder: Path, flow: Path) -> Timed:
    shutil.rmtree(folder, ignore_errors=True)
    make_sample(folder / "data")
    create_repository(folder)
    place, log = Place(folder), folder / _LOG
    command = [sys.executable, str(flow), "--no-pylint", "run", "--data", "data"]
    began = time.monotonic()
    with log.open("w") as out:
        subprocess.run(command, cwd=folder, env=place.environment, stdout=out, stderr=subprocess.STDOUT, check=False)
    seconds = time.monotonic() - began
    if not is_finished(log):
        raise BenchmarkError("A run did not finish.", where=log, fix="read its last lines")
    steps = read_step_seconds(log)
    shutil.rmtree(folder)
    return Timed(seconds, steps)


def _find_median(runs: list[Timed]) -> Timed:
    steps = {name: median(run.steps[name] for run in runs) for name in runs[0].steps}
    return Timed(median(run.seconds for run in runs), steps)


def _format_seconds(seconds: float) -> str:
    return f"{seconds:.1f}"
