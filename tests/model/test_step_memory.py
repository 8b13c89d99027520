"""The memory that is promised before training is what a step takes."""

import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.model.towers import Towers
from learn.model.trainer import estimate_step_memory, train_towers

STATUS = Path("/proc/self/statm")
PAGE_BYTES = 4096
MIB = 2**20


def long_histories(*, users: int, length: int, items: int) -> Histories:
    draw = np.random.default_rng(0)
    offsets = np.arange(users + 1) * length
    bought = draw.integers(0, items, users * length).astype(np.int32)
    bought[:items] = np.arange(items)
    times = np.arange(len(bought), dtype=float)
    return Histories(Path("nowhere"), offsets, bought, times, offsets[1:].copy(), items, {})


def resident_bytes() -> int:
    return int(STATUS.read_text().split()[1]) * PAGE_BYTES


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell a process its memory")
def test_histories_of_800_items_train_within_the_memory_that_was_promised(tmp_path: Path) -> None:
    histories = long_histories(users=8, length=801, items=6000)
    content = np.random.default_rng(1).standard_normal((6000, 384)).astype(np.float32)
    settings = Settings.from_mapping(
        {
            "towers": {"max_history": 800, "cooccurrence_rank": 0, "text_channel": False},
            "training": {"batch_positions": 1600, "loss": "sampled_softmax", "epochs": 1},
        }
    )
    before, highest, over = resident_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not over.is_set():
            highest = max(highest, resident_bytes())
            time.sleep(0.002)

    said: list[str] = []
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        summary = train_towers(
            histories,
            content,
            destination=tmp_path,
            settings=settings,
            seed=0,
            measure=lambda _: 0.5,
            say=said.append,
        )
    finally:
        over.set()
        watcher.join()
    promised = re.search(r"about ([\d,]+) MiB", said[0])
    assert promised is not None
    limit = int(promised[1].replace(",", "")) * MIB
    assert np.isfinite(summary.curve[0].loss or np.nan)
    assert highest - before < 1.5 * limit
    assert limit < 6 * (highest - before)


def test_a_sampled_step_does_not_grow_with_the_catalogue() -> None:
    settings = Settings()
    small, large = (
        estimate_step_memory(
            Towers(settings.towers, content_dimension=8, id_count=10),
            items=items,
            uniform=2048,
            batch_positions=512,
            mask_seen=True,
        )
        for items in (10_000, 1_000_000)
    )
    assert large.step_bytes == small.step_bytes
    assert large.weights_bytes > small.weights_bytes
