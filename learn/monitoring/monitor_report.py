"""The monitor's page: Evidently's report with the verdict before the columns and the feedback after them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from learn.config import DriftSettings, MonitoringSettings
from learn.monitoring.evidently import (
    BaseWidgetInfo,
    CorrectedDrift,
    CounterData,
    FamilyOfTests,
    WidgetSize,
    counter,
    plotly_data,
    run_report,
    table_data,
)
from learn.monitoring.feedback import Comparison, LiveFeedback, Rate, Rates
from learn.monitoring.samples import ColumnSample
from learn.monitoring.summary import ColumnDrift
from learn.monitoring.verdict import Findings, decide

_FINDINGS: TypeAdapter[Findings] = TypeAdapter(Findings)
_MOST_DAYS = 60
"""Two months; the page must stay small however long the log is."""

_COLOURS = {"hit_rate": "#2563eb", "ndcg": "#b45309"}
_BAND_OPACITY = 0.12


class LiveTraffic(CorrectedDrift):
    """Live traffic against the reference profile, judged by the monitor's rules."""

    findings: str
    rules: str


class LiveTrafficCalculation(FamilyOfTests[LiveTraffic]):
    """Tests the columns like any drift report, and draws the verdict and the feedback around them."""

    def build_widgets(
        self, columns: Sequence[ColumnDrift], samples: Sequence[ColumnSample], settings: DriftSettings
    ) -> list[BaseWidgetInfo]:
        """Draw the whole page."""
        findings = dataclasses.replace(_FINDINGS.validate_json(self.metric.findings), columns=tuple(columns))
        rules = MonitoringSettings.model_validate_json(self.metric.rules)
        drawn = super().build_widgets(columns, samples, settings) if columns else []
        return [*_build_verdict_widgets(findings, rules), *drawn, *_build_feedback_widgets(findings.feedback)]

    def display_name(self) -> str:
        """Name the metric in Evidently's lists."""
        return "Live traffic against the reference profile"


def run_monitor_report(
    findings: Findings,
    samples: Sequence[ColumnSample],
    *,
    settings: DriftSettings,
    rules: MonitoringSettings,
    seed: int,
) -> tuple[Findings, str]:
    """Test the columns and make the page.

    Args:
        findings: What is known so far: traffic and feedback.
        samples: The columns.
        settings: How columns are tested.
        rules: How findings are judged.
        seed: Of the permutations.

    Returns:
        The findings with the columns in them, and the page: one HTML file that loads nothing.
    """
    columns, page = run_report(
        samples,
        names=("training data", findings.traffic.name),
        settings=settings,
        seed=seed,
        kind=LiveTraffic,
        findings=_FINDINGS.dump_json(findings).decode(),
        rules=rules.model_copy(update={"webhook": ""}).model_dump_json(),
    )
    return dataclasses.replace(findings, columns=columns), page


def _build_verdict_widgets(findings: Findings, rules: MonitoringSettings) -> list[BaseWidgetInfo]:
    verdict, traffic = decide(findings, rules), findings.traffic
    dates = [f"{moment:%Y-%m-%d}" for moment in (traffic.first, traffic.last) if moment is not None]
    unit = "Answers" if traffic.kind == "log" else "Interactions"
    counters = [
        CounterData("Verdict", verdict.level.upper()),
        CounterData(unit, f"{traffic.requests:,}"),
        CounterData("Unknown items", f"{traffic.unknown_share:.1%}"),
    ]
    window = f", {' to '.join(dict.fromkeys(dates))}" if dates else ""
    reasons = [
        [reason.level, reason.said, _format_number(reason.value), _format_number(reason.limit)]
        for reason in verdict.reasons
    ]
    widgets = [
        counter(title=f"Monitor: {traffic.name}{window}, model {traffic.model_version}", counters=counters),
        table_data(title="Why", column_names=["Calls for", "Reason", "Found", "Limit"], data=reasons),
    ]
    if traffic.damaged:
        lines = [[example] for example in traffic.damaged_examples]
        widgets.append(table_data(title="Damaged lines of the log", column_names=["File, line, text"], data=lines))
    return widgets


def _build_feedback_widgets(feedback: LiveFeedback | None) -> list[BaseWidgetInfo]:
    if feedback is None:
        return []
    counters = [
        CounterData("Lists", f"{feedback.lists:,}"),
        CounterData("Items clicked or bought", f"{feedback.choices:,}"),
        CounterData("Feedback without its answer", f"{feedback.unmatched:,}"),
    ]
    k = feedback.k
    columns = ["", f"Hit rate@{k}", f"Recall@{k}", f"NDCG@{k}", "Lists", "People"]
    return [
        counter(title="What people made of the answers", counters=counters),
        plotly_data(
            title=f"By day, with 95 % intervals (newest {min(_MOST_DAYS, len(feedback.by_day))} days)",
            data=_build_day_traces(feedback.by_day[-_MOST_DAYS:], k),
            layout=_build_day_layout(),
        ),
        table_data(
            title="By model", column_names=columns, data=[_format_rates_row(each) for each in feedback.by_version]
        ),
        *(_build_comparison_table(each, k) for each in feedback.comparisons),
    ]


def _build_day_traces(days: Sequence[Rates], k: int) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    for metric, label in (("hit_rate", f"Hit rate@{k}"), ("ndcg", f"NDCG@{k}")):
        known = [(day.name, found) for day in days if (found := getattr(day, metric)) is not None]
        names = [name for name, _ in known]
        bars = {
            "type": "data",
            "symmetric": False,
            "array": [round(each.high - each.value, 5) for _, each in known],
            "arrayminus": [round(each.value - each.low, 5) for _, each in known],
        }
        values = [round(each.value, 5) for _, each in known]
        line = {"color": _COLOURS[metric]}
        traces.append(
            {"type": "scatter", "mode": "lines+markers", "name": label, "x": names, "y": values}
            | {"error_y": bars, "line": line, "marker": line}
        )
    return traces


def _build_day_layout() -> dict[str, Any]:
    return {
        "margin": {"l": 55, "r": 40, "t": 40, "b": 60},
        "modebar": {"orientation": "v"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "plot_bgcolor": "white",
        "yaxis": {"gridcolor": "#e4e7eb", "rangemode": "tozero"},
        "xaxis": {"gridcolor": "#e4e7eb", "type": "category"},
    }


def _format_rates_row(rates: Rates) -> list[str]:
    known = rates.hit_rate
    shown = [_format_interval(each) for each in (rates.hit_rate, rates.recall, rates.ndcg)]
    return [rates.name, *shown, f"{known.lists:,}" if known else "0", f"{known.people:,}" if known else "0"]


def _build_comparison_table(found: Comparison, k: int) -> BaseWidgetInfo:
    planned = "not said" if found.planned_share is None else f"{found.planned_share:.1%}"
    ratio = "not tested" if found.ratio_p_value is None else f"p {found.ratio_p_value:.4f}"
    rows = [
        [f"Hit rate@{k}, champion", _format_interval(found.champion_rates.hit_rate)],
        [f"Hit rate@{k}, challenger", _format_interval(found.challenger_rates.hit_rate)],
        ["Difference", _format_signed(found.hit_rate.value, found.hit_rate.low, found.hit_rate.high)],
        ["Two-proportion test by person, corrected", f"p {found.p_adjusted:.4f}"],
        [f"Difference of NDCG@{k}", _format_signed(found.ndcg.value, found.ndcg.low, found.ndcg.high)],
        ["People who saw the challenger, and planned", f"{found.observed_share:.1%}, {planned}"],
        ["Split as planned (chi-squared)", ratio],
        ["People who saw both arms, left out", f"{found.people_in_both:,}"],
    ]
    title = f"Challenger {found.challenger} against champion {found.champion}"
    return table_data(title=title, column_names=["", "Found"], data=rows, size=WidgetSize.FULL)


def _format_interval(rate: Rate | None) -> str:
    return "" if rate is None else f"{rate.value:.4f} ({rate.low:.4f}–{rate.high:.4f})"


def _format_signed(value: float, low: float, high: float) -> str:
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
