"""A step in its own process, watched: memory of it and its children, and an epoch that may be cut short."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.harness.provenance import ROOT
from benchmarks.scale.work import Done

_SAMPLED_EVERY_SECONDS = 0.2
_EPOCH = re.compile(r"Epoch \d+: ([\d,]+) of ([\d,]+) positions")
_KEPT_LINES = 30


@dataclass(frozen=True)
class MeasuredProcess:
    """A step as it went.

    Attributes:
        step: Its name.
        seconds: By the clock; of a cut epoch as far as the whole one would have taken.
        cpu_seconds: Of the processor, likewise.
        peak_bytes: Most resident memory at the same time, of the process with its children, mapped files included.
        own_bytes: The same without files that are mapped: what cannot be dropped when memory grows short.
        output_bytes: Left on disk.
        measured_share: Of an epoch; 1 where all of it was run.
        said: What the step found, in a line.
    """

    step: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    own_bytes: int
    output_bytes: int
    measured_share: float
    said: str


class StepError(RuntimeError):
    """A step ended with an error."""


class _Sampler(threading.Thread):
    """Looks at a process and its children several times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.peak_bytes = self.own_bytes = 0
        self.cpu_seconds = 0.0

    def run(self) -> None:
        while not self._ended.wait(_SAMPLED_EVERY_SECONDS):
            try:
                self._look()
            except psutil.Error:
                return  # it has ended

    def _look(self) -> None:
        times = self._process.cpu_times()
        self.cpu_seconds = times.user + times.system
        family = [self._process, *self._process.children(recursive=True)]
        memory = [process.memory_info() for process in family]
        self.peak_bytes = max(self.peak_bytes, sum(each.rss for each in memory))
        self.own_bytes = max(self.own_bytes, sum(each.rss - each.shared for each in memory))

    def stop(self) -> None:
        """End the looking."""
        self._ended.set()
        self.join()


@dataclass(frozen=True)
class _Mark:
    """How far an epoch was at the same time."""

    positions: int
    seconds: float
    cpu_seconds: float


def watch(step: str, folder: Path, *, epoch_seconds: float, part_seconds: float) -> MeasuredProcess:
    """Run a step and watch it.

    Args:
        step: One of :data:`benchmarks.scale.work.STEPS`.
        folder: Of the size.
        epoch_seconds: An epoch that would take more of the processor's time is cut short.
        part_seconds: After so much of it.

    Raises:
        StepError: It ended with an error; its last lines are said.
    """
    begun = time.perf_counter()
    words = [sys.executable, "-m", "benchmarks.scale.work", step, str(folder)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sampler = _Sampler(process.pid)
    sampler.start()
    lines: list[str] = []
    marks: list[_Mark] = []
    for line in process.stdout or ():
        lines = [*lines[1 - _KEPT_LINES :], line.rstrip()]
        found = _EPOCH.match(line)
        if found is None:
            continue
        done, whole = (int(number.replace(",", "")) for number in found.groups())
        marks.append(_Mark(done, time.perf_counter() - begun, sampler.cpu_seconds))
        print(f"  {line.rstrip()}", flush=True)
        # By the processor's time: an epoch is not longer because the machine has other work.
        run = marks[-1].cpu_seconds - marks[0].cpu_seconds
        if run >= part_seconds and whole / (done - marks[0].positions) * run > epoch_seconds:
            process.kill()
            process.wait()
            sampler.stop()
            return _cut(step, marks, whole=whole, peak_bytes=sampler.peak_bytes, own_bytes=sampler.own_bytes)
    process.wait()
    sampler.stop()
    if process.returncode:
        raise StepError(f"step {step} in {folder} ended with {process.returncode}:\n" + "\n".join(lines))
    done_step = Done(**json.loads(lines[-1]))
    return MeasuredProcess(
        step,
        done_step.seconds,
        done_step.cpu_seconds,
        max(done_step.peak_bytes, sampler.peak_bytes),
        sampler.own_bytes,
        done_step.output_bytes,
        1.0,
        done_step.said,
    )


def _cut(step: str, marks: Sequence[_Mark], *, whole: int, peak_bytes: int, own_bytes: int) -> MeasuredProcess:
    first, last = marks[0], marks[-1]
    left = (whole - last.positions) / (last.positions - first.positions)
    return MeasuredProcess(
        step,
        last.seconds + left * (last.seconds - first.seconds),
        last.cpu_seconds + left * (last.cpu_seconds - first.cpu_seconds),
        peak_bytes,
        own_bytes,
        0,
        (last.positions - first.positions) / whole,
        f"epoch cut after {last.positions:,} of {whole:,} positions",
    )
