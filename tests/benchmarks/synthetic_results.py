"""Results of jobs that never ran, for the tests of what is made of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from benchmarks.quality.jobs import COLD, Job
from benchmarks.quality.results import Results
from learn.config.evaluation import EvaluationSettings

DIGESTS = {
    "scientific": "a" * 64,
    "games": "b" * 64,
    "online_retail": "c" * 64,
    "scientific_held_out": "a" * 64,
    "online_retail_unseen": "c" * 64,
}
BASELINES = EvaluationSettings().baselines
USERS = 400
COLD_USERS = 40
_METRICS = ("recall@10", "ndcg@10", "recall@50", "ndcg@50", "mrr")


def write_made_up_results(
    planned: Sequence[Job], results: Results, *, hits: float = 0.2, without: Sequence[str] = ()
) -> None:
    """Write a result for every job but those named.

    Args:
        planned: The jobs.
        results: Where to.
        hits: Share of users whose target the towers rank first, in float32 too; every other model hits half of them.
        without: Names of jobs that were not done.
    """
    for job in planned:
        if job.name not in without:
            record, ranks = _speed() if job.kind == "speed" else _model(job, hits)
            key = job.compute_key(DIGESTS[job.case])
            results.write(key, _common(job, key) | record, ranks)


def _common(job: Job, key: str) -> dict[str, Any]:
    return {
        "job": job.to_dict(),
        "name": job.name,
        "key": key,
        "inputs": job.list_inputs(DIGESTS[job.case]),
        "commit": "0123456789abcdef",
        "machine": {
            "processor": "made up",
            "cores": 2,
            "memory_gb": 8.0,
            "system": "none",
            "threads": 2,
            "bfloat16": True,
        },
        "peak_memory_bytes": 2_000_000_000,
        "finished": "2026-01-01T00:00:00+00:00",
    }


def _model(job: Job, hits: float) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    models = BASELINES if job.kind == "baselines" else ("towers",)
    shares = dict.fromkeys(models, hits if job.row in ("towers", "towers_float32") else hits / 2)
    shares["popularity"] = 0.0 if job.case in (*COLD, "online_retail") else hits / 10
    views = ("all", "among_unseen") if job.case in COLD else ("all",)
    ranks = {view: _ranks({model: shares[model] for model in models}, job) for view in views}
    validation = {model: {each: dict.fromkeys(_METRICS, 0.1) for each in ("masked", "unmasked")} for model in models}
    record: dict[str, Any] = {
        "metrics": {"validation": validation, "test": validation},
        "seconds": {"fit": 12.0, "evaluate": 3.0},
    }
    if job.kind == "baselines":
        record |= {"left_out": {}, "blend_weights": {"ease": 0.6, "transitions": 0.4}}
    else:
        record |= {"training_peak_memory_bytes": 1_000_000_000, "training": _training(job)}
    return record | ({"unseen_items": 50} if job.case in COLD else {}), ranks


def _training(job: Job) -> dict[str, Any]:
    loss = job.settings.training.loss
    sampled = job.case == "games" if loss == "auto" else loss == "sampled_softmax"
    curve = [{"epoch": epoch, "loss": 5.0, "validation_ndcg": 0.1, "seconds": 4.0} for epoch in (1, 2, 3)]
    return {
        "curve": curve,
        "chosen_epoch": 2,
        "parameters": 123_456,
        "loss": "sampled_softmax" if sampled else "full_softmax",
    }


def _ranks(shares: dict[str, float], job: Job) -> pl.DataFrame:
    users = np.arange(USERS)
    draw = np.random.default_rng(job.seed)
    frames = []
    for part in ("validation", "test"):
        for model, share in shares.items():
            ranks = np.where(draw.permutation(USERS) < share * USERS, 1.0, 1_000.0)
            columns = {"user": users, "target": users, "masked": ranks, "unmasked": ranks + 0.5}
            frame = pl.DataFrame(columns | _slices(job))
            frames.append(frame.select(pl.lit(part).alias("part"), pl.lit(model).alias("model"), pl.all()))
    return pl.concat(frames)


def _slices(job: Job) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    users = np.arange(USERS)
    cold = users < (USERS if job.case in COLD else COLD_USERS)
    tail = ~cold & (users < USERS // 2)
    none = np.zeros(USERS, dtype=np.bool_)
    named = {"cold_items": cold, "tail_items": tail, "head_items": ~cold & ~tail, "short_histories": users % 2 == 0}
    return named | {"new_users": none, "repeats": none}


def _speed() -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    side = {
        "test": {"unmasked": {"ndcg@10": 0.05}},
        "test_users": 1_000,
        "test_seconds": 0.5,
        "peak_memory_bytes": 900_000_000,
    }
    reached = {"epoch": 2, "elapsed_seconds": 20.0, "training_seconds": 15.0}
    speed = {
        "data_set": "scientific",
        "threads": 2,
        "recbole": side,
        "ours": side,
        "target_ndcg": 0.06,
        "recbole_reached": reached,
        "ours_reached": reached,
        "time_to_recbole_ratio": 0.25,
        "training_time_ratio": 0.2,
        "evaluation_rate_ratio": 8.0,
        "memory_ratio": 0.9,
        "content_encoding_seconds": 100.0,
    }
    return {"speed": speed, "seconds": {}}, {}
