"""Metaflow cards of the steps, and the page that links a run's reports."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from metaflow.cards import Image, Markdown, Table

from learn.config import Settings
from learn.data import ValidationSummary
from learn.model import TrainingSummary
from learn.monitoring import (
    Comparison,
    DriftSummary,
    EmbeddingMap,
    LiveFeedback,
    MonitorResult,
    Rate,
    Rates,
    TrendPoint,
)
from learn.report import drift_figures, evaluation_figures, run_figures
from learn.report.pages import draw_both_widths, write_page
from learn.report.results import AgainstProduction, RunResult


def show_validation(card: Any, summary: ValidationSummary) -> None:
    """Fill the card of the validation step."""
    tables = (summary.items, summary.interactions)
    rows = [
        [
            table.name,
            f"{table.rows:,}",
            f"{table.valid:,}",
            f"{table.quarantined - table.followed:,} ({table.own_share:.2%})",
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
    card.append(Image.from_matplotlib(run_figures.draw_quarantine(tables)))
    if examples:
        card.append(Markdown("## Examples"))
        card.append(Table(examples, headers=["table", "expected", "key", "found"]))


def show_training(card: Any, training: TrainingSummary) -> None:
    """Fill the card of the training step."""
    card.append(Markdown("# Towers"))
    card.append(Markdown(f"{_describe_training(training)} Weights: sha256 `{training.weights_sha256}`."))
    card.append(Image.from_matplotlib(run_figures.draw_training_curve(training)))


def show_evaluation(card: Any, metrics: dict[str, Any]) -> None:
    """Fill the card of the evaluation step."""
    card.append(Markdown("# Evaluation on test, with 95 % intervals"))
    production = AgainstProduction.from_metrics(metrics)
    if production is not None:
        card.append(Markdown(f"{production.sentence} {production.caveat}".rstrip()))
    for masking in ("masked", "unmasked"):
        card.append(Markdown(f"## History {masking}"))
        for draw in evaluation_figures.BY_MASKING:
            card.append(Image.from_matplotlib(draw(metrics, masking=masking)))
    card.append(Markdown("## The lists themselves"))
    card.append(Image.from_matplotlib(evaluation_figures.draw_lists(metrics)))


def show_drift(
    card: Any,
    summary: DriftSummary,
    *,
    settings: Settings,
    trend: Sequence[TrendPoint] = (),
    places: EmbeddingMap | None = None,
) -> None:
    """Fill the card of the drift step.

    Args:
        card: Metaflow's.
        summary: What the step found.
        settings: The floor of an effect.
        trend: Drift of the last runs, this one last; not shown for one alone.
        places: Where items and users are; None: they are not shown.
    """
    card.append(Markdown("# Drift"))
    card.append(Markdown(summary.sentence))
    card.append(Image.from_matplotlib(run_figures.draw_drift(summary, floor=settings.drift.min_effect)))
    show_trend(card, trend, settings=settings)
    if places is not None:
        card.append(Markdown("## Where items and users lie"))
        card.append(Image.from_matplotlib(drift_figures.draw_embedding_map(places)))


def show_trend(card: Any, trend: Sequence[TrendPoint], *, settings: Settings) -> None:
    """Show the drift of the last runs on a card; of a first run there is nothing to show."""
    if len(trend) > 1:
        card.append(Markdown(f"## The last {len(trend)} runs"))
        card.append(Image.from_matplotlib(drift_figures.draw_drift_trend(trend, floor=settings.drift.min_effect)))


def write_index(result: RunResult, page: Path, *, settings: Settings) -> Path:
    """Write the page that shows a run at a glance and links its reports; it needs no network.

    Raises:
        StorageError: The disk is full or not writable.
    """
    tables = (result.validation.items, result.validation.interactions)
    floor = settings.drift.min_effect
    return write_page(
        "index.html.jinja",
        page,
        result=result,
        test=result.metrics["test"],
        production=AgainstProduction.from_metrics(result.metrics),
        tables=tables,
        threshold=settings.validation.max_quarantined_share,
        trained=_describe_training(result.training),
        metrics={
            masking: draw_both_widths(partial(evaluation_figures.draw_metrics, result.metrics, masking=masking))
            for masking in ("masked", "unmasked")
        },
        slices=draw_both_widths(partial(evaluation_figures.draw_slices, result.metrics)),
        curve=draw_both_widths(partial(run_figures.draw_training_curve, result.training)),
        quarantine=draw_both_widths(partial(run_figures.draw_quarantine, tables)),
        drift=draw_both_widths(partial(run_figures.draw_drift, result.drift, floor=floor)),
    )


def _describe_training(training: TrainingSummary) -> str:
    how = "taken from an earlier run over the same input" if training.reused else "trained in this run"
    begun = f", begun from bundle {training.parent}" if training.parent else ""
    return f"{training.parameters:,} parameters, {how}{begun}, epoch {training.chosen_epoch} of {training.epochs} kept."


_MOST_REASONS = 12


def show_monitor(card: Any, watched: MonitorResult, *, settings: Settings, trend: Sequence[TrendPoint] = ()) -> None:
    """Fill the card of the monitor's step.

    Args:
        card: Metaflow's.
        watched: What the step found.
        settings: The floor of an effect.
        trend: Drift and verdicts of the last runs, this one last; not shown for one alone.
    """
    findings, verdict = watched.findings, watched.verdict
    traffic = findings.traffic
    card.append(Markdown(f"# Verdict: {verdict.level}"))
    # Cards show a cell's text as it is, so an item's name that holds markup stays harmless.
    reasons = [[reason.level, reason.said] for reason in verdict.reasons[:_MOST_REASONS]]
    card.append(Table(reasons, headers=["calls for", "reason"]))
    facts = [
        ["model", traffic.model_version],
        ["requests", f"{traffic.requests:,} ({traffic.compared:,} compared, one a user)"],
        ["window", " to ".join(f"{each:%Y-%m-%d %H:%M}" for each in (traffic.first, traffic.last) if each) or "-"],
        ["unknown items", f"{traffic.unknown_share:.2%}"],
    ]
    if traffic.kind == "log":
        facts.append(["damaged lines", f"{traffic.damaged:,} of {traffic.lines:,}"])
    card.append(Table(facts, headers=["traffic", traffic.name]))
    if any(column.effect is not None for column in findings.columns):
        card.append(Markdown("## Against the reference profile"))
        picture = run_figures.draw_live_drift(findings.columns, floor=settings.drift.min_effect)
        card.append(Image.from_matplotlib(picture))
    show_trend(card, trend, settings=settings)
    if findings.feedback is not None:
        _show_feedback(card, findings.feedback)


def _show_feedback(card: Any, feedback: LiveFeedback) -> None:
    card.append(Markdown("## What people made of the answers"))
    card.append(Image.from_matplotlib(run_figures.draw_live_days(feedback)))
    headers = ["model", f"hit rate@{feedback.k}", f"Recall@{feedback.k}", f"NDCG@{feedback.k}", "lists"]
    card.append(Table([_build_row(each) for each in feedback.by_version], headers=headers))
    for found in feedback.comparisons:
        card.append(Table(_read_out(found), headers=[f"{found.challenger} against {found.champion}", "found"]))


def _build_row(rates: Rates) -> list[Any]:
    shown = [_format_rate(each) for each in (rates.hit_rate, rates.recall, rates.ndcg)]
    return [rates.name, *shown, f"{rates.hit_rate.lists:,}" if rates.hit_rate else "0"]


def _read_out(found: Comparison) -> list[list[Any]]:
    ratio = "not tested" if found.ratio_p_value is None else f"p {found.ratio_p_value:.4f}"
    change = found.hit_rate
    return [
        ["difference of hit rates", f"{change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f})"],
        ["p, corrected", f"{found.p_adjusted:.4f}"],
        ["people split as planned", ratio],
    ]


def _format_rate(rate: Rate | None) -> str:
    return "" if rate is None else f"{rate.value:.4f} ({rate.low:.4f}–{rate.high:.4f})"
