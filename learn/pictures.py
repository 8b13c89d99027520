"""Pictures of a run, drawn once for the cards, the report and the documentation.

``narrow=True`` draws the same for a telephone: panels one below the other, in a size that stays readable.
"""

from __future__ import annotations

import html
import io
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from learn.alignment.summary import TrainingSummary
from learn.data.validation_summary import CheckSummary, TableSummary
from learn.monitoring.summary import DriftSummary

_INK, _MUTED, _LINE, _ACCENT = "#1f2933", "#616e7c", "#e4e7eb", "#2563eb"
_BAD, _WARN, _GOOD, _QUIET = "#b91c1c", "#b45309", "#15803d", "#9aa5b1"
_OWN = "towers"
_SLICE_MODELS = 3
_WIDE_INCHES, _NARROW_INCHES = 8.0, 4.2
_WIDE_CHARACTERS, _NARROW_CHARACTERS = 110, 54
_ROW_INCHES = 0.28
# Room on the right of the longest bar for its number.
_NUMBER_ROOM = 1.22
_KINDS = {
    "bad": (_BAD, "quarantined"),
    "followed": ("#e39b9b", "quarantined with their item"),
    "warn": (_WARN, "warning"),
}


def training_curve(training: TrainingSummary, *, narrow: bool = False) -> Figure:
    """Draw loss and validation NDCG@10 by epoch, with the chosen epoch marked."""
    figure, (losses, quality) = _figure(height=2.7, columns=2, narrow=narrow)
    epochs = [record.epoch for record in training.curve]
    losses.plot(epochs, [record.loss for record in training.curve], color=_MUTED, marker="o", markersize=3)
    _dress(losses, "Training loss (nats)", "epoch")
    quality.plot(epochs, [record.validation_ndcg for record in training.curve], color=_ACCENT, marker="o", markersize=3)
    quality.plot([training.chosen_epoch], [training.validation_ndcg], color=_GOOD, marker="o", markersize=8)
    quality.text(
        0.98,
        0.06,
        f"kept: epoch {training.chosen_epoch}, NDCG@10 {training.validation_ndcg:.4f}",
        transform=quality.transAxes,
        ha="right",
        fontsize=8,
        color=_GOOD,
    )
    quality.margins(y=0.2)
    _dress(quality, "NDCG@10 on validation, history masked", "epoch")
    for axis in (losses, quality):
        axis.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    return figure


def metrics_with_intervals(
    metrics: dict[str, Any], *, part: str = "test", masking: str = "masked", narrow: bool = False
) -> Figure:
    """Draw Recall@10 and NDCG@10 of every model with its 95 % interval, the best on top."""
    models = sorted(metrics[part], key=lambda model: metrics[part][model][masking]["ndcg@10"])
    figure, axes = _figure(height=0.9 + _ROW_INCHES * len(models), columns=2, narrow=narrow)
    for axis, (metric, title) in zip(axes, (("recall@10", "Recall@10"), ("ndcg@10", "NDCG@10")), strict=True):
        intervals = [metrics["intervals"][part][model][masking][metric] for model in models]
        for row, (model, interval) in enumerate(zip(models, intervals, strict=True)):
            _draw_interval(axis, row, metrics[part][model][masking][metric], interval, own=model == _OWN)
        axis.set_yticks(range(len(models)), [_words(model) for model in models] if narrow or axis is axes[0] else [])
        _leave_room(axis, max(high for _, high in intervals))
        _dress(axis, title)
    _head(figure, f"{part.capitalize()}, history {masking}, by NDCG@10; the lines are 95 % intervals", narrow=narrow)
    return figure


def slices(metrics: dict[str, Any], *, part: str = "test", masking: str = "masked", narrow: bool = False) -> Figure:
    """Draw Recall@10 of the towers, the best baselines and popularity in each slice that holds an example."""
    found = {name: each for name, each in metrics["slices"][part].items() if each["count"]}
    models = _slice_models(metrics[part], masking)
    figure, (axis,) = _figure(height=0.9 + 0.21 * len(found) * (len(models) + 1.4), columns=1, narrow=narrow)
    places: list[float] = []
    labels: list[str] = []
    row, highest = 0.0, 0.0
    for name, each in found.items():
        places.append(row)
        labels.append(f"{_words(name)}, {each['count']:,} {'user' if each['count'] == 1 else 'users'}")
        for model in models:
            row += 1
            interval = each["intervals"][model][masking]["recall@10"]
            _draw_interval(axis, row, each["metrics"][model][masking]["recall@10"], interval, own=model == _OWN)
            places.append(row)
            labels.append(_words(model))
            highest = max(highest, interval[1])
        row += 1.4
    axis.set_yticks(places, labels)
    axis.invert_yaxis()
    _leave_room(axis, highest)
    _dress(axis, "")
    for label in axis.get_yticklabels()[:: len(models) + 1]:
        label.set(fontweight="bold", color=_INK)
    _head(figure, f"Recall@10 by slice, {part}, history {masking}; the lines are 95 % intervals", narrow=narrow)
    return figure


def quarantine(tables: tuple[TableSummary, ...], *, narrow: bool = False) -> Figure:
    """Draw how many rows each failed check found, a panel a table."""
    failed = {
        table.name: sorted((check for check in table.checks if check.failing), key=lambda check: -check.failing)
        for table in tables
    }
    failed = {name: checks for name, checks in failed.items() if checks}
    heights = [1.2 + len(checks) for checks in failed.values()]
    figure = _empty_figure(0.8 + _ROW_INCHES * sum(heights), narrow=narrow)
    if not failed:
        _head(figure, "Every row passed every check.", narrow=narrow)
        return figure
    axes = figure.subplots(len(failed), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (name, checks) in zip(axes, failed.items(), strict=True):
        _draw_bars(
            axis,
            [_words(check.name) for check in checks],
            [check.failing for check in checks],
            colours=[_KINDS[_kind(check)][0] for check in checks],
            number="{:,.0f}",
        )
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
        _dress(axis, name.capitalize())
    kinds = {_kind(check) for checks in failed.values() for check in checks}
    patches = [Patch(color=colour, label=label) for kind, (colour, label) in _KINDS.items() if kind in kinds]
    figure.legend(handles=patches, loc="outside lower left", ncols=len(patches), frameon=False, fontsize=8)
    _head(figure, "Rows that failed a check", narrow=narrow)
    return figure


def drift(summary: DriftSummary, *, floor: float, narrow: bool = False) -> Figure:
    """Draw the effect found in each tested column, against the smallest that counts."""
    columns = sorted(
        (each for each in summary.columns if each.effect is not None), key=lambda each: -(each.effect or 0)
    )
    figure, (axis,) = _figure(height=1.1 + _ROW_INCHES * max(1, len(columns)), columns=1, narrow=narrow)
    effects = [column.effect or 0.0 for column in columns]
    colours = [_WARN if column.drifted else _QUIET for column in columns]
    _draw_bars(axis, [_words(column.name) for column in columns], effects, colours=colours, number="{:.2f}")
    axis.axvline(floor, color=_INK, linewidth=1, linestyle="--")
    axis.set_xlim(0, _NUMBER_ROOM * max([1.5 * floor, *effects]))
    _dress(axis, "", "effect: 0 alike, 1 nothing in common")
    said = (
        f"{summary.current_name} against {summary.reference_name}; orange: drifted; dashed: smallest effect that counts"
    )
    _head(figure, said[:1].upper() + said[1:], narrow=narrow)
    return figure


def svg(figure: Figure) -> str:
    """Return a figure as inline SVG that scales with its page, the same bytes for the same figure."""
    out = io.StringIO()
    # Letters as text instead of outlines: a tenth of the bytes, and they can be searched and read aloud.
    # The salt keeps the names inside two pictures of one page apart.
    salt = f"{figure.get_figwidth()} x {figure.get_figheight()}"
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    titles = [figure.get_suptitle(), *(axis.get_title(loc="left") for axis in figure.axes)]
    label = html.escape(" · ".join(title.replace("\n", " ") for title in titles if title), quote=True)
    opening = f'<svg style="width:100%;height:auto" role="img" aria-label="{label}" '
    return text[text.index("<svg") :].replace("<svg ", opening, 1)


def _empty_figure(height: float, *, narrow: bool) -> Figure:
    return Figure(figsize=(_NARROW_INCHES if narrow else _WIDE_INCHES, height), layout="constrained")


def _figure(*, height: float, columns: int, narrow: bool) -> tuple[Figure, list[Axes]]:
    rows, columns = (columns, 1) if narrow else (1, columns)
    figure = _empty_figure(height * rows, narrow=narrow)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]


def _draw_interval(axis: Axes, row: float, value: float, interval: Sequence[float], *, own: bool) -> None:
    low, high = interval
    colour = _ACCENT if own else _MUTED
    axis.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="round")
    axis.plot([value], [row], color=colour, marker="o", markersize=5.5, clip_on=False)
    _number(axis, f"{value:.3f}", high, row, bold=own)


def _draw_bars(
    axis: Axes, names: Sequence[str], values: Sequence[float], *, colours: Sequence[str], number: str
) -> None:
    for row, (value, colour) in enumerate(zip(values, colours, strict=True)):
        axis.barh(row, value, color=colour, height=0.7)
        _number(axis, number.format(value), value, row, bold=False)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    _leave_room(axis, max(values, default=0))


def _number(axis: Axes, text: str, x: float, y: float, *, bold: bool) -> None:
    weight = "bold" if bold else "normal"
    axis.annotate(
        text,
        (x, y),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        fontweight=weight,
        color=_INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )


def _leave_room(axis: Axes, highest: float) -> None:
    axis.set_xlim(0, highest * _NUMBER_ROOM or 1)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))


def _head(figure: Figure, title: str, *, narrow: bool) -> None:
    # A folder's name may stand in it, and a dollar sign there is no formula.
    wrapped = textwrap.fill(title, _NARROW_CHARACTERS if narrow else _WIDE_CHARACTERS)
    figure.suptitle(wrapped, x=0.01, ha="left", fontsize=9, color=_INK, parse_math=False)


def _dress(axis: Axes, title: str, label: str = "") -> None:
    axis.set_title(title, fontsize=9, color=_INK, loc="left")
    axis.set_xlabel(label, fontsize=8, color=_MUTED)
    axis.tick_params(labelsize=8, colors=_MUTED, length=0, pad=7)
    axis.grid(axis="x", color=_LINE, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(_LINE)


def _slice_models(part: dict[str, Any], masking: str) -> list[str]:
    others = sorted((model for model in part if model != _OWN), key=lambda model: -part[model][masking]["recall@10"])
    # Popularity is what a user without a history is served.
    chosen = others[:_SLICE_MODELS]
    return [_OWN, *chosen, *(model for model in others if model == "popularity" and model not in chosen)]


def _kind(check: CheckSummary) -> str:
    if check.severity == "warning":
        return "warn"
    return "followed" if check.name == "item_quarantined" else "bad"


def _words(name: str) -> str:
    return name.replace("_", " ")
