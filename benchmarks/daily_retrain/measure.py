"""Each day a fresh training and a warm one, the warm one from the warm one of the day before."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.daily_retrain.days import Shop, build_histories_until
from benchmarks.daily_retrain.records import Morning, Setup, Training
from learn.config import Settings
from learn.data import Histories
from learn.evaluation import Masking, evaluate_models, make_validation_measure, tune_channels
from learn.model import TowerScorer, TrainingSummary, WarmStart, compute_id_rows, load_towers, train_towers


def iterate_mornings(shop: Shop, setup: Setup, *, seed: int, workspace: Path) -> Iterator[Morning]:
    """Yield day after day; each shifts the cuts of the split by as many days as are between two retrainings.

    Args:
        shop: The data set.
        setup: What is requested; of the settings ``split``, ``towers``, ``training`` and ``evaluation`` are read.
        seed: Of every training.
        workspace: Folder for histories and weights; nothing in it is read by a later call.
    """
    start: WarmStart | None = None
    settings = Settings.from_toml(setup.settings)
    for day in range(setup.days + 1):
        folder = workspace / f"day-{day}"
        shutil.rmtree(folder, ignore_errors=True)
        histories = build_histories_until(
            shop,
            folder,
            days_before_end=(setup.days - day) * setup.every,
            window_days=setup.window_days,
            settings=settings,
        )
        fresh, weights = _train(shop, histories, folder / "fresh", settings=settings, seed=seed)
        if start is not None:
            chosen = settings.override(training__patience=setup.warm_patience)
            warm, weights = _train(shop, histories, folder / "warm", settings=chosen, seed=seed, start=start)
            yield Morning(day=day, seed=seed, fresh=fresh, warm=warm)
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
        measure=make_validation_measure(histories, settings=settings.evaluation, masked=masked),
        tune=tune_channels(histories, settings=settings.evaluation, masked=masked, seed=seed),
        start=start,
        say=say,
    )
    stamps = clock[-len(summary.curve) - 1 :]
    scorer = TowerScorer(load_towers(folder), content=shop.content, ids=compute_id_rows(histories))
    found = evaluate_models([scorer], histories, parts=("test",), settings=settings.evaluation, seed=0)
    masking: Masking = "masked" if masked else "unmasked"
    training = Training(
        epochs=tuple(record.epoch for record in summary.curve),
        ndcg=tuple(record.validation_ndcg for record in summary.curve),
        cpu_seconds=tuple(stamp - stamps[0] for stamp in stamps[1:]),
        chosen=summary.chosen_epoch,
        recall10=found.find_figure("test", "towers", masking, "recall@10"),
        ndcg10=found.find_figure("test", "towers", masking, "ndcg@10"),
    )
    return training, summary


def _start(histories: Histories, weights: TrainingSummary, *, day: int) -> WarmStart:
    rows = {
        item: int(row) for item, row in zip(histories.item_ids, compute_id_rows(histories), strict=True) if row >= 0
    }
    return WarmStart(f"day {day}", load_towers(weights.folder), weights.weights_sha256, rows, weights.temperature)
