"""An ablation as tables for people and figures for machines.

from learn.evaluation.ablation_tables import markdown, write_ablation
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from learn.data.staging import staged
from learn.evaluation.ablation import PART, ROWS, Ablation, row_settings
from learn.evaluation.evaluation import Masking
from learn.evaluation.metrics import Difference

FIGURES, PAGE = "ablation.json", "ablation.md"

_SHOWN = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10"}
_TITLES: dict[Masking, str] = {
    "unmasked": "History not masked (the paper's protocol)",
    "masked": "History masked (as it is served)",
}
# More digits would only record the order in which a processor adds.
_DIGITS = 6


def markdown(ablation: Ablation) -> str:
    """Return the tables: figures and differences under both protocols, and what was trained."""
    split = ablation.split
    parts = [
        "# Alignment ablation",
        f"{split.users:,} users, {split.items:,} items, {split.interactions:,} interactions; {split.described}. "
        f"Test: {split.test_examples:,} users, every item ranked, 95 % intervals over users, seed "
        f"{ablation.settings.seed}.",
    ]
    for masking, title in _TITLES.items():
        parts += [f"## {title}", _figures(ablation, masking), _steps(ablation, masking)]
    parts += ["## What was trained", _trainings(ablation), _remark(ablation)]
    return "\n\n".join(parts) + "\n"


def write_ablation(ablation: Ablation, folder: Path) -> None:
    """Write ``ablation.json`` and ``ablation.md``, whole or not at all; the same ablation gives the same bytes.

    Raises:
        StorageError: The disk is full or closed.
    """
    with staged(folder, names=(FIGURES, PAGE)) as stage:
        text = json.dumps(_plain(ablation), indent=1, sort_keys=True, allow_nan=False)
        (stage / FIGURES).write_text(text + "\n", encoding="utf-8")
        (stage / PAGE).write_text(markdown(ablation), encoding="utf-8")


def _figures(ablation: Ablation, masking: Masking) -> str:
    found = ablation.evaluation.parts[PART]
    lines = []
    for name, label in ROWS.items():
        cells = []
        for metric in _SHOWN:
            interval = found.intervals[name][masking][metric]
            cells.append(f"{found.metrics[name][masking][metric]:.4f} ({interval.low:.4f} to {interval.high:.4f})")
        lines.append([label, *cells])
    return _table(["test", *_SHOWN.values()], lines)


def _steps(ablation: Ablation, masking: Masking) -> str:
    lines = []
    for (before, after), found in ablation.differences.items():
        cells = [cell for metric in _SHOWN for cell in _difference(found[masking][metric])]
        lines.append([f"{_short(before)} → {_short(after)}", *cells])
    return _table(["paired", *(head for name in _SHOWN.values() for head in (name, "p"))], lines)


def _difference(found: Difference) -> tuple[str, str]:
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})", f"{found.p_value:.3f}"


def _trainings(ablation: Ablation) -> str:
    lines = []
    for name, training in ablation.trainings.items():
        lines.append(
            [
                ROWS[name],
                f"`{row_settings(name, ablation.settings).training.loss}`",
                f"{training.chosen_epoch} of {training.epochs}",
                f"{training.validation_ndcg:.4f}",
                _chosen_by(ablation, name),
                f"{training.parameters:,}",
            ]
        )
    return _table(["row", "loss", "epoch kept", "validation NDCG@10", "history", "trained numbers"], lines)


def _remark(ablation: Ablation) -> str:
    towers, training = ablation.settings.towers, ablation.settings.training
    blocks = f"{towers.blocks} block{'s' if towers.blocks > 1 else ''}"
    return (
        "LEARN is a shared tower: (a) under the paper's dense loss, (b) under a softmax as in its Amazon code. The "
        f"paper's rows have towers of width {towers.dimension} and {blocks}, learning rate {training.learning_rate:g} "
        f"and at most {training.epochs} epochs. Each row's epoch is chosen on validation as the row is trained, with "
        "the history masked or in the ranking (`training.mask_seen`); under the other protocol it is judged, but was "
        "not chosen for it."
    )


def _chosen_by(ablation: Ablation, name: str) -> Masking:
    return "masked" if row_settings(name, ablation.settings).training.mask_seen else "unmasked"


def _short(name: str) -> str:
    label = ROWS[name]
    return label[:3] if label.startswith("(") else name


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns stand under each other, so that a terminal shows it well."""
    rows = [list(heads), *(list(line) for line in lines)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def _plain(ablation: Ablation) -> dict[str, Any]:
    """Return what ``ablation.json`` holds: laid out as ``metrics.json``, with the rows for models."""
    found = ablation.evaluation.to_dict()
    # None stands beside them.
    del found["production"]
    gaps: dict[str, dict[str, Any]] = {}
    for (before, after), each in ablation.differences.items():
        gaps.setdefault(after, {})[before] = {
            masking: {
                metric: {key: round(value, _DIGITS) for key, value in asdict(gap).items()}
                for metric, gap in metrics.items()
            }
            for masking, metrics in each.items()
        }
    data = asdict(ablation.split)
    del data["folder"]
    return found | {
        "differences": {PART: gaps},
        "data": data,
        "seed": ablation.settings.seed,
        "rows": {name: _row(ablation, name) for name in ROWS},
    }


def _row(ablation: Ablation, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"label": ROWS[name]}
    if name not in ablation.trainings:
        return row
    training, settings = ablation.trainings[name], row_settings(name, ablation.settings)
    return row | {
        "chosen_epoch": training.chosen_epoch,
        "epochs": training.epochs,
        "validation_ndcg": round(training.validation_ndcg, _DIGITS),
        "chosen_by": _chosen_by(ablation, name),
        "parameters": training.parameters,
        "weights_sha256": training.weights_sha256,
        "towers": settings.towers.model_dump(mode="json"),
        "training": settings.training.model_dump(mode="json"),
    }
