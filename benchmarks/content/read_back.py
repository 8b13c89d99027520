"""A million vectors of 384 numbers read back in item order, next to a plain copy of as many bytes.

    python -m benchmarks.content.read_back --workspace FOLDER --items 100000

runs another size and prints what it took.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.content.one_pass import read_peak_bytes
from benchmarks.harness.page import Part
from learn.config import ContentSettings
from learn.content import ContentStore, Keys

ITEMS = 1_000_000
WIDTH = 384
_BLOCK_BYTES = 8 << 20


def measure(*, data: Path, workspace: Path, count: int = ITEMS) -> Part:  # noqa: ARG001 - vectors are synthetic
    """Write a store, then time reading it against copying its files, each from a cold cache; the data is synthetic."""
    shutil.rmtree(workspace, ignore_errors=True)
    folder = workspace / "store"
    keys = _write_store(folder, count)
    shuffled = keys[np.random.default_rng(1).permutation(count)]
    fresh = np.random.default_rng(2).bytes(32 * count // 100)
    store = ContentStore(folder)
    copy = _time_call(folder, lambda: _copy(folder, workspace / "copy"))
    search = _time_call(folder, lambda: store.find_missing(np.frombuffer(fresh, dtype="S32")))
    before = read_peak_bytes()
    ordered = _time_call(folder, lambda: _read(store, keys, workspace / "ordered"))
    at_random = _time_call(folder, lambda: _read(store, shuffled, workspace / "shuffled"))
    parts = len(list(folder.iterdir()))
    shutil.rmtree(workspace)
    rows = (
        ("copy of the files", copy),
        ("find what is missing of 1 % new keys", search),
        ("read in the order of the store", ordered),
        ("read in random order", at_random),
    )
    gigabytes = count * WIDTH * 4 / 1e9
    return Part(
        name="Reading vectors back",
        figures={
            "read_back_seconds": ordered.seconds,
            "read_back_times_copy": ordered.seconds / copy.seconds,
            "read_back_shuffled_times_copy": at_random.seconds / copy.seconds,
            "read_back_cpu_seconds": ordered.cpu_seconds,
            "read_back_grown_bytes": float(read_peak_bytes() - before),
        },
        header=("What", "Seconds", "of them computing"),
        rows=tuple((name, f"{each.seconds:.2f}", f"{each.cpu_seconds:.2f}") for name, each in rows),
        notes=(
            f"{count:,} vectors of {WIDTH} float32 numbers ({gigabytes:.1f} GB) in {parts} parts, which the page cache "
            "was told to forget, written to a file that is synced. The search reads the keys alone.",
        ),
    )


def _write_store(folder: Path, count: int) -> Keys:
    draw = np.random.default_rng(0)
    keys: Keys = np.frombuffer(draw.bytes(32 * count), dtype="S32")
    part = ContentSettings().part_items
    store = ContentStore(folder)
    for start in range(0, count, part):
        size = len(keys[start : start + part])
        store.write(keys[start : start + part], draw.random((size, WIDTH), dtype=np.float32))
    return keys


@dataclass(frozen=True)
class _Time:
    seconds: float
    cpu_seconds: float


def _time_call(folder: Path, work: Callable[[], object]) -> _Time:
    os.sync()
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    begun, computed = time.perf_counter(), time.process_time()
    work()
    return _Time(time.perf_counter() - begun, time.process_time() - computed)


def _copy(folder: Path, destination: Path) -> None:
    with destination.open("wb") as out:
        for path in sorted(folder.iterdir()):
            with path.open("rb") as file:
                shutil.copyfileobj(file, out, _BLOCK_BYTES)
        os.fsync(out.fileno())
    destination.unlink()


def _read(store: ContentStore, keys: Keys, destination: Path) -> None:
    out = np.lib.format.open_memmap(destination, mode="w+", dtype=np.float32, shape=(len(keys), WIDTH))
    store.read(keys, out=out)
    out.flush()
    destination.unlink()


def main() -> None:
    """Run a chosen size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--items", type=int, default=ITEMS)
    options = parser.parse_args()
    part = measure(data=options.workspace, workspace=options.workspace, count=options.items)
    for row in (part.header, *part.rows):
        print("  ".join(cell.ljust(38) for cell in row))
    print(part.figures)


if __name__ == "__main__":
    main()
