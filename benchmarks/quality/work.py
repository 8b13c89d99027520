"""Doing one job: fit, measure, write the result. Runs in its own process, for its memory's sake."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import torch
from pydantic import TypeAdapter

from benchmarks.harness.provenance import describe_machine, read_commit, read_peak_memory_bytes
from benchmarks.quality.cases import CASES, prepare_case
from benchmarks.quality.cold_items import AmongItems, find_unseen_items
from benchmarks.quality.datasets import Prepared
from benchmarks.quality.jobs import Job, compute_digests
from benchmarks.quality.results import Results
from benchmarks.recbole.side_by_side import run_side_by_side
from learn.config import EvaluationSettings
from learn.data import Histories, Part
from learn.errors import LearnError
from learn.evaluation import Blend, Evaluation, Scorer, evaluate_models, fit_baselines, mark_slices, train_selected
from learn.model import (
    RunInputs,
    TowerScorer,
    TrainingSummary,
    compute_id_rows,
    computes_in_bfloat16,
    load_towers,
)

_PARTS: tuple[Part, ...] = ("validation", "test")
# Of the resamples and of the draw of lists: the same for every model.
_RESAMPLING_SEED = 0
_MODELS_OF_COLD_ITEMS = ("popularity", "content_neighbours", "tfidf_neighbours")


def do(job: Job, *, data: Path, workspace: Path) -> None:
    """Do a job, unless its result is there; wait while another process is at it.

    Args:
        job: Which one.
        data: Folder of the public data sets.
        workspace: Folder of the benchmark.

    Raises:
        LearnError: It cannot be done.
    """
    results = Results(workspace)
    digest = compute_digests([job], data=data)[job.case]
    key = job.compute_key(digest)
    with results.lock(key):
        if results.has(key):
            return
        code = read_commit()
        found, ranks = _KINDS[job.kind](job, data, workspace, results.find_training(key))
        record = {
            "job": job.to_dict(),
            "name": job.name,
            "key": key,
            "inputs": job.list_inputs(digest),
            "commit": code,
            "machine": describe_machine() | {"threads": torch.get_num_threads(), "bfloat16": _is_bfloat16()},
            "peak_memory_bytes": read_peak_memory_bytes(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        results.write(key, record | found, ranks)


Found = tuple[dict[str, Any], dict[str, pl.DataFrame]]


def _measure_baselines(job: Job, data: Path, workspace: Path, _: Path) -> Found:
    prepared = prepare_case(CASES[job.case], data=data, workspace=workspace, content=job.settings.content)
    cold = CASES[job.case].cold
    settings = job.settings.evaluation
    if cold:
        # The others only know items by their interactions, so they cannot score one without any.
        settings = settings.model_copy(update={"baselines": _MODELS_OF_COLD_ITEMS})
    began = time.monotonic()
    fitted = fit_baselines(
        prepared.histories, titles=prepared.titles, content=prepared.content, settings=settings, seed=job.seed
    )
    seconds = time.monotonic() - began
    found, ranks = _measure_models(fitted.scorers, prepared, settings, cold=cold)
    blends = [scorer for scorer in fitted.scorers if isinstance(scorer, Blend)]
    weights = {part.name: weight for blend in blends for part, weight in _list_weighed(blend)}
    found["seconds"]["fit"] = seconds
    return found | {"left_out": fitted.left_out, "blend_weights": weights}, ranks


def _list_weighed(blend: Blend) -> list[tuple[Scorer, float]]:
    return list(zip(blend.scorers, blend.weights, strict=True))


def _measure_towers(job: Job, data: Path, workspace: Path, folder: Path) -> Found:
    prepared = prepare_case(CASES[job.case], data=data, workspace=workspace, content=job.settings.content)
    histories = prepared.histories
    settings = job.settings.model_copy(update={"workspace": folder, "seed": job.seed})
    training = train_selected(RunInputs(settings, histories.folder, histories.folder, prepared.content_path))
    memory = read_peak_memory_bytes()
    scorer = TowerScorer(load_towers(training.folder), content=prepared.content, ids=compute_id_rows(histories))
    cold = CASES[job.case].cold
    found, ranks = _measure_models([scorer], prepared, settings.evaluation, cold=cold)
    # Of all epochs, also of those before a kill.
    found["seconds"]["fit"] = sum(epoch.seconds for epoch in training.curve)
    trained = TypeAdapter(TrainingSummary).dump_python(training, mode="json", exclude={"folder"})
    trained["loss"] = settings.training.choose_loss(int((histories.count_popularity() > 0).sum()))
    return found | {"training": trained, "training_peak_memory_bytes": memory}, ranks


def _measure_models(
    scorers: Sequence[Scorer], prepared: Prepared, settings: EvaluationSettings, *, cold: bool
) -> Found:
    histories, content = prepared.histories, prepared.content
    began = time.monotonic()
    evaluation = evaluate_models(scorers, histories, settings=settings, seed=_RESAMPLING_SEED, content=content)
    found: dict[str, Any] = {"metrics": evaluation.to_dict(), "seconds": {"evaluate": time.monotonic() - began}}
    ranks = {"all": _collect_ranks(evaluation, histories, settings)}
    if cold:
        items = torch.from_numpy(find_unseen_items(histories.folder))
        among = [AmongItems(scorer, items) for scorer in scorers]
        second = evaluate_models(among, histories, parts=("test",), settings=settings, seed=_RESAMPLING_SEED)
        found |= {"unseen_items": len(items), "metrics_among_unseen": second.to_dict()}
        ranks["among_unseen"] = _collect_ranks(second, histories, settings)
    return found, ranks


def _collect_ranks(evaluation: Evaluation, histories: Histories, settings: EvaluationSettings) -> pl.DataFrame:
    frames = []
    for part, each in evaluation.parts.items():
        slices = mark_slices(histories, histories.open_examples(part), settings=settings)
        slices["head_items"] = ~slices["cold_items"] & ~slices["tail_items"]
        for model, ranks in each.ranks.items():
            columns = {"user": each.users, "target": each.targets, "masked": ranks.masked, "unmasked": ranks.unmasked}
            frame = pl.DataFrame(columns | slices)
            frames.append(frame.select(pl.lit(part).alias("part"), pl.lit(model).alias("model"), pl.all()))
    return pl.concat(frames)


def _measure_speed(job: Job, data: Path, workspace: Path, _: Path) -> Found:
    prepared = prepare_case(CASES[job.case], data=data, workspace=workspace, content=job.settings.content)
    record = run_side_by_side(
        prepared,
        workspace=workspace,
        settings=job.settings,
        threads=torch.get_num_threads(),
        seed=job.seed,
        encode=True,
        say=_say,
    )
    return {"speed": asdict(record), "seconds": {}}, {}


_KINDS: dict[str, Callable[[Job, Path, Path, Path], Found]] = {
    "baselines": _measure_baselines,
    "towers": _measure_towers,
    "speed": _measure_speed,
}


def _is_bfloat16() -> bool:
    # Processors of one name differ in it, and the towers' `precision = "auto"` goes by it.
    return computes_in_bfloat16(torch.device("cpu"))


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def main() -> int:
    """Do the job that standard input describes."""
    order = json.load(sys.stdin)
    try:
        do(Job.from_dict(order["job"]), data=Path(order["data"]), workspace=Path(order["workspace"]))
    except LearnError as error:
        print(f"{error.headline}\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
