"""The Metaflow card of the monitor: verdict, reasons, drift, and what people made of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metaflow.cards import Image, Markdown, Table

from learn import monitor_pictures
from learn.cards import show_trend
from learn.config import Settings
from learn.monitoring.feedback import Comparison, LiveFeedback, Rates
from learn.monitoring.ratios import Rate
from learn.monitoring.trend import TrendPoint
from learn.monitoring.watched import Watched

_MOST_REASONS = 12


def show_monitor(card: Any, watched: Watched, *, settings: Settings, trend: Sequence[TrendPoint] = ()) -> None:
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
        picture = monitor_pictures.live_drift(findings.columns, floor=settings.drift.min_effect)
        card.append(Image.from_matplotlib(picture))
    show_trend(card, trend, settings=settings)
    if findings.feedback is not None:
        _show_feedback(card, findings.feedback)


def _show_feedback(card: Any, feedback: LiveFeedback) -> None:
    card.append(Markdown("## What people made of the answers"))
    card.append(Image.from_matplotlib(monitor_pictures.live_days(feedback)))
    headers = ["model", f"hit rate@{feedback.k}", f"Recall@{feedback.k}", f"NDCG@{feedback.k}", "lists"]
    card.append(Table([_row(each) for each in feedback.by_version], headers=headers))
    for found in feedback.comparisons:
        card.append(Table(_read_out(found), headers=[f"{found.challenger} against {found.champion}", "found"]))


def _row(rates: Rates) -> list[Any]:
    shown = [_shown(each) for each in (rates.hit_rate, rates.recall, rates.ndcg)]
    return [rates.name, *shown, f"{rates.hit_rate.lists:,}" if rates.hit_rate else "0"]


def _read_out(found: Comparison) -> list[list[Any]]:
    ratio = "not tested" if found.ratio_p_value is None else f"p {found.ratio_p_value:.4f}"
    change = found.hit_rate
    return [
        ["difference of hit rates", f"{change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f})"],
        ["p, corrected", f"{found.p_adjusted:.4f}"],
        ["people split as planned", ratio],
    ]


def _shown(rate: Rate | None) -> str:
    return "" if rate is None else f"{rate.value:.4f} ({rate.low:.4f}–{rate.high:.4f})"
