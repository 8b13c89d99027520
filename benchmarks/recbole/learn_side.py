"""LEARN's towers, timed on the same data under RecBole's protocol. Runs as a separate process."""

from __future__ import annotations

import argparse
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.provenance import read_peak_memory_bytes
from benchmarks.recbole.records import Epoch, Side
from learn.config import Settings
from learn.data import Histories
from learn.evaluation import Ranks, average_metrics, compute_metric, rank_targets, tune_channels
from learn.model import TowerScorer, compute_id_rows, load_towers, train_towers


class ValidationClock:
    """Validation NDCG@10 with nothing masked, as RecBole measures it, and when each epoch came to which.

    The clock starts when this is made, so that building the towers and whitening count as training. Where the towers
    have channels, what is measured last is the kept epoch with its channels tuned, and the tuning counts as training.

    Args:
        histories: The split data.
        block_users: Users scored at a time.
    """

    def __init__(self, histories: Histories, *, block_users: int) -> None:
        self.curve: list[Epoch] = []
        self._histories, self._block_users = histories, block_users
        self._examples = histories.open_examples("validation").keep_with_history()
        self._began = self._measured = time.monotonic()

    def __call__(self, scorer: TowerScorer) -> float:
        """Measure an epoch."""
        trained = time.monotonic()
        ranks = rank_targets(scorer, self._histories, self._examples, block_users=self._block_users)
        ndcg = float(compute_metric(ranks.unmasked, "ndcg@10").mean())
        now = time.monotonic()
        number = len(self.curve) + 1
        self.curve.append(Epoch(number, trained - self._measured, now - trained, now - self._began, ndcg))
        self._measured = now
        return ndcg


def measure_learn(
    histories: Histories, content: NDArray[np.float32], *, scratch: Path, settings: Settings, seed: int
) -> Side:
    """Train the towers to the end, then rank the test part twice.

    Args:
        histories: The split data.
        content: (n, c) float32 content vectors in item order.
        scratch: Folder without an earlier training, for the checkpoint and the weights.
        settings: Sections ``towers``, ``training`` and ``evaluation`` are read.
        seed: Of the training.

    Raises:
        LearnError: The towers cannot be trained.
    """
    block_users = settings.evaluation.block_users
    clock = ValidationClock(histories, block_users=block_users)
    summary = train_towers(
        histories,
        content,
        destination=scratch,
        settings=settings,
        seed=seed,
        measure=clock,
        tune=tune_channels(histories, settings=settings.evaluation, masked=False, seed=seed),
    )
    began = time.monotonic()
    scorer = TowerScorer(load_towers(scratch), content=content, ids=compute_id_rows(histories))
    catalogue_seconds = time.monotonic() - began
    _test(scorer, histories, block_users=block_users)
    began = time.monotonic()
    ranks, test = _test(scorer, histories, block_users=block_users)
    return Side(
        name="learn_towers",
        curve=tuple(clock.curve),
        test=test,
        test_users=len(ranks),
        test_seconds=time.monotonic() - began,
        catalogue_seconds=catalogue_seconds,
        peak_memory_bytes=read_peak_memory_bytes(),
        parameters=summary.parameters,
        settings=settings.model_dump(mode="json", include={"towers", "training", "evaluation"}) | {"seed": seed},
        versions={library: version(library) for library in ("learn-recsys", "torch", "numpy")},
    )


def _test(scorer: TowerScorer, histories: Histories, *, block_users: int) -> tuple[Ranks, dict[str, dict[str, float]]]:
    examples = histories.open_examples("test").keep_with_history()
    ranks = rank_targets(scorer, histories, examples, block_users=block_users)
    return ranks, {"masked": average_metrics(ranks.masked, (10,)), "unmasked": average_metrics(ranks.unmasked, (10,))}


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=Path, required=True, help="folder of the split data")
    parser.add_argument("--content", type=Path, required=True, help=".npy of the content vectors")
    parser.add_argument("--settings", type=Path, required=True, help="settings file, JSON")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the training, empty")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True, help="JSON file to write")
    return parser.parse_args()


def main() -> None:
    """Measure, and write the figures."""
    options = _parse_options()
    settings = Settings.model_validate_json(options.settings.read_text(encoding="utf-8"))
    side = measure_learn(
        Histories.open(options.histories),
        np.load(options.content, mmap_mode="r"),
        scratch=options.scratch,
        settings=settings,
        seed=options.seed,
    )
    side.write(options.result)


if __name__ == "__main__":
    main()
