"""The result of a run that never was, for the tests of what is made of results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from learn.content.extraction import ContentSummary
from learn.content.fingerprint import EncoderFingerprint
from learn.data.splits import SplitSummary
from learn.data.validation.summary import CheckSummary, Example, TableSummary, ValidationSummary
from learn.data.versions.snapshot import DataVersion
from learn.evaluation.gate import Decision, Rule
from learn.model.summary import EpochRecord, TrainingSummary
from learn.monitoring.embedding_map import EmbeddingMap
from learn.monitoring.summary import ColumnDrift, DriftSummary, TrendPoint
from learn.registry.summary import Promotion, ReleaseSummary
from learn.report.results import RunResult

MODELS = {
    "towers": 0.2,
    "production": 0.18,
    "popularity": 0.05,
    "content_neighbours": 0.1,
    "tfidf_neighbours": 0.15,
    "ease": 0.19,
}
METRICS = ("recall@10", "recall@50", "ndcg@10", "ndcg@50")
SLICES = {"cold_items": 7, "tail_items": 100, "new_users": 0, "short_histories": 1}
_MASKINGS = ("masked", "unmasked")
_PARTS = ("validation", "test")


def made_up_result(*, folder: Path, name: str = "folder newer", example: str = "?") -> RunResult:
    """A run whose names and examples a test can spoil."""
    return RunResult(
        run_id="17",
        version=_version(folder),
        validation=_validation(folder, example=example),
        split=SplitSummary(
            folder, "by_date", "training before 2025-10-01, test from there on", 300, 90, 2_000, 1_800, 100, 100
        ),
        content=_content(folder),
        training=made_up_training(folder),
        metrics=made_up_metrics(),
        drift=made_up_drift(folder, name=name),
        decision=Decision.from_rules(
            (
                Rule("baseline_content_neighbours", True, "NDCG@10 is not below."),
                Rule("baseline_popularity", False, "NDCG@10 0.1 is below popularity's 0.2."),
            )
        ),
        release=ReleaseSummary(
            folder, "v1", "ab" * 32, "learn_user_tower:v1", "learn_user_tower:x", "serve it", 100, 98, 2, 4_096, 1.5
        ),
        promotion=Promotion("never", promoted=False, before=None, said="Nothing is promoted."),
    )


def made_up_metrics(*, production: bool = True, caveat: str = "") -> dict[str, Any]:
    """As ``metrics.json`` is laid out; one slice is empty."""
    models = {model: at for model, at in MODELS.items() if production or model != "production"}
    figures = {model: {masking: dict.fromkeys(METRICS, at) for masking in _MASKINGS} for model, at in models.items()}
    intervals = {
        model: {masking: {metric: [0.9 * at, 1.1 * at] for metric in METRICS} for masking in _MASKINGS}
        for model, at in models.items()
    }
    gaps = {
        model: {masking: dict.fromkeys(METRICS, _gap(models["towers"] - at)) for masking in _MASKINGS}
        for model, at in models.items()
        if model != "towers"
    }
    curves = {model: {masking: [at / 10, at, 2 * at] for masking in _MASKINGS} for model, at in models.items()}
    slices = {
        name: {"count": count, "metrics": figures, "intervals": intervals} for name, count in SLICES.items() if count
    } | {name: {"count": 0, "metrics": {}, "intervals": {}} for name, count in SLICES.items() if not count}
    return {
        **dict.fromkeys(_PARTS, figures),
        "intervals": dict.fromkeys(_PARTS, intervals),
        "slices": dict.fromkeys(_PARTS, slices),
        "examples": dict.fromkeys(_PARTS, 108),
        "differences": {part: {"towers": gaps} for part in _PARTS},
        "recall_curves": {"cutoffs": [1, 10, 100], **dict.fromkeys(_PARTS, curves)},
        "beyond_accuracy": {part: {model: _lists(model, at) for model, at in models.items()} for part in _PARTS},
        "production": {"version": "0123456789abcdef", "known_items": 80, "caveat": caveat} if production else None,
    }


def _gap(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "p_value": 0.001}


def _lists(model: str, at: float) -> dict[str, Any]:
    """A model of nothing but new items has no popularity, and one without vectors no diversity."""
    return {
        "lists": 50,
        "length": 10,
        "filled": 1.0,
        "coverage": at,
        "concentration": 0.9,
        "popularity_lift": {"popularity": 12.5, "content_neighbours": -1.0, "ease": None}.get(model, 1 - at),
        "tail_share": at / 2,
        "diversity": None if model == "ease" else 1 - at,
    }


def made_up_training(folder: Path, *, epochs: int = 3, reused: bool = False) -> TrainingSummary:
    """A curve that is best in its middle."""
    curve = tuple(EpochRecord(n, 5.0 / n, 0.2 - abs(n - (epochs + 1) // 2) / 100, 1.0) for n in range(1, epochs + 1))
    best = max(curve, key=lambda record: record.validation_ndcg)
    return TrainingSummary(folder, "ab" * 32, 123_456, curve, best.epoch, best.validation_ndcg, reused)


def made_up_table(name: str, *, failing: int = 3, example: str = "?") -> TableSummary:
    """Two checks: an error that found some rows, and a warning that found one."""
    examples = tuple(Example(row, f"i{row}", example) for row in range(min(failing, 3)))
    checks = (
        CheckSummary("title_placeholder", "Title is a name", "error", not failing, failing, failing / 100, examples),
        CheckSummary("duplicate_text", "Text is its own", "warning", not failing, failing, failing / 100, examples),
    )
    return TableSummary(name, 100, 100 - failing, failing, 0, failing / 100, checks)


def made_up_drift(folder: Path, *, name: str = "newest window") -> DriftSummary:
    """One column has drifted, one has not, one was not tested."""
    columns = (
        _column("title_words", effect=0.3, drifted=True),
        _column("category", effect=0.02, drifted=False),
        ColumnDrift("price", "number", "absent", "", None, None, None, False, "no such column", 0, 0),
    )
    return DriftSummary(True, 0.5, columns, "training window", name, 1_800, 200, folder / "drift.html")


def _column(name: str, *, effect: float, drifted: bool) -> ColumnDrift:
    return ColumnDrift(name, "text", "tested", "permutation", effect, 0.001, 0.002, drifted, "", 1_800, 200)


def _version(folder: Path) -> DataVersion:
    data = folder / "data"
    return DataVersion("0123abcd" * 4 + ".dir", data, str(data), 1_234_567, 2, None, False, None, folder / "data.dvc")


def _validation(folder: Path, *, example: str) -> ValidationSummary:
    tables = (made_up_table("items", example=example), made_up_table("interactions", failing=0))
    return ValidationSummary(folder, folder / "v.html", folder / "q.parquet", *tables, "seconds", "Latin")


def _content(folder: Path) -> ContentSummary:
    fingerprint = EncoderFingerprint("all-MiniLM-L6-v2", "0.1.0", "cd" * 32, "mean", 256, "float32", "1")
    return ContentSummary(folder / "vectors.npy", 97, 90, 7, 384, fingerprint, str(folder / "store"), 12.5, 4_321)


def made_up_trend(*, runs: int = 8, verdict: str = "watch") -> list[TrendPoint]:
    """A column that slides, one that stays, one that comes later."""
    begin = datetime(2026, 1, 1, 6, tzinfo=UTC)
    return [
        TrendPoint(
            run_id=str(run),
            moment=begin + timedelta(days=run),
            effects={"item_popularity": 0.03 * run, "title_words": 0.02} | ({"price": 0.15} if run > 3 else {}),
            drifted=frozenset({"item_popularity"} if run > 3 else ()),
            verdict=verdict,
        )
        for run in range(runs)
    ]


def made_up_map() -> EmbeddingMap:
    """Three categories apart from each other, one of them with a spiteful name."""
    rng = np.random.default_rng(0)
    labels = tuple(np.repeat(["Toys", "<b>$5$ & less", "other"], 30))
    centres = np.repeat([[0.0, 2.0], [2.0, 0.0], [-1.0, -1.0]], 30, axis=0)
    items = (centres + rng.normal(0, 0.4, (90, 2))).astype(np.float32)
    return EmbeddingMap(items, labels, rng.normal(0, 1, (60, 2)).astype(np.float32), (0.31, 0.12))
