"""Whole runs where the machine misbehaves: two at once on one checkout, and a clock that jumps."""

from __future__ import annotations

import itertools
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.scale.small_run import Outcome, Place, prepare
from learn.storage.atomic import write_atomic

pytestmark = pytest.mark.slow

JUMPING = Path(__file__).with_name("jumping_clock")
OFF_BY_SECONDS = (3 * 3600, -2 * 3600, 0, 26 * 3600, -300)
JUMP_EVERY_SECONDS = 2.5


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def calm(place: Place) -> Outcome:
    started = start(place, place.environment)
    said, _ = started.communicate()
    assert started.returncode == 0, said
    return place.read_outcome()


def start(place: Place, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        place.build_command("run"),
        cwd=place.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def weights_and_metrics(outcome: Outcome) -> tuple[str, str]:
    return outcome.weights_sha256, outcome.metrics_sha256


@contextmanager
def jumping(file: Path) -> Iterator[None]:
    """Let the clock of everything that reads this file jump, forwards and back, every few seconds."""
    ended = threading.Event()

    def jump() -> None:
        for off_seconds in itertools.cycle(OFF_BY_SECONDS):
            write_atomic(file, str(off_seconds))
            if ended.wait(JUMP_EVERY_SECONDS):
                return

    write_atomic(file, "0")
    thread = threading.Thread(target=jump)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_two_runs_at_once_on_one_checkout_both_come_to_the_same_end(calm: Outcome, tmp_path: Path) -> None:
    place = prepare(tmp_path / "shop")
    running = [start(place, place.environment) for _ in range(2)]
    said = [each.communicate()[0] for each in running]
    assert [each.returncode for each in running] == [0, 0], "\n\n".join(said)
    bundles = sorted(place.folder.glob(".learn/runs/*/bundle"))
    assert len(bundles) == len(list(place.folder.glob("reports/*/metrics.json"))) == 2
    # Looked at as if there had been one: each bundle is whole, no store damaged, nothing left over.
    outcome = place.read_outcome()
    assert outcome.faults == ("2 bundles and 2 metrics.json instead of one",)
    assert weights_and_metrics(outcome) == weights_and_metrics(calm)


def test_a_clock_that_jumps_changes_nothing(calm: Outcome, tmp_path: Path) -> None:
    place, clock = prepare(tmp_path / "shop"), tmp_path / "clock"
    hooked = {"PYTHONPATH": str(JUMPING), "LEARN_CLOCK_IS_OFF_BY": str(clock)}
    with jumping(clock):
        running = start(place, place.environment | hooked)
        said, _ = running.communicate()
    assert running.returncode == 0, said
    outcome = place.read_outcome()
    assert outcome.faults == ()
    assert weights_and_metrics(outcome) == weights_and_metrics(calm)
