"""Two processes against one: the same steps, one writer, and an end in bounded time where one is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.errors import TrainingError
from learn.model.checkpoint import CHECKPOINT, load_towers
from learn.model.distributed import SINGLE_PROCESS, Processes, Rendezvous, join_group
from learn.model.trainer import compute_training_key
from tests.model import one_of_many
from tests.synthetic_shop import histories

ROOT = Path(__file__).resolve().parents[2]
NO_DROPOUT = {"dropout": 0.0, "input_dropout": 0.0, "id_dropout": 0.0}
ANSWER_SECONDS, BOUND_SECONDS = 120, 60


def settings(towers: dict[str, Any] | None = None, **training: Any) -> dict[str, Any]:
    chosen = {"epochs": 1, "patience": 4, "batch_positions": 128, "learning_rate": 5e-3, "precision": "float32"}
    shape = {"dimension": 16, "max_history": 10, **NO_DROPOUT}
    return {"towers": shape | (towers or {}), "training": chosen | training}


PAPER = {"item_tower": "shared_sequence", "recent_items": 0, "id_embeddings": False, "positions": False}
WAYS = {
    "full": settings(epochs=2),
    "sampled": settings(loss="sampled_softmax", uniform_negatives=12, batches_per_step=2),
    # A batch is one window, so that one process of two has none.
    "one_window": settings(batch_positions=1),
    "paper": settings(PAPER, loss="dense_all_action", temperature=0.05),
    "dropped": settings({"dropout": 0.3}),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    return histories(tmp_path_factory.mktemp("shop"), users=40)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def started(shop: Histories, place: Path, ways: dict[str, Any]) -> list[ForkServerProcess]:
    """Start two processes of a training, each with a folder of its own so that a second writer would be seen."""
    # A server that has imported everything once: the import costs more than these trainings.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([one_of_many.__name__])
    port = free_port()
    meetings = [Rendezvous("127.0.0.1", port, rank, 2, ANSWER_SECONDS) for rank in range(2)]
    running = [
        context.Process(target=one_of_many.run, args=(shop.folder, place / str(meeting.rank), ways, meeting))
        for meeting in meetings
    ]
    for process in running:
        process.start()
    return running


def results(running: list[ForkServerProcess], place: Path) -> list[dict[str, Any]]:
    """What each process wrote down, by the name of the way."""
    for process in running:
        process.join(ANSWER_SECONDS)
    assert [process.exitcode for process in running] == [0, 0], said(place, 0) + said(place, 1)
    return [json.loads((place / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


def said(place: Path, rank: int) -> str:
    log = place / f"{rank}.log"
    return log.read_text(encoding="utf-8") if log.exists() else ""


Trained = tuple[Path, dict[str, Any], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def trained(shop: Histories, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Every way by one process and by two."""
    place = tmp_path_factory.mktemp("trained")
    running = started(shop, place, WAYS)
    alone = json.loads(json.dumps(one_of_many.train(shop, place / "alone", WAYS, SINGLE_PROCESS)))
    return place, alone, results(running, place)


def test_a_group_of_one_gives_the_same_bytes_as_none(shop: Histories, trained: Trained, tmp_path: Path) -> None:
    ways = {name: WAYS[name] for name in ("sampled", "paper")}
    with join_group(Rendezvous("127.0.0.1", free_port(), 0, 1, ANSWER_SECONDS)) as group:
        done = one_of_many.train(shop, tmp_path, ways, group)
    assert json.loads(json.dumps(done)) == {name: trained[1][name] for name in ways}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The trained weights but the bias of the keys, whose gradient is rounding alone: no softmax sees it."""
    held = load_towers(folder).state_dict()
    query, _, value = held.pop("blocks.0.projections.bias").chunk(3)
    return held | {"query bias": query, "value bias": value}


@pytest.mark.parametrize("way", ["full", "sampled", "one_window", "paper"])
def test_two_processes_take_the_steps_of_one(trained: Trained, way: str) -> None:
    place, alone, (two, other) = trained
    assert two == other
    for (loss, ndcg), (wanted_loss, wanted_ndcg) in zip(two[way][1], alone[way][1], strict=True):
        assert loss == pytest.approx(wanted_loss, abs=1e-4)
        assert ndcg == pytest.approx(wanted_ndcg, abs=0.01)
    wanted, found = (weights(place / folder / way) for folder in ("alone", "0"))
    for name, weight in wanted.items():
        assert torch.allclose(found[name], weight, atol=2e-3), name


def test_no_process_drops_what_another_does(trained: Trained) -> None:
    _, alone, (two, _) = trained
    (loss, _), (wanted, _) = two["dropped"][1][0], alone["dropped"][1][0]
    assert loss != wanted
    assert loss == pytest.approx(wanted, rel=0.1)


def test_the_first_process_alone_writes(trained: Trained) -> None:
    place, *_ = trained
    assert (place / "0" / "full").is_dir()
    assert not (place / "1").exists()


@pytest.mark.slow
def test_a_lost_process_ends_the_others_and_the_training_goes_on(shop: Histories, tmp_path: Path) -> None:
    first, second = started(shop, tmp_path, {"long": settings(epochs=100_000, patience=100_000)})
    while "Epoch 2/" not in said(tmp_path, 0):
        assert first.is_alive(), said(tmp_path, 0)
        time.sleep(0.05)
    assert second.pid is not None
    os.kill(second.pid, signal.SIGKILL)
    first.join(BOUND_SECONDS)
    second.join()
    assert first.exitcode == 1
    assert "Another process of the training has ended" in said(tmp_path, 0)
    assert (tmp_path / "0" / "long" / CHECKPOINT).is_file()
    # The second process has no checkpoint of its own: it is told where the first one stood.
    both = results(started(shop, tmp_path, {"long": settings(epochs=1)}), tmp_path)
    assert both[0] == both[1]
    assert len(both[0]["long"][1]) >= 2


def test_processes_that_do_not_come_are_one_clear_error() -> None:
    with (
        pytest.raises(TrainingError, match="could not connect to each other"),
        join_group(Rendezvous("127.0.0.1", free_port(), 0, 2, 1)),
    ):
        raise AssertionError


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TrainingError, match="could not connect to each other") as caught:
            join_group(Rendezvous("127.0.0.1", port, 0, 2, 1)).__enter__()
    assert str(port) in str(caught.value)


@pytest.mark.parametrize(("rows", "size"), [(0, 2), (1, 2), (7, 3), (4, 4), (5, 4), (100, 1)])
def test_the_parts_of_all_processes_are_all_rows(rows: int, size: int) -> None:
    parts = [np.arange(rows)[Processes(rank, size).shard(rows)] for rank in range(size)]
    assert np.concatenate(parts).tolist() == list(range(rows))
    if size == 1:
        assert SINGLE_PROCESS.shard(rows) == Processes(0, 1).shard(rows)


_WITHOUT = """
from learn.evaluation.selection import train_selected
import torch
assert not torch.distributed.is_initialized()
"""


def test_one_process_does_without_the_exchange() -> None:
    subprocess.run([sys.executable, "-c", _WITHOUT], cwd=ROOT, check=True)


def test_settings_of_several_processes_are_no_part_of_what_was_trained(shop: Histories, tmp_path: Path) -> None:
    np.save(tmp_path / "content.npy", np.zeros((1, 1), np.float32))
    chosen = Settings.from_mapping({"processes": {"training": 1}})
    keys = {
        size: compute_training_key(shop, tmp_path / "content.npy", settings=chosen, seed=0, processes=size)
        for size in (1, 2)
    }
    assert keys[1] == compute_training_key(shop, tmp_path / "content.npy", settings=Settings(), seed=0)
    assert keys[2] != keys[1]
