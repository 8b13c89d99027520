"""Figures of drift over several runs, and the map of the vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from learn.monitoring import OTHER, EmbeddingMap, TrendPoint, choose_trend_columns
from learn.report import drawing

_LINES = 5
_FAINT = "#c3cad2"
_COLOURS = (drawing.ACCENT, drawing.WARN, drawing.OTHER, drawing.GOOD, drawing.BAD, "#0891b2")
_VERDICTS = {"ok": drawing.GOOD, "watch": drawing.WARN, "retrain": drawing.OTHER, "alarm": drawing.BAD}


def draw_drift_trend(points: Sequence[TrendPoint], *, floor: float, narrow: bool = False) -> Figure:
    """Draw the largest effects over the runs, the oldest first; a filled dot where the column had drifted.

    Args:
        points: At least one run.
        floor: The smallest effect that counts.
        narrow: For a telephone.
    """
    figure, (axis,) = drawing.open_panels(height=3.2, columns=1, narrow=narrow)
    names = choose_trend_columns(points, count=_LINES)
    for name, colour in zip(names, _COLOURS, strict=False):
        known = [(place, point) for place, point in enumerate(points) if name in point.effects]
        places, effects = [place for place, _ in known], [point.effects[name] for _, point in known]
        axis.plot(places, effects, color=colour, linewidth=1.4, label=drawing.spell_out(name))
        for place, point in known:
            inside = colour if name in point.drifted else "white"
            axis.plot([place], [point.effects[name]], "o", color=colour, markerfacecolor=inside, markersize=5)
    axis.axhline(floor, color=drawing.INK, linewidth=1, linestyle="--")
    highest = max([1.6 * floor, *(point.effects[name] for point in points for name in names if name in point.effects)])
    axis.set_ylim(0, 1.12 * highest)
    if any(point.verdict for point in points):
        for place, point in enumerate(points):
            axis.axvspan(place - 0.5, place + 0.5, ymin=0.96, color=_VERDICTS.get(point.verdict, drawing.QUIET))
    axis.set_xlim(-0.5, len(points) - 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=4 if narrow else 8, integer=True, min_n_ticks=1))
    axis.xaxis.set_major_formatter(
        lambda x, _: f"{points[round(x)].moment:%d %b %H:%M}" if 0 <= round(x) < len(points) else ""
    )
    drawing.style_panel(axis, "", "run")
    axis.grid(axis="y", color=drawing.LINE, linewidth=0.8)
    figure.legend(loc="outside lower center", ncols=2 if narrow else 5, frameon=False, fontsize=8)
    said = "Largest effects by run; filled: drifted; dashed: smallest effect that counts"
    if any(point.verdict for point in points):
        said += "; on top the verdict: green ok, orange watch, violet retrain, red alarm"
    drawing.set_title(figure, said, narrow=narrow)
    return figure


def draw_embedding_map(found: EmbeddingMap, *, narrow: bool = False) -> Figure:
    """Draw items by category and users on two principal components."""
    figure, (axis,) = drawing.open_panels(height=3.4 if narrow else 4.2, columns=1, narrow=narrow)
    axis.scatter(
        found.users[:, 0], found.users[:, 1], s=14, facecolors="none", edgecolors=drawing.QUIET, linewidths=0.7
    )
    marks = [Line2D([], [], marker="o", linestyle="", markerfacecolor="none", color=drawing.QUIET, label="users")]
    for label, colour in _choose_label_colours(found).items():
        rows = [row for row, own in enumerate(found.labels or ("items",) * len(found.items)) if own == label]
        axis.scatter(found.items[rows, 0], found.items[rows, 1], s=11, color=colour, alpha=0.8, linewidths=0)
        shown = label if len(label) <= 24 else f"{label[:23]}…"
        # A dollar sign in a name is no formula.
        marks.append(Line2D([], [], marker="o", linestyle="", color=colour, label=shown.replace("$", r"\$")))
    drawing.style_panel(axis, "", f"first component, {found.shares[0]:.0%} of the variance")
    axis.set_ylabel(f"second, {found.shares[1]:.0%}", fontsize=8, color=drawing.MUTED)
    axis.grid(axis="y", color=drawing.LINE, linewidth=0.8)
    figure.legend(handles=marks, loc="outside lower center", ncols=2 if narrow else 4, frameon=False, fontsize=8)
    said = "Items and users on two principal components of their vectors"
    drawing.set_title(figure, said + (", items by category" if found.labels else ""), narrow=narrow)
    return figure


def _choose_label_colours(found: EmbeddingMap) -> dict[str, str]:
    if not found.labels:
        return {"items": drawing.ACCENT}
    common = [label for label, _ in Counter(found.labels).most_common() if label != OTHER]
    colours = dict(zip(common, _COLOURS, strict=False))
    return ({OTHER: _FAINT} if OTHER in found.labels else {}) | colours
