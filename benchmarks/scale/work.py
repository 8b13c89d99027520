"""The steps of the train flow over a synthetic shop, each as the flow calls it: ``python -m benchmarks.scale.work
STEP``.

Prints last a line of JSON, :class:`Done`.
"""

from __future__ import annotations

import argparse  # the libraries read the environment when they are imported
import json  # as above
import time  # as above
from collections.abc import Callable  # as above
from dataclasses import asdict, dataclass, replace  # as above
from pathlib import Path  # as above
from typing import TYPE_CHECKING  # as above

from benchmarks.harness.provenance import read_peak_memory_bytes  # as above
from learn.config import Settings  # as above
from learn.environment import configure_process

if TYPE_CHECKING:
    from learn.model import RunInputs


configure_process()


ENCODER = "encoder"
"""Folder of the tiny encoder, next to those of the sizes."""

_SETTINGS = {
    "split": {"method": "by_date"},
    # Narrow and short, so that an epoch shows what the data costs; AdamW moves the whole ID table at every step, which
    # large batches make rarer.
    "towers": {"dimension": 32, "heads": 1, "blocks": 1, "max_history": 20, "cooccurrence_rank": 16},
    "training": {"epochs": 1, "batch_positions": 4096, "device": "cpu"},
    # The other baselines hold item-by-item matrices, which no catalogue of this size allows.
    "evaluation": {"baselines": ["popularity"], "bootstrap_samples": 100},
}


@dataclass(frozen=True)
class Done:
    """What a step took, by itself.

    Attributes:
        seconds: By the clock, without the start of Python.
        cpu_seconds: Of the processor, all threads, the same stretch.
        peak_bytes: Most resident memory of the process, libraries and mapped files included.
        output_bytes: Size of what it left on disk.
        said: What it found, in a line.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output_bytes: int
    said: str


def read_settings_of(folder: Path) -> Settings:
    """Return the settings of a size, whose every file is in one folder."""
    content = {"encoder": str(folder.parent / ENCODER), "store": str(folder / "store")}
    return Settings.from_mapping({**_SETTINGS, "workspace": str(folder), "content": content})


def version(folder: Path) -> tuple[str, list[Path]]:
    """Record the data's version in a DVC repository of the size's own."""
    from dvc.repo import Repo

    from learn.data import record_version

    if not (folder / ".dvc").is_dir():
        # No history: the checkout's own repository must not hear of this.
        Repo.init(str(folder), no_scm=True).close()
    found = record_version(folder / "data", root=folder, settings=read_settings_of(folder).data)
    return f"{found.version}, {found.size_bytes:,} bytes", [folder / ".dvc" / "cache"]


def validate(folder: Path) -> tuple[str, list[Path]]:
    """Load the tables and check every row."""
    from learn.data import load_tables, validate_tables

    settings = read_settings_of(folder)
    raw = load_tables(
        folder / "data", folder / "raw", settings=settings.data, timestamps=settings.validation.timestamps
    )
    found = validate_tables(
        raw.folder, folder / "valid", report=folder / "reports" / "validation.html", settings=settings.validation
    )
    said = f"{found.interactions.valid:,} of {found.interactions.rows:,} interactions are valid"
    return said, [raw.folder, folder / "valid"]


def histories(folder: Path) -> tuple[str, list[Path]]:
    """Split and write the flat histories."""
    from learn.data import build_histories

    found = build_histories(folder / "valid", folder / "histories", settings=read_settings_of(folder).split)
    said = f"{found.users:,} users, {found.interactions:,} interactions, {found.training_interactions:,} for training"
    return said, [found.folder]


def content(folder: Path) -> tuple[str, list[Path]]:
    """Encode the texts of all items with the tiny encoder."""
    from learn.content import collect_vectors, encode_shard, plan_extraction

    settings = read_settings_of(folder)
    plan = plan_extraction(
        folder / "valid" / "items.parquet",
        store=settings.content_store,
        settings=settings.content,
        folder=folder / "plan",
    )
    encoded = [encode_shard(plan, shard) for shard in plan.shards]
    found = collect_vectors(plan, encoded, destination=folder / "content")
    return f"{found.items:,} items, {found.dimension} numbers each", [folder / "store", folder / "content"]


def _build_inputs(folder: Path) -> RunInputs:
    from learn.model import RunInputs

    return RunInputs(
        read_settings_of(folder), folder / "valid", folder / "histories", folder / "content" / "vectors.npy"
    )


def towers(folder: Path) -> tuple[str, list[Path]]:
    """Train the towers for one epoch and measure them on validation."""
    from learn.evaluation import train_selected

    found = train_selected(_build_inputs(folder))
    said = f"{found.parameters:,} weights, validation NDCG@10 {found.validation_ndcg:.4f}"
    return said, [found.folder]


def evaluate(folder: Path) -> tuple[str, list[Path]]:
    """Rank the targets of validation and test among all items."""
    from benchmarks.scale.towers_at_hand import find_towers
    from learn.evaluation import evaluate_run
    from learn.model import encode_catalogue

    inputs = replace(_build_inputs(folder), training=find_towers(folder, settings=read_settings_of(folder)))
    inputs = encode_catalogue(inputs, destination=folder / "catalogue")
    evaluate_run(inputs, report=folder / "reports" / "metrics.json")
    return "popularity next to the towers", [folder / "reports"]


def compare_windows(folder: Path) -> tuple[str, list[Path]]:
    """Write the reference profile and hold the newest window against training."""
    from benchmarks.scale.towers_at_hand import find_towers
    from learn.model import encode_catalogue
    from learn.monitoring import run_drift, write_run_profile

    inputs = replace(_build_inputs(folder), training=find_towers(folder, settings=read_settings_of(folder)))
    inputs = encode_catalogue(inputs, destination=folder / "catalogue")
    profile = write_run_profile(inputs, destination=folder / "profile")
    run_drift(inputs, current=None, scratch=folder / "scratch", report=folder / "reports" / "drift.html")
    return "the newest window", [profile]


STEPS: dict[str, Callable[[Path], tuple[str, list[Path]]]] = {
    step.__name__: step for step in (version, validate, histories, content, towers, evaluate, compare_windows)
}
"""The flow's steps by name, in its order; ``content`` is its ``plan``, ``encode`` and ``gather``."""


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.work", description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    begun, used = time.perf_counter(), time.process_time()
    said, left = STEPS[options.step](options.folder.absolute())
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - used
    print(
        json.dumps(asdict(Done(seconds, cpu_seconds, read_peak_memory_bytes(), sum(map(_measure_bytes, left)), said)))
    )


def _measure_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
