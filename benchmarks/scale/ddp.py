"""Two processes against one on the bundled sample: the same metrics, seed by seed.

python -m benchmarks.scale.ddp --workspace FOLDER prints what was found as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness.page import Part
from benchmarks.harness.provenance import ROOT
from learn.config import Settings
from learn.data import Histories, make_sample
from learn.errors import TrainingError
from learn.evaluation import (
    Difference,
    Interval,
    Ranks,
    bootstrap_intervals,
    compare_paired_ranks,
    compute_metric,
    prepare_folder,
    rank_targets,
    train_selected,
)
from learn.model import Rendezvous, RunInputs, TowerScorer, TrainingSummary, compute_id_rows, join_group, load_towers

SEEDS = (0, 1, 2)
PROCESSES = 2
_METRIC = "ndcg@10"
_ANSWER_SECONDS = 1_800


@dataclass(frozen=True)
class SeedResult:
    """One seed, trained by one process and by several.

    Attributes:
        seed: Of both trainings.
        dropout: Whether the towers drop out; without it both compute the same except for the order of sums.
        alone: NDCG@10 on test, history masked, of one process.
        alone_interval: Its 95 % interval over users.
        together: The same of several.
        difference: Several minus one on the same users, with its 95 % interval.
        epochs_alone: Trained by one process.
        epochs_together: Trained by several.
    """

    seed: int
    dropout: bool
    alone: float
    alone_interval: Interval
    together: float
    difference: Difference
    epochs_alone: int
    epochs_together: int


@dataclass(frozen=True)
class DdpResult:
    """All seeds.

    Attributes:
        processes: How many trained together.
        seeds: Each seed's result.
    """

    processes: int
    seeds: tuple[SeedResult, ...]

    def find_largest_difference(self, *, dropout: bool) -> float:
        """Return the largest absolute difference of any seed, with the towers' dropout or without."""
        return max(abs(each.difference.mean) for each in self.seeds if each.dropout == dropout)

    @property
    def within_interval(self) -> bool:
        """Whether every figure of several processes is in the interval of one process's."""
        return all(each.alone_interval.low <= each.together <= each.alone_interval.high for each in self.seeds)


def measure_ddp(
    data: Path, *, settings: Settings, seeds: Sequence[int] = SEEDS, processes: int = PROCESSES
) -> DdpResult:
    """Train a data folder's towers both ways for each seed; what an earlier call trained is taken.

    Args:
        data: Folder of ``items`` and ``interactions``.
        settings: Everything goes to their workspace.
        seeds: Of the trainings; the first one is trained without dropout, too.
        processes: How many train together, on one thread each.

    Raises:
        LearnError: The data cannot be prepared, or a training failed.
    """
    prepared = prepare_folder(data, settings=settings, say=lambda line: print(line, flush=True))
    still = settings.override(towers__dropout=0, towers__input_dropout=0, towers__id_dropout=0)
    asked = [(settings, seed) for seed in seeds] + [(still, seeds[0])]
    return DdpResult(processes, tuple(_measure_seed(prepared, chosen, seed, processes) for chosen, seed in asked))


def measure_sample(workspace: Path, *, seeds: Sequence[int] = SEEDS) -> DdpResult:
    """Do the same with the bundled sample; arguments and errors are those of :func:`measure_ddp`."""
    make_sample(workspace / "data")
    return measure_ddp(workspace / "data", settings=Settings(workspace=workspace / "work"), seeds=seeds)


def measure(*, data: Path, workspace: Path) -> Part:  # noqa: ARG001 - the sample is made, not read
    """Return the section of the page."""
    found = measure_sample(workspace)
    rows = tuple(
        (
            str(each.seed) if each.dropout else f"{each.seed}, without dropout",
            f"{each.alone:.4f} [{each.alone_interval.low:.4f}, {each.alone_interval.high:.4f}]",
            f"{each.together:.4f}",
            f"{each.difference.mean:+.4f} [{each.difference.low:+.4f}, {each.difference.high:+.4f}]",
            f"{each.epochs_alone} / {each.epochs_together}",
        )
        for each in found.seeds
    )
    return Part(
        name="Several processes",
        figures={
            "ddp_metric_difference": found.find_largest_difference(dropout=True),
            "ddp_metric_difference_without_dropout": found.find_largest_difference(dropout=False),
        },
        header=("Seed", "NDCG@10, one process", f"{found.processes} processes", "Difference, 95 %", "Epochs"),
        rows=rows,
        notes=(
            "The bundled sample, test part, history masked; the processes share every batch by gloo on one machine. "
            "They drop out other numbers than one process does, which is as if they had another seed: a paired "
            "interval, which knows only of the users, need not hold 0. Without dropout both do the same sums in "
            "another order (step by step: tests/model/test_processes.py).",
        ),
    )


def _measure_seed(prepared: RunInputs, settings: Settings, seed: int, processes: int) -> SeedResult:
    chosen = settings.model_copy(update={"seed": seed})
    histories = prepared.open_histories()
    alone = train_selected(replace(prepared, settings=chosen))
    together = _train_together(prepared, chosen, processes)
    ranks = [_rank_towers(histories, prepared.content, each.folder, chosen).masked for each in (alone, together)]
    samples = chosen.evaluation.bootstrap_samples
    values = compute_metric(ranks[0], _METRIC)
    (interval,) = bootstrap_intervals(values[:, None], samples=samples, seed=0)
    return SeedResult(
        seed=seed,
        dropout=settings.towers.dropout > 0,
        alone=float(values.mean()),
        alone_interval=interval,
        together=_compute_mean(ranks[1]),
        difference=compare_paired_ranks(ranks[1], ranks[0], _METRIC, samples=samples, seed=0),
        epochs_alone=alone.epochs,
        epochs_together=together.epochs,
    )


def _train_together(prepared: RunInputs, settings: Settings, processes: int) -> TrainingSummary:
    context = multiprocessing.get_context("spawn")
    port = _find_free_port()
    meetings = [Rendezvous("127.0.0.1", port, rank, processes, _ANSWER_SECONDS) for rank in range(processes)]
    results: SimpleQueue[TrainingSummary] = context.SimpleQueue()
    running = [
        context.Process(target=_train, args=(prepared, settings, meeting, results if meeting.rank == 0 else None))
        for meeting in meetings
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
    if any(process.exitcode for process in running):
        raise TrainingError(
            "A process of the training ended early.", where=settings.workspace, fix="see its message above; run again"
        )
    return results.get()


def _train(
    prepared: RunInputs,
    settings: Settings,
    meeting: Rendezvous,
    results: SimpleQueue[TrainingSummary] | None,
) -> None:
    torch.set_num_threads(1)
    with join_group(meeting) as group:
        summary = train_selected(replace(prepared, settings=settings), group=group)
    if results is not None:
        results.put(summary)


def _rank_towers(histories: Histories, content: Path, folder: Path, settings: Settings) -> Ranks:
    vectors = np.load(content, mmap_mode="r")
    scorer = TowerScorer(load_towers(folder), content=vectors, ids=compute_id_rows(histories))
    return rank_targets(scorer, histories, histories.open_examples("test"), block_users=settings.evaluation.block_users)


def _compute_mean(ranks: NDArray[np.float64]) -> float:
    return float(compute_metric(ranks, _METRIC).mean())


def _find_free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.ddp", description=__doc__)
    parser.add_argument("--workspace", type=Path, default=ROOT / ".learn" / "benchmarks" / "scale" / "ddp")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    options = parser.parse_args(words)
    found = measure_sample(options.workspace.absolute(), seeds=options.seeds)
    record = asdict(found) | {
        "figures": {"ddp_metric_difference": found.find_largest_difference(dropout=True)},
        "within_interval": found.within_interval,
    }
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
