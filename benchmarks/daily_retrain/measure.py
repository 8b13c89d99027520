"""Each day a fresh training and a warm one, the warm one from the warm one of the day before."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.daily_retrain.days import Shop, histories_until
from learn.alignment.scoring import TowerScorer, id_rows
from learn.alignment.summary import TrainingSummary
from learn.alignment.training import train_towers
from learn.alignment.warm_start import WarmStart
from learn.alignment.weights import load_towers
from learn.config import Settings
from learn.data.histories import Histories
from learn.evaluation.channel_weights import tune_channels
from learn.evaluation.evaluate import evaluate
from learn.evaluation.evaluation import Masking
from learn.evaluation.selection import validation_ndcg


@dataclass(frozen=True)
class Training:
    """One training, with the processor time it took: other work on the machine does not count.

    Attributes:
        epochs: Number of each epoch; a warm training begins with 0.
        ndcg: NDCG@10 on validation after each.
        cpu_seconds: Processor time from the first step to the end of each epoch, measuring included.
        chosen: Epoch that was kept.
        recall10: Recall@10 of the chosen epoch on test.
        ndcg10: NDCG@10 of the chosen epoch on test.
    """

    epochs: tuple[int, ...]
    ndcg: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    chosen: int
    recall10: float
    ndcg10: float

    @property
    def best(self) -> float:
        """NDCG@10 on validation of the chosen epoch."""
        return self.ndcg[self.epochs.index(self.chosen)]

    def seconds_to(self, ndcg: float) -> float | None:
        """Return the processor time until an epoch was at least that good; None where none was."""
        return next((at for at, reached in zip(self.cpu_seconds, self.ndcg, strict=True) if reached >= ndcg), None)


@dataclass(frozen=True)
class Morning:
    """What one day gave under one seed.

    Attributes:
        day: Counted from 1; day 0 is the first training, which both sides share.
        seed: Of both trainings.
        fresh: From random weights.
        warm: From the warm weights of the day before.
    """

    day: int
    seed: int
    fresh: Training
    warm: Training

    @property
    def seconds_to_fresh(self) -> float | None:
        """Processor time of the warm training until it was as good on validation as the fresh one at its best."""
        return self.warm.seconds_to(self.fresh.best)


def mornings(
    shop: Shop, *, days: int, every: float, window_days: float, seed: int, settings: Settings, workspace: Path
) -> Iterator[Morning]:
    """Yield day after day; each shifts the cuts of the split by ``every`` days.

    Args:
        shop: The data set.
        days: Retrainings.
        every: Days between two of them.
        window_days: How far back the shop keeps its interactions; 0: all.
        seed: Of every training.
        settings: Sections ``split``, ``towers``, ``training`` and ``evaluation`` are read.
        workspace: Folder for histories and weights; nothing in it is read by a later call.
    """
    start: WarmStart | None = None
    for day in range(days + 1):
        folder = workspace / f"day-{day}"
        shutil.rmtree(folder, ignore_errors=True)
        histories = histories_until(
            shop, folder, days_before_end=(days - day) * every, window_days=window_days, settings=settings
        )
        fresh, weights = _train(shop, histories, folder / "fresh", settings=settings, seed=seed)
        if start is not None:
            warm, weights = _train(shop, histories, folder / "warm", settings=settings, seed=seed, start=start)
            yield Morning(day, seed, fresh, warm)
        start = _start(histories, weights, day=day)


def _train(
    shop: Shop,
    histories: Histories,
    folder: Path,
    *,
    settings: Settings,
    seed: int,
    start: WarmStart | None = None,
) -> tuple[Training, TrainingSummary]:
    masked = settings.training.mask_seen
    clock = [0.0]

    def say(line: str) -> None:
        print(f"{folder.parent.name} {folder.name}, seed {seed}: {line}", flush=True)
        clock.append(time.process_time())

    summary = train_towers(
        histories,
        shop.content,
        destination=folder,
        settings=settings,
        seed=seed,
        measure=validation_ndcg(histories, settings=settings.evaluation, masked=masked),
        tune=tune_channels(histories, settings=settings.evaluation, masked=masked, seed=seed),
        start=start,
        say=say,
    )
    stamps = clock[-len(summary.curve) - 1 :]
    scorer = TowerScorer(load_towers(folder), content=shop.content, ids=id_rows(histories))
    found = evaluate([scorer], histories, parts=("test",), settings=settings.evaluation, seed=0)
    masking: Masking = "masked" if masked else "unmasked"
    training = Training(
        epochs=tuple(record.epoch for record in summary.curve),
        ndcg=tuple(record.validation_ndcg for record in summary.curve),
        cpu_seconds=tuple(stamp - stamps[0] for stamp in stamps[1:]),
        chosen=summary.chosen_epoch,
        recall10=found.figure("test", "towers", masking, "recall@10"),
        ndcg10=found.figure("test", "towers", masking, "ndcg@10"),
    )
    return training, summary


def _start(histories: Histories, weights: TrainingSummary, *, day: int) -> WarmStart:
    rows = {item: int(row) for item, row in zip(histories.item_ids, id_rows(histories), strict=True) if row >= 0}
    return WarmStart(f"day {day}", load_towers(weights.folder), weights.weights_sha256, rows, weights.temperature)
