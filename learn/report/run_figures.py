"""Figures of a run's training, validation and drift, and of live traffic.

``narrow=True`` draws the same for a telephone: panels one below the other, in a readable size.
"""

from __future__ import annotations

import datetime as dt

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from learn.data import CheckSummary, TableSummary
from learn.model import TrainingSummary
from learn.monitoring import ColumnDrift, DriftSummary, LiveFeedback, Part, Rates, find_part
from learn.report import drawing

_KINDS = {
    "bad": (drawing.BAD, "quarantined"),
    "followed": ("#e39b9b", "quarantined with their item"),
    "warn": (drawing.WARN, "warning"),
}


def draw_training_curve(training: TrainingSummary, *, narrow: bool = False) -> Figure:
    """Draw loss and validation NDCG@10 by epoch, with the chosen epoch marked."""
    figure, (losses, quality) = drawing.open_panels(height=2.7, columns=2, narrow=narrow)
    epochs = [record.epoch for record in training.curve]
    trained = {record.epoch: record.loss for record in training.curve if record.loss is not None}
    losses.plot(list(trained), list(trained.values()), color=drawing.MUTED, marker="o", markersize=3)
    drawing.style_panel(losses, "Training loss (nats)", "epoch")
    quality.plot(
        epochs, [record.validation_ndcg for record in training.curve], color=drawing.ACCENT, marker="o", markersize=3
    )
    quality.plot([training.chosen_epoch], [training.validation_ndcg], color=drawing.GOOD, marker="o", markersize=8)
    quality.text(
        0.98,
        0.06,
        f"kept: epoch {training.chosen_epoch}, NDCG@10 {training.validation_ndcg:.4f}",
        transform=quality.transAxes,
        ha="right",
        fontsize=8,
        color=drawing.GOOD,
    )
    quality.margins(y=0.2)
    drawing.style_panel(quality, "NDCG@10 on validation, history masked", "epoch")
    for axis in (losses, quality):
        axis.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    return figure


def draw_quarantine(tables: tuple[TableSummary, ...], *, narrow: bool = False) -> Figure:
    """Draw how many rows each failed check found, a panel a table."""
    failed = {
        table.name: sorted((check for check in table.checks if check.failing), key=lambda check: -check.failing)
        for table in tables
    }
    failed = {name: checks for name, checks in failed.items() if checks}
    heights = [1.2 + len(checks) for checks in failed.values()]
    figure = drawing.empty_figure(0.8 + drawing.ROW_INCHES * sum(heights), narrow=narrow)
    if not failed:
        drawing.set_title(figure, "Every row passed every check.", narrow=narrow)
        return figure
    axes = figure.subplots(len(failed), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (name, checks) in zip(axes, failed.items(), strict=True):
        drawing.draw_bars(
            axis,
            [drawing.spell_out(check.name) for check in checks],
            [check.failing for check in checks],
            colours=[_KINDS[_name_kind(check)][0] for check in checks],
            number="{:,.0f}",
        )
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
        drawing.style_panel(axis, name.capitalize())
    kinds = {_name_kind(check) for checks in failed.values() for check in checks}
    patches = [Patch(color=colour, label=label) for kind, (colour, label) in _KINDS.items() if kind in kinds]
    figure.legend(handles=patches, loc="outside lower left", ncols=len(patches), frameon=False, fontsize=8)
    drawing.set_title(figure, "Rows that failed a check", narrow=narrow)
    return figure


def draw_drift(summary: DriftSummary, *, floor: float, narrow: bool = False) -> Figure:
    """Draw the effect found in each tested column, against the smallest that counts."""
    columns = sorted(
        (each for each in summary.columns if each.effect is not None), key=lambda each: -(each.effect or 0)
    )
    figure, (axis,) = drawing.open_panels(
        height=1.1 + drawing.ROW_INCHES * max(1, len(columns)), columns=1, narrow=narrow
    )
    effects = [column.effect or 0.0 for column in columns]
    colours = [drawing.WARN if column.drifted else drawing.QUIET for column in columns]
    drawing.draw_bars(
        axis, [drawing.spell_out(column.name) for column in columns], effects, colours=colours, number="{:.2f}"
    )
    axis.axvline(floor, color=drawing.INK, linewidth=1, linestyle="--")
    axis.set_xlim(0, drawing.NUMBER_ROOM * max([1.5 * floor, *effects]))
    drawing.style_panel(axis, "", "effect: 0 alike, 1 nothing in common")
    said = (
        f"{summary.current_name} against {summary.reference_name}; orange: drifted; dashed: smallest effect that counts"
    )
    drawing.set_title(figure, said[:1].upper() + said[1:], narrow=narrow)
    return figure


def _name_kind(check: CheckSummary) -> str:
    if check.severity == "warning":
        return "warn"
    return "followed" if check.name == "item_quarantined" else "bad"


_COLOURS: dict[Part, str] = {"data": drawing.WARN, "embedding": drawing.OTHER, "prediction": drawing.ACCENT}


def draw_live_drift(columns: tuple[ColumnDrift, ...], *, floor: float, narrow: bool = False) -> Figure:
    """Draw the effect found in each tested column, against the smallest that counts, coloured by what has drifted."""
    tested = sorted((each for each in columns if each.effect is not None), key=lambda each: -(each.effect or 0))
    figure, (axis,) = drawing.open_panels(
        height=1.1 + drawing.ROW_INCHES * max(1, len(tested)), columns=1, narrow=narrow
    )
    effects = [column.effect or 0.0 for column in tested]
    colours = [_COLOURS[find_part(column.kind)] if column.drifted else drawing.QUIET for column in tested]
    drawing.draw_bars(
        axis, [drawing.spell_out(each.name) for each in tested], effects, colours=colours, number="{:.2f}"
    )
    axis.axvline(floor, color=drawing.INK, linewidth=1, linestyle="--")
    axis.set_xlim(0, drawing.NUMBER_ROOM * max([1.5 * floor, *effects]))
    drawing.style_panel(axis, "", "effect: 0 alike, 1 nothing in common")
    said = "Drifted: orange data, violet embeddings, blue predictions; dashed: smallest effect that counts"
    drawing.set_title(figure, said, narrow=narrow)
    return figure


def draw_live_days(feedback: LiveFeedback, *, narrow: bool = False) -> Figure:
    """Draw hit rate and NDCG by day with their 95 % intervals."""
    figure, axes = drawing.open_panels(height=2.7, columns=2, narrow=narrow)
    days = feedback.by_day
    _draw_days(axes[0], days, "hit_rate", f"Hit rate@{feedback.k}")
    _draw_days(axes[1], days, "ndcg", f"NDCG@{feedback.k}")
    drawing.set_title(figure, "Live, by day, with 95 % intervals over people", narrow=narrow)
    return figure


def _draw_days(axis: Axes, days: tuple[Rates, ...], metric: str, title: str) -> None:
    known = [(dt.date.fromisoformat(day.name), rate) for day in days if (rate := getattr(day, metric)) is not None]
    places = range(len(known))
    axis.fill_between(
        places, [r.low for _, r in known], [r.high for _, r in known], color=drawing.ACCENT, alpha=0.15, linewidth=0
    )
    axis.plot(places, [r.value for _, r in known], color=drawing.ACCENT, marker="o", markersize=3)
    axis.set_ylim(0, 1.15 * max([r.high for _, r in known], default=1.0))
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axis.xaxis.set_major_formatter(lambda x, _: f"{known[round(x)][0]:%d %b}" if 0 <= round(x) < len(known) else "")
    drawing.style_panel(axis, title)
