"""Two processes against one: the same steps, one writer, and an end in bounded time where one is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learn.alignment.checkpoints import CHECKPOINT
from learn.alignment.group import ALONE
from learn.alignment.processes import Meeting, Processes, meet
from learn.alignment.weights import load_towers
from learn.config import Settings
from learn.data.histories import Histories
from learn.errors import TrainingError
from tests.made_shop import histories

ROOT = Path(__file__).resolve().parents[2]
NO_DROPOUT = {"dropout": 0.0, "input_dropout": 0.0, "id_dropout": 0.0}
BOUND_SECONDS = 30


def settings(towers: dict[str, Any] | None = None, **training: Any) -> dict[str, Any]:
    chosen = {"epochs": 2, "patience": 4, "batch_positions": 128, "learning_rate": 5e-3, "precision": "float32"}
    shape = {"dimension": 16, "max_history": 10, **NO_DROPOUT}
    return {"towers": shape | (towers or {}), "training": chosen | training}


PAPER = {"item_tower": "shared_sequence", "recent_items": 0, "id_embeddings": False, "positions": False}
WAYS = {
    "full": settings(),
    "sampled": settings(loss="sampled_softmax", uniform_negatives=12, batches_per_step=2),
    # A batch is one window, so that one process of two has none.
    "one_window": settings(batch_positions=1, epochs=1),
    "paper": settings(PAPER, loss="dense_all_action", temperature=0.05),
    "dropped": settings({"dropout": 0.3}, epochs=1),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    return histories(tmp_path_factory.mktemp("shop"))


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def started(
    shop: Histories, place: Path, ways: dict[str, Any], *, processes: int, alone: bool = False
) -> list[subprocess.Popen[str]]:
    """Start the processes of a training, each into a folder of its own so that a second writer would be seen."""
    port, size = str(free_port()), "0" if alone else str(processes)
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.alignment.one_of_many", str(shop.folder), str(place / f"{rank}")),
                *(str(rank), size, port, json.dumps(ways)),
            ],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]


def results(running: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """What each process printed, by the name of the way."""
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * len(running), said
    lines = [[json.loads(line) for line in out.splitlines() if line.startswith("{")] for out, _ in said]
    return [{line["name"]: line for line in each} for each in lines]


@pytest.fixture(scope="module")
def trained(shop: Histories, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Every way by one process without a group, by one within a group, and by two."""
    place = tmp_path_factory.mktemp("trained")
    both = started(shop, place / "two", WAYS, processes=2)
    one = started(shop, place / "group", WAYS, processes=1)
    alone = started(shop, place / "alone", WAYS, processes=1, alone=True)
    return place, [*results(alone), *results(one), *results(both)]


def test_a_group_of_one_gives_the_same_bytes_as_none(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    _, (alone, group, *_) = trained
    assert group == alone


@pytest.mark.parametrize("way", ["full", "sampled", "one_window", "paper"])
def test_two_processes_take_the_steps_of_one(trained: tuple[Path, list[dict[str, Any]]], way: str) -> None:
    place, (alone, _, two, other) = trained
    assert two == other
    for (loss, ndcg), (wanted_loss, wanted_ndcg) in zip(two[way]["curve"], alone[way]["curve"], strict=True):
        assert loss == pytest.approx(wanted_loss, abs=1e-4)
        assert ndcg == pytest.approx(wanted_ndcg, abs=0.01)
    weights = [load_towers(folder / way).state_dict() for folder in (place / "alone" / "0", place / "two" / "0")]
    for name, wanted in weights[0].items():
        assert torch.allclose(weights[1][name], wanted, atol=2e-3), name


def test_no_process_drops_what_another_does(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    _, (alone, _, two, _) = trained
    assert two["dropped"]["curve"][0][0] != alone["dropped"]["curve"][0][0]
    assert two["dropped"]["curve"][0][0] == pytest.approx(alone["dropped"]["curve"][0][0], rel=0.05)


def test_the_first_process_alone_writes(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    place, _ = trained
    assert (place / "two" / "0").is_dir()
    assert not (place / "two" / "1").exists()


def test_a_lost_process_ends_the_others_and_the_training_goes_on(shop: Histories, tmp_path: Path) -> None:
    endless = {"long": settings(epochs=100_000, patience=100_000)}
    first, second = started(shop, tmp_path, endless, processes=2)
    assert first.stdout is not None
    while "Epoch 2/" not in (line := first.stdout.readline()):
        assert line, "the training ended before it was disturbed"
    os.kill(second.pid, signal.SIGKILL)
    killed = time.monotonic()
    _, said = first.communicate(timeout=BOUND_SECONDS)
    second.communicate()
    assert time.monotonic() - killed < BOUND_SECONDS
    assert first.returncode == 1
    assert "Another process of the training has ended" in said
    assert "Traceback" not in said
    assert (tmp_path / "0" / "long" / CHECKPOINT).is_file()
    running = started(shop, tmp_path, {"long": settings(epochs=2)}, processes=2)
    # The second process has no checkpoint of its own: it is told where the first one stood.
    results_of_both = results(running)
    assert results_of_both[0] == results_of_both[1]
    assert len(results_of_both[0]["long"]["curve"]) >= 2


def test_processes_that_do_not_come_are_one_clear_error() -> None:
    with pytest.raises(TrainingError, match="did not come together"), meet(Meeting("127.0.0.1", free_port(), 0, 2, 1)):
        raise AssertionError


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TrainingError, match="did not come together") as caught:
            meet(Meeting("127.0.0.1", port, 0, 2, 1)).__enter__()
    assert str(port) in str(caught.value)


@pytest.mark.parametrize(("rows", "size"), [(0, 2), (1, 2), (7, 3), (4, 4), (5, 4), (100, 1)])
def test_the_parts_of_all_processes_are_all_rows(rows: int, size: int) -> None:
    parts = [np.arange(rows)[Processes(rank, size).part(rows)] for rank in range(size)]
    assert np.concatenate(parts).tolist() == list(range(rows))
    if size == 1:
        assert ALONE.part(rows) == Processes(0, 1).part(rows)


_WITHOUT = """
import sys
from learn.evaluation.selection import train_selected
import torch
assert "learn.alignment.processes" not in sys.modules
assert not torch.distributed.is_initialized()
"""


def test_one_process_does_without_the_exchange() -> None:
    subprocess.run([sys.executable, "-c", _WITHOUT], cwd=ROOT, check=True)


def test_settings_of_several_processes_are_no_part_of_what_was_trained(shop: Histories, tmp_path: Path) -> None:
    from learn.alignment.training import training_key

    np.save(tmp_path / "content.npy", np.zeros((1, 1), np.float32))
    chosen = Settings.from_mapping({"processes": {"training": 1}})
    keys = {
        size: training_key(shop, tmp_path / "content.npy", settings=chosen, seed=0, processes=size) for size in (1, 2)
    }
    assert keys[1] == training_key(shop, tmp_path / "content.npy", settings=Settings(), seed=0)
    assert keys[2] != keys[1]
