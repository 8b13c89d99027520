"""Metaflow cards of the steps worth looking at, and the page that ties a run's reports together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure
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
    rows = [
        [
            table.name,
            f"{table.rows:,}",
            f"{table.valid:,}",
            f"{table.quarantined - table.followed:,} ({table.share:.2%})",
            f"{table.followed:,}",
        ]
        for table in tables
    ]
    # Cards show a cell's text as it is, so a title that holds markup stays harmless.
    examples = [
        [table.name, check.title, example.key, example.shown or "(empty)"]
        for table in tables
        for check in table.checks
        if check.severity == "error"
        for example in check.examples[:2]
    ]
    card.append(Markdown("# Data and quarantine"))
    card.append(Table(rows, headers=["table", "rows", "valid", "quarantined", "quarantined with their item"]))
    card.append(Image.from_matplotlib(pictures.quarantine(tables)))
    if examples:
        card.append(Markdown("## Examples"))
        card.append(Table(examples, headers=["table", "expected", "key", "found"]))


def show_training(card: Any, training: TrainingSummary) -> None:
    """Fill the card of the training step."""
    card.append(Markdown("# Towers"))
    card.append(Markdown(f"{_trained(training)} Weights: sha256 `{training.weights_sha256}`."))
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
    floor = settings.drift.min_effect
    text = template.render(
        result=result,
        test=result.metrics["test"],
        tables=tables,
        threshold=settings.validation.max_quarantined_share,
        trained=_trained(result.training),
        metrics={
            masking: _both(partial(pictures.metrics_with_intervals, result.metrics, masking=masking))
            for masking in ("masked", "unmasked")
        },
        slices=_both(partial(pictures.slices, result.metrics)),
        curve=_both(partial(pictures.training_curve, result.training)),
        quarantine=_both(partial(pictures.quarantine, tables)),
        drift=_both(partial(pictures.drift, result.drift, floor=floor)),
    )
    with storage_faults(page):
        page.parent.mkdir(parents=True, exist_ok=True)
        scratch = page.with_name(f"{page.name}.partial")
        try:
            scratch.write_text(text, encoding="utf-8")
            scratch.replace(page)
        finally:
            scratch.unlink(missing_ok=True)
    return page


def _trained(training: TrainingSummary) -> str:
    how = "taken from an earlier run over the same input" if training.reused else "trained in this run"
    return f"{training.parameters:,} parameters, {how}, epoch {training.chosen_epoch} of {len(training.curve)} kept."


def _both(draw: Callable[..., Figure]) -> dict[str, str]:
    # The page shows one of the two, by the width of the screen.
    return {"wide": pictures.svg(draw()), "narrow": pictures.svg(draw(narrow=True))}
