"""Pictures of a run, drawn once for the cards, the report and the documentation."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from learn.alignment.summary import TrainingSummary
from learn.data.validation_summary import TableSummary
from learn.monitoring.summary import DriftSummary

_INK, _MUTED, _LINE, _ACCENT, _BAD, _GOOD = "#1f2933", "#616e7c", "#e4e7eb", "#2563eb", "#b91c1c", "#15803d"
_OWN = "towers"
_SLICE_MODELS = 3
_WIDTH_INCHES = 8.0


def training_curve(training: TrainingSummary) -> Figure:
    """Draw loss and validation NDCG@10 by epoch, with the chosen epoch marked."""
    figure, (losses, quality) = _figure(height=2.9, columns=2)
    epochs = [record.epoch for record in training.curve]
    losses.plot(epochs, [record.loss for record in training.curve], color=_MUTED, marker="o", markersize=3)
    _dress(losses, "Training loss", "epoch")
    quality.plot(epochs, [record.validation_ndcg for record in training.curve], color=_ACCENT, marker="o", markersize=3)
    quality.plot([training.chosen_epoch], [training.validation_ndcg], color=_GOOD, marker="o", markersize=8)
    quality.annotate(
        f"chosen: epoch {training.chosen_epoch}, {training.validation_ndcg:.4f}",
        (training.chosen_epoch, training.validation_ndcg),
        xytext=(0, -16),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=_GOOD,
    )
    quality.margins(y=0.25)
    _dress(quality, "Validation NDCG@10, history masked", "epoch")
    return figure


def metrics_with_intervals(metrics: dict[str, Any], *, part: str = "test", masking: str = "masked") -> Figure:
    """Draw Recall@10 and NDCG@10 of every model with its 95 % interval, the best on top."""
    models = sorted(metrics[part], key=lambda model: metrics[part][model][masking]["ndcg@10"])
    figure, axes = _figure(height=0.8 + 0.32 * len(models), columns=2)
    for axis, (metric, title) in zip(axes, (("recall@10", "Recall@10"), ("ndcg@10", "NDCG@10")), strict=True):
        for row, model in enumerate(models):
            value = metrics[part][model][masking][metric]
            low, high = metrics["intervals"][part][model][masking][metric]
            colour = _ACCENT if model == _OWN else _MUTED
            axis.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="round")
            axis.plot([value], [row], color=colour, marker="o", markersize=6)
            axis.annotate(
                f"{value:.3f}",
                (high, row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=_INK,
            )
        axis.set_yticks(range(len(models)), [_words(model) for model in models] if metric == "recall@10" else [])
        axis.set_xlim(left=0)
        axis.margins(x=0.16)
        _dress(axis, f"{title}, {part}, history {masking}", "")
    return figure


def slices(metrics: dict[str, Any], *, part: str = "test", masking: str = "masked") -> Figure:
    """Draw Recall@10 of the towers and the best baselines in each slice that holds an example."""
    found = {name: each for name, each in metrics["slices"][part].items() if each["count"]}
    others = sorted(
        (model for model in metrics[part] if model != _OWN),
        key=lambda model: -metrics[part][model][masking]["recall@10"],
    )[:_SLICE_MODELS]
    models = [_OWN, *others]
    colours = dict(zip(models, (_ACCENT, "#52606d", "#9aa5b1", "#cbd2d9"), strict=False))
    figure, (axis,) = _figure(height=1.0 + 0.24 * len(found) * len(models), columns=1)
    step = 1 / (len(models) + 1)
    for row, each in enumerate(found.values()):
        for place, model in enumerate(models):
            value = each["metrics"][model][masking]["recall@10"]
            low, high = each["intervals"][model][masking]["recall@10"]
            at = row + (place - (len(models) - 1) / 2) * step
            axis.barh(at, value, height=step * 0.9, color=colours[model], label=_words(model) if row == 0 else None)
            axis.plot([low, high], [at, at], color=_INK, linewidth=1)
    axis.set_yticks(range(len(found)), [f"{_words(name)}\n{each['count']:,} users" for name, each in found.items()])
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    _dress(axis, f"Recall@10 by slice, {part}, history {masking}", "")
    return figure


def quarantine(tables: tuple[TableSummary, ...]) -> Figure:
    """Draw how many rows each failed check sent to quarantine."""
    rows = [
        (f"{table.name}: {_words(check.name)}", check.failing, check.severity == "error")
        for table in tables
        for check in table.checks
        if check.failing
    ]
    figure, (axis,) = _figure(height=0.9 + 0.28 * max(1, len(rows)), columns=1)
    for row, (_, failing, is_error) in enumerate(rows):
        axis.barh(row, failing, color=_BAD if is_error else "#f0b429", height=0.7)
        axis.annotate(
            f"{failing:,}",
            (failing, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_INK,
        )
    axis.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axis.invert_yaxis()
    axis.margins(x=0.12)
    _dress(axis, "Rows that failed a check (red: quarantined, yellow: warning)", "")
    return figure


def drift(summary: DriftSummary, *, floor: float) -> Figure:
    """Draw the effect found in each tested column, against the smallest that counts."""
    columns = sorted((each for each in summary.columns if each.effect is not None), key=lambda each: each.effect or 0.0)
    figure, (axis,) = _figure(height=0.9 + 0.28 * max(1, len(columns)), columns=1)
    for row, column in enumerate(columns):
        axis.barh(row, column.effect or 0.0, color=_BAD if column.drifted else _GOOD, height=0.7)
    axis.set_yticks(range(len(columns)), [_words(column.name) for column in columns])
    axis.axvline(floor, color=_INK, linewidth=1, linestyle="--")
    axis.set_xlim(0, max([2 * floor, *(1.1 * (column.effect or 0.0) for column in columns)]))
    _dress(axis, f"{summary.current_name} against {summary.reference_name}: effect (0 to 1; dashed: counts)", "")
    return figure


def svg(figure: Figure) -> str:
    """Return a figure as inline SVG that scales with its page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :].replace("<svg ", '<svg style="width:100%;height:auto" ', 1)


def _figure(*, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    return figure, [figure.add_subplot(1, columns, column + 1) for column in range(columns)]


def _dress(axis: Axes, title: str, label: str) -> None:
    axis.set_title(title, fontsize=9, color=_INK, loc="left")
    axis.set_xlabel(label, fontsize=8, color=_MUTED)
    axis.tick_params(labelsize=8, colors=_MUTED, length=0)
    axis.grid(axis="x", color=_LINE, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(_LINE)


def _words(name: str) -> str:
    return name.replace("_", " ")
