"""Figures of an evaluation: quality, differences, slices, curves and lists; masked and unmasked never in one.

``narrow=True`` draws the same for a telephone: panels one below the other, in a readable size. All read what
``metrics.json`` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from learn.report import drawing

OWN, PRODUCTION = "towers", "production"
METRICS = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10"}

_BEST = 3
_MARKED_CUTOFFS = (1, 2, 5, 10, 20, 50, 100)
# One look a model, so that the curves of both maskings are read by the same legend.
_LOOKS = {
    "blend": ("#0f766e", "-"),
    "transitions": ("#b45309", "-"),
    "ease": ("#be185d", "-"),
    "tfidf_neighbours": ("#4d7c0f", "-"),
    "content_neighbours": (drawing.MUTED, "--"),
    "popularity": (drawing.QUIET, ":"),
}
# Above that from end to end, an axis names powers of ten alone.
_WIDE_RATIO = 30
# Of a panel's height, in rows: its title, its numbers, and air.
_ROWS_BESIDE = 2.2
# Where nothing differs at all there is no scale; a hundredth is one on which a difference would count.
_LEAST_SPAN = 0.01
# A list of cold items alone has popularity 0, which a ratio's axis cannot show.
_LEAST_RATIO = 0.01


def draw_metrics(
    metrics: dict[str, Any], *, part: str = "test", masking: str = "masked", narrow: bool = False
) -> Figure:
    """Draw Recall@10 and NDCG@10 of every model with its 95 % interval, the best on top."""
    models = sort_by_quality(metrics[part], masking)[::-1]
    figure, axes = drawing.open_panels(height=0.9 + drawing.ROW_INCHES * len(models), columns=2, narrow=narrow)
    for axis, (metric, title) in zip(axes, METRICS.items(), strict=True):
        intervals = [metrics["intervals"][part][model][masking][metric] for model in models]
        for row, (model, interval) in enumerate(zip(models, intervals, strict=True)):
            _draw(axis, row, metrics[part][model][masking][metric], interval, model=model)
        named = narrow or axis is axes[0]
        axis.set_yticks(range(len(models)), [drawing.spell_out(model) for model in models] if named else [])
        drawing.leave_room(axis, max(high for _, high in intervals))
        drawing.style_panel(axis, title)
    said = f"{part.capitalize()}, history {masking}, by NDCG@10; the lines are 95 % intervals"
    drawing.set_title(figure, said, narrow=narrow)
    return figure


def draw_differences(
    metrics: dict[str, Any], *, part: str = "test", masking: str = "masked", narrow: bool = False
) -> Figure:
    """Draw the towers minus each other model, with its interval; the model in production has a scale of its own."""
    found = metrics["differences"][part][OWN]
    others = [model for model in sort_by_quality(metrics[part], masking) if model in found]
    if not others:
        figure = drawing.empty_figure(0.8, narrow=narrow)
        drawing.set_title(figure, "No other model stands beside the towers.", narrow=narrow)
        return figure
    # Next to a difference to popularity, one between two days' models would be too small to see.
    groups = [[model for model in others if (model == PRODUCTION) is alone] for alone in (True, False)]
    groups = [group for group in groups if group]
    heights = [_ROWS_BESIDE + len(group) for group in groups]
    places = [(metric, group) for metric in METRICS for group in groups]
    columns = 1 if narrow else len(METRICS)
    ratios = heights * (len(places) // len(heights) // columns)
    figure = drawing.empty_figure(0.8 + drawing.ROW_INCHES * sum(ratios), narrow=narrow)
    axes = figure.subplots(len(ratios), columns, squeeze=False, height_ratios=ratios)
    for axis, (metric, group) in zip(axes.T.flat, places, strict=True):
        _draw_differences(axis, {model: found[model][masking][metric] for model in group})
        named = narrow or metric == next(iter(METRICS))
        drawing.name_rows(axis, [drawing.spell_out(model) for model in group], shown=named)
        drawing.style_panel(axis, METRICS[metric] if group is groups[0] else "")
    said = (
        f"Towers minus the other model, {part}, history {masking}; right of the line the towers are better; the lines "
        "are 95 % intervals of paired differences"
    )
    drawing.set_title(figure, said, narrow=narrow)
    return figure


def draw_slices(
    metrics: dict[str, Any], *, part: str = "test", masking: str = "masked", best: int = _BEST, narrow: bool = False
) -> Figure:
    """Draw Recall@10 in each slice that holds an example.

    The towers, the model in production if there is one, the ``best`` other models, and popularity: it is what a
    user without a history is served.
    """
    found = {name: each for name, each in metrics["slices"][part].items() if each["count"]}
    models = _choose_slice_models(metrics[part], masking, best=best)
    height = 0.9 + 0.21 * len(found) * (len(models) + 1.4)
    figure, (axis,) = drawing.open_panels(height=height, columns=1, narrow=narrow)
    places: list[float] = []
    labels: list[str] = []
    row, highest = 0.0, 0.0
    for name, each in found.items():
        places.append(row)
        labels.append(f"{drawing.spell_out(name)}, {each['count']:,} {'user' if each['count'] == 1 else 'users'}")
        for model in models:
            row += 1
            interval = each["intervals"][model][masking]["recall@10"]
            _draw(axis, row, each["metrics"][model][masking]["recall@10"], interval, model=model)
            places.append(row)
            labels.append(drawing.spell_out(model))
            highest = max(highest, interval[1])
        row += 1.4
    axis.set_yticks(places, labels)
    axis.invert_yaxis()
    drawing.leave_room(axis, highest)
    drawing.style_panel(axis, "")
    for label in axis.get_yticklabels()[:: len(models) + 1]:
        label.set(fontweight="bold", color=drawing.INK)
    said = f"Recall@10 by slice, {part}, history {masking}; the lines are 95 % intervals"
    drawing.set_title(figure, said, narrow=narrow)
    return figure


def draw_recall_curves(
    metrics: dict[str, Any], *, part: str = "test", masking: str = "masked", narrow: bool = False
) -> Figure:
    """Draw Recall@k of every model for k from 1 to 100: where in the lists the targets stand."""
    curves = metrics["recall_curves"]
    cutoffs, found = curves["cutoffs"], curves[part]
    figure, (axis,) = drawing.open_panels(height=4.4 if narrow else 3.8, columns=1, narrow=narrow)
    for model in sort_by_quality(metrics[part], masking):
        marked = model in (OWN, PRODUCTION)
        colour, dashes = _LOOKS.get(model, (_choose_colour(model), "-"))
        axis.plot(
            cutoffs,
            found[model][masking],
            color=colour,
            linestyle=dashes,
            linewidth=2.5 if marked else 1.2,
            zorder=3 if marked else 2,
            label=drawing.spell_out(model),
        )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator([k for k in _MARKED_CUTOFFS if k <= cutoffs[-1]]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(cutoffs[0], cutoffs[-1])
    axis.set_ylim(bottom=0)
    drawing.style_panel(axis, "", "k: places of the list")
    axis.grid(axis="y", color=drawing.LINE, linewidth=0.8)
    figure.legend(loc="outside lower left", ncols=2 if narrow else 4, frameon=False, fontsize=8)
    said = f"Recall@k, {part}, history {masking}: the share of users whose next item is among the first k"
    drawing.set_title(figure, said, narrow=narrow)
    return figure


def draw_lists(metrics: dict[str, Any], *, part: str = "test", narrow: bool = False) -> Figure:
    """Draw what the lists are like: coverage, diversity, popularity against the users' own items, share of the tail."""
    found = metrics["beyond_accuracy"][part]
    models = sort_by_quality(metrics[part], "masked")
    first = found[models[0]]
    rows, columns = (len(_LIST_PANELS), 1) if narrow else (len(_LIST_PANELS) // 2, 2)
    figure = drawing.empty_figure(0.6 + rows * (0.75 + drawing.ROW_INCHES * len(models)), narrow=narrow)
    axes = figure.subplots(rows, columns, squeeze=False)
    for place, (axis, (name, title, draw)) in enumerate(zip(axes.flat, _LIST_PANELS, strict=True)):
        draw(axis, models, [found[model][name] for model in models])
        drawing.name_rows(
            axis, [drawing.spell_out(model) for model in models] if place % columns == 0 else [""] * len(models)
        )
        drawing.style_panel(axis, title)
    said = f"The first {first['length']} places of {first['lists']:,} users, {part}, history masked"
    drawing.set_title(figure, said, narrow=narrow)
    return figure


def sort_by_quality(part: dict[str, Any], masking: str) -> list[str]:
    """Return the models of a part, the best by NDCG@10 first, the towers before their equals."""
    return sorted(part, key=lambda model: (-part[model][masking]["ndcg@10"], model != OWN, model))


def _draw(axis: Axes, row: float, value: float, interval: Sequence[float], *, model: str) -> None:
    drawing.draw_interval(axis, row, value, interval, colour=_choose_colour(model), bold=model == OWN)


def _choose_colour(model: str) -> str:
    return {OWN: drawing.ACCENT, PRODUCTION: drawing.OTHER}.get(model, drawing.MUTED)


def _draw_differences(axis: Axes, found: dict[str, dict[str, float]]) -> None:
    axis.axvline(0, color=drawing.INK, linewidth=1)
    for row, (model, gap) in enumerate(found.items()):
        colour = drawing.GOOD if gap["low"] > 0 else drawing.BAD if gap["high"] < 0 else drawing.MUTED
        interval = (gap["low"], gap["high"])
        bold = model == PRODUCTION
        drawing.draw_interval(axis, row, gap["mean"], interval, colour=colour, bold=bold, number="{:+.4f}")
    low = min(0.0, *(gap["low"] for gap in found.values()))
    high = max(0.0, *(gap["high"] for gap in found.values()))
    span = high - low or _LEAST_SPAN
    # The number is on the right; in these panels it has two digits more than elsewhere.
    axis.set_xlim(low - 0.05 * span, high + 0.35 * span)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))


def _draw_shares(axis: Axes, models: Sequence[str], values: Sequence[float | None]) -> None:
    for row, (model, value) in enumerate(zip(models, values, strict=True)):
        axis.barh(row, value or 0.0, color=_choose_bar_colour(model), height=0.7)
        said = "none" if value is None else f"{value:.2f}"
        drawing.draw_number(axis, said, value or 0.0, row, bold=False)
    drawing.leave_room(axis, max((value for value in values if value is not None), default=0.0))


def _draw_ratios(axis: Axes, models: Sequence[str], lifts: Sequence[float | None]) -> None:
    ratios = [1.0 if lift is None else max(_LEAST_RATIO, 1 + lift) for lift in lifts]
    axis.set_xscale("log")
    for row, (model, lift, ratio) in enumerate(zip(models, lifts, ratios, strict=True)):
        axis.barh(row, ratio - 1, left=1, color=_choose_bar_colour(model), height=0.7)
        said = "none" if lift is None else f"× {1 + lift:.2f}"
        drawing.draw_number(axis, said, max(1.0, ratio), row, bold=False)
    axis.axvline(1, color=drawing.INK, linewidth=1)
    low, high = min(0.5, *ratios), max(2.0, *ratios)
    axis.set_xlim(low, high * (high / low) ** 0.35)
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if high / low > _WIDE_RATIO else (1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axis.xaxis.set_minor_locator(NullLocator())


def _choose_bar_colour(model: str) -> str:
    return _choose_colour(model) if model in (OWN, PRODUCTION) else drawing.QUIET


BY_MASKING: tuple[Callable[..., Figure], ...] = (draw_metrics, draw_differences, draw_recall_curves, draw_slices)
"""The pictures that a page shows once for each masking, in its order."""

_LIST_PANELS: tuple[tuple[str, str, Callable[[Axes, Sequence[str], Sequence[float | None]], None]], ...] = (
    ("coverage", "Coverage: share of the catalogue in a list", _draw_shares),
    ("diversity", "Diversity: 1 - likeness of the texts in a list", _draw_shares),
    ("popularity_lift", "Popularity against the users' own items", _draw_ratios),
    ("tail_share", "Share from the tail and of new items", _draw_shares),
)


def _choose_slice_models(part: dict[str, Any], masking: str, *, best: int) -> list[str]:
    others = sorted(
        (model for model in part if model not in (OWN, PRODUCTION)),
        key=lambda model: -part[model][masking]["recall@10"],
    )
    chosen = others[:best]
    marked = [model for model in (OWN, PRODUCTION) if model in part]
    return [*marked, *chosen, *(model for model in others if model == "popularity" and model not in chosen)]
