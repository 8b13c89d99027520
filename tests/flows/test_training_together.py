"""The towers trained by two processes in the real flow: it comes to its end, also after one of them was killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.scale.small_run import Place, prepare

pytestmark = pytest.mark.slow

SETTINGS = """
[processes]
training = 2
answer_seconds = 300
"""
BOUND_SECONDS = 120


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = prepare(tmp_path_factory.mktemp("together"))
    settings = place.folder / "settings.toml"
    text = settings.read_text(encoding="utf-8").replace("epochs = 2", "epochs = 12\npatience = 12")
    settings.write_text(text + SETTINGS, encoding="utf-8")
    return place


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_a_killed_process_ends_the_run_with_a_message_and_resume_goes_on(place: Place) -> None:
    with subprocess.Popen(
        place.build_command("run"),
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        before = []
        for line in running.stdout:
            before.append(line)
            task = re.search(r"/train_together/\d+ \(pid (\d+)\)\] Epoch 2/", line)
            if task is not None:
                (worker,) = children(int(task[1]))
                os.kill(worker, signal.SIGKILL)
                break
        killed = time.monotonic()
        said = running.stdout.read()
    assert running.returncode != 0, "".join(before) + said
    assert time.monotonic() - killed < BOUND_SECONDS
    assert "Another process of the training has ended, or does not answer" in said
    assert "Epoch 12/12" not in said, "the kill came too late to show anything"
    assert len(list(place.folder.glob(".learn/training/*/checkpoint.pt"))) == 1

    resumed = subprocess.run(
        place.build_command("resume"),
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert re.search(r"/train_together/.*Continuing an interrupted training after epoch \d+", resumed.stdout)
    assert resumed.stdout.count("Epoch 12/12") == 1, "more than one process speaks, or the towers were trained twice"
    assert place.read_outcome().faults == ()
    (record,) = place.folder.glob(".learn/training/*/training.json")
    assert [epoch["epoch"] for epoch in json.loads(record.read_text(encoding="utf-8"))["curve"]] == list(range(1, 13))
