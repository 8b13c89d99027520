"""Metaflow cards of the steps worth looking at, and the page that ties a run's reports together."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from metaflow.cards import Image, Markdown, Table

from learn import pictures
from learn.alignment.summary import TrainingSummary
from learn.config import Settings
from learn.data.validation_summary import ValidationSummary
from learn.errors import storage_faults
from learn.monitoring.summary import DriftSummary
from learn.results import RunResult


def show_validation(card: Any, summary: ValidationSummary) -> None:
    """Fill the card of the validation step."""
    tables = (summary.items, summary.interactions)
    rows = [[table.name, table.rows, table.valid, table.quarantined, f"{table.share:.2%}"] for table in tables]
    examples = [
        [table.name, check.title, example.key, example.shown]
        for table in tables
        for check in table.checks
        if check.severity == "error"
        for example in check.examples[:2]
    ]
    card.append(Markdown("# Data and quarantine"))
    card.append(Table(rows, headers=["table", "rows", "valid", "quarantined", "share against the threshold"]))
    card.append(Image.from_matplotlib(pictures.quarantine(tables)))
    if examples:
        card.append(Markdown("## Examples"))
        card.append(Table(_cells(examples), headers=["table", "expected", "key", "found"]))


def show_training(card: Any, training: TrainingSummary) -> None:
    """Fill the card of the training step."""
    taken = " (taken from an earlier run over the same input)" if training.reused else ""
    card.append(Markdown(f"# Towers\n{training.parameters:,} parameters, weights `{training.weights_sha256}`{taken}"))
    card.append(Image.from_matplotlib(pictures.training_curve(training)))


def show_evaluation(card: Any, metrics: dict[str, Any]) -> None:
    """Fill the card of the evaluation step."""
    card.append(Markdown("# Metrics on test, with 95 % intervals"))
    for masking in ("masked", "unmasked"):
        card.append(Image.from_matplotlib(pictures.metrics_with_intervals(metrics, masking=masking)))
    card.append(Image.from_matplotlib(pictures.slices(metrics)))


def show_drift(card: Any, summary: DriftSummary, *, settings: Settings) -> None:
    """Fill the card of the drift step."""
    card.append(Markdown("# Drift"))
    card.append(Markdown(summary.sentence))
    card.append(Image.from_matplotlib(pictures.drift(summary, floor=settings.drift.min_effect)))


def write_index(result: RunResult, page: Path, *, settings: Settings) -> Path:
    """Write the page that shows a run at a glance and links its reports; it needs no network.

    Raises:
        StorageError: The disk is full or closed.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("learn") / "index.html.jinja").read_text(encoding="utf-8"))
    tables = (result.validation.items, result.validation.interactions)
    text = template.render(
        result=result,
        test=result.metrics["test"],
        tables=tables,
        curve=pictures.svg(pictures.training_curve(result.training)),
        figures={
            masking: pictures.svg(pictures.metrics_with_intervals(result.metrics, masking=masking))
            for masking in ("masked", "unmasked")
        },
        slices=pictures.svg(pictures.slices(result.metrics)),
        quarantine=pictures.svg(pictures.quarantine(tables)),
        drift=pictures.svg(pictures.drift(result.drift, floor=settings.drift.min_effect)),
    )
    with storage_faults(page):
        page.parent.mkdir(parents=True, exist_ok=True)
        scratch = page.with_name(f"{page.name}.partial")
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(page)
    return page


def _cells(rows: list[list[str]]) -> list[list[str]]:
    # Cards render a cell's text as Markdown, and these texts are the data's: nothing in them may become markup.
    escaped = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>#|!"})
    return [[cell.translate(escaped) for cell in row] for row in rows]
