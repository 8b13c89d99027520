"""``kill -9`` of a whole run at a random moment of each step, then ``resume``: is the result the same?

The kills take the steps in turn, and a moment of each at random (seeded). A run is killed with its whole process group,
as a machine that goes away would take it, in a folder where every store is its own.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from benchmarks.harness.page import Part
from benchmarks.scale.small_run import STEPS, Outcome, Place, create_repository, prepare
from learn.storage import write_atomic

_LINE = re.compile(r"^(\S+ \S+) \[\d+/(\w+)/\d+ \(pid \d+\)\] Task (is starting|finished successfully)\.")
_LOG = "run.log"
_KILLS, _SEED = 50, 0
_DYING_SECONDS = 10
"""Until when what was killed may still be on its way out."""


class Kill(BaseModel):
    """One run that was killed, and its result.

    Attributes:
        step: In which the kill was to fall.
        share: Of the step's undisturbed time that was over.
        running: Steps that were at work when it fell.
        resumed: Whether ``resume`` came to the end.
        same_weights: As the undisturbed run's, to the byte.
        same_metrics: As the undisturbed run's, to the byte.
        faults: What was half-written, left over, or still running; each in a line.
        undisturbed_weights: Hash of what it was compared with.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    share: float
    running: tuple[str, ...]
    resumed: bool
    same_weights: bool
    same_metrics: bool
    faults: tuple[str, ...]
    undisturbed_weights: str

    @property
    def equal(self) -> bool:
        """Whether nothing tells this run from an undisturbed one."""
        return self.resumed and self.same_weights and self.same_metrics and not self.faults


def run_undisturbed(workspace: Path) -> tuple[Outcome, dict[str, float]]:
    """Run without a kill, or take what an earlier call ran.

    Returns:
        What it left, and the seconds of each step.
    """
    base, calm = workspace / "base", workspace / "calm"
    if not (base / "settings.toml").is_file():
        shutil.rmtree(base, ignore_errors=True)
        prepare(base)
        create_repository(base)
    log = calm / _LOG
    if not (log.is_file() and is_finished(log)):
        shutil.rmtree(calm, ignore_errors=True)
        shutil.copytree(base, calm)
        _run(Place(calm), "run")
    if not is_finished(log):
        raise SystemExit(f"the undisturbed run did not finish: see {log}")
    return Place(calm).read_outcome(), read_step_seconds(log)


def kill_once(workspace: Path, number: int, *, step: str, share: float, calm: Outcome, seconds: float) -> Kill:
    """Kill one run and resume it.

    Args:
        workspace: As :func:`undisturbed` left it.
        number: Of this kill, for its folder, which is removed where all is well.
        step: In which the kill falls.
        share: Of the step's time after which it falls, 0 to 1.
        calm: What the undisturbed run left.
        seconds: That the step took undisturbed.
    """
    folder = workspace / f"kill-{number:02}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(workspace / "base", folder)
    place = Place(folder)
    running = _run_and_kill(place, step=step, after_seconds=share * seconds)
    orphans = _stop_orphans(folder)
    resumed = _run(place, "resume") == 0
    left = place.read_outcome() if resumed else Outcome("", "", ())
    kill = Kill(
        step=step,
        share=round(share, 2),
        running=running,
        resumed=resumed,
        same_weights=left.weights_sha256 == calm.weights_sha256,
        same_metrics=left.metrics_sha256 == calm.metrics_sha256,
        faults=(*orphans, *left.faults),
        undisturbed_weights=calm.weights_sha256,
    )
    if kill.equal:
        shutil.rmtree(folder)
    return kill


def _run(place: Place, word: str) -> int:
    with (place.folder / _LOG).open("a") as log:
        done = subprocess.run(
            place.build_command(word),
            cwd=place.folder,
            env=place.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return done.returncode


def _run_and_kill(place: Place, *, step: str, after_seconds: float) -> tuple[str, ...]:
    """Start a run, kill its process group some time after a step began; return the steps then at work."""
    at_work: list[str] = []
    process = subprocess.Popen(
        place.build_command("run"),
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    for line in process.stdout or ():
        found = _LINE.match(line)
        if found is None:
            continue
        if found[3] == "is starting":
            at_work.append(found[2])
        elif found[2] in at_work:
            at_work.remove(found[2])
        if at_work and at_work[-1] == step:
            time.sleep(after_seconds)
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.communicate()
    return tuple(at_work)


def _stop_orphans(folder: Path, *, dying_seconds: float = _DYING_SECONDS) -> list[str]:
    """End what a killed run left running; what a line says of each is a fault of the run's."""
    begun = time.monotonic()
    # A killed process is there until the system has given its memory back.
    while (left := _list_running(folder)) and time.monotonic() - begun < dying_seconds:
        time.sleep(0.1)
    faults = []
    for process in left:
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            process.kill()
            faults.append(f"still running: {words[:120]}")
    return faults


def _list_running(folder: Path) -> list[psutil.Process]:
    """Return the processes that a run in this folder started and that have not ended."""
    temporary = str(folder / "tmp")
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is another user's
            if process.environ().get("TMPDIR") == temporary and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def is_finished(log: Path) -> bool:
    """Return whether a flow's log shows that its last step finished."""
    return any(found[2] == "end" and found[3] != "is starting" for found in _match_lines(log))


def _match_lines(log: Path) -> list[re.Match[str]]:
    found = (_LINE.match(line) for line in log.read_text(encoding="utf-8", errors="replace").splitlines())
    return [each for each in found if each is not None]


def read_step_seconds(log: Path) -> dict[str, float]:
    """Return the seconds that the process of each step ran, from a flow's log."""
    begun: dict[str, datetime] = {}
    seconds: dict[str, float] = {}
    for found in _match_lines(log):
        moment = datetime.fromisoformat(found[1])
        if found[3] == "is starting":
            begun.setdefault(found[2], moment)
        else:
            seconds[found[2]] = (moment - begun[found[2]]).total_seconds()
    return seconds


def kill_runs(
    workspace: Path, *, count: int, steps: Sequence[str] = STEPS, seed: int = 0
) -> tuple[Outcome, list[Kill]]:
    """Kill so many runs, the steps in turn, and resume them; those that an earlier call killed are taken as they are.

    Args:
        workspace: Folder for the runs.
        count: Runs that are killed.
        steps: Steps in which kills fall.
        seed: Of the moments.

    Returns:
        What the undisturbed run left, and the kills.

    Raises:
        LearnError: The small run's data could not be made.
    """
    folder = workspace.absolute()
    calm, seconds = run_undisturbed(folder)
    draw = random.Random(seed)  # noqa: S311 - a moment, no secret
    kills: list[Kill] = []
    for number in range(count):
        step, share, record = steps[number % len(steps)], draw.random(), folder / f"kill-{number:02}.json"
        kill = _read_kill(record, calm)
        if kill is None:
            kill = kill_once(folder, number, step=step, share=share, calm=calm, seconds=seconds[step])
            write_atomic(record, kill.model_dump_json(indent=1) + "\n")
        kills.append(kill)
        said = "equal" if kill.equal else "NOT EQUAL: " + "; ".join(kill.faults or ("another result",))
        print(f"{len(kills)}/{count} {step} at {kill.share:.0%}: {said}", flush=True)
    return calm, kills


def _read_kill(record: Path, calm: Outcome) -> Kill | None:
    if not record.is_file():
        return None
    kill = Kill.model_validate_json(record.read_text(encoding="utf-8"))
    return kill if kill.undisturbed_weights == calm.weights_sha256 else None


def measure(*, data: Path, workspace: Path) -> Part:  # noqa: ARG001 - the runs bring their own data
    """Kill fifty runs; a part of ``python -m benchmarks.scale``."""
    calm, kills = kill_runs(workspace, count=_KILLS, seed=_SEED)
    in_step = {step: [kill for kill in kills if kill.step == step] for step in STEPS}
    faults = [f"`{kill.step}` at {kill.share:.0%}: {fault}." for kill in kills for fault in kill.faults]
    faults += [f"The undisturbed run: {fault}." for fault in calm.faults]
    return Part(
        name="Kills",
        figures={"kills": float(len(kills)), "kills_equal_result": float(sum(kill.equal for kill in kills))},
        header=("Killed in step", "Kills", "Resumed to the end", "Same weights", "Same metrics", "Nothing left over"),
        rows=tuple(_format_row(step, found) for step, found in in_step.items() if found),
        notes=(
            "`kill -9` of the whole process group of a small run (600 users, two epochs, two shards) at a random "
            "moment of each step in turn, then `resume`. Weights and `metrics.json` are compared to the byte with "
            "those of an undisturbed run; left over would be temporary files, half-written reports, damaged stores or "
            "bundles, and processes still running.",
            *faults,
        ),
    )


def _format_row(step: str, kills: list[Kill]) -> tuple[str, ...]:
    counted = (
        len(kills),
        sum(kill.resumed for kill in kills),
        sum(kill.same_weights for kill in kills),
        sum(kill.same_metrics for kill in kills),
        sum(not kill.faults for kill in kills),
    )
    return (step, *map(str, counted))
