"""Pictures of live traffic: what has moved away from training, and what people made of the answers."""

from __future__ import annotations

import datetime as dt

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from learn import drawing
from learn.monitoring.feedback import LiveFeedback, Rates
from learn.monitoring.summary import ColumnDrift, Part, part_of

_COLOURS: dict[Part, str] = {"data": drawing.WARN, "embedding": drawing.OTHER, "prediction": drawing.ACCENT}


def live_drift(columns: tuple[ColumnDrift, ...], *, floor: float, narrow: bool = False) -> Figure:
    """Draw the effect found in each tested column, against the smallest that counts, coloured by what has drifted."""
    tested = sorted((each for each in columns if each.effect is not None), key=lambda each: -(each.effect or 0))
    figure, (axis,) = drawing.panels(height=1.1 + drawing.ROW_INCHES * max(1, len(tested)), columns=1, narrow=narrow)
    effects = [column.effect or 0.0 for column in tested]
    colours = [_COLOURS[part_of(column.kind)] if column.drifted else drawing.QUIET for column in tested]
    drawing.draw_bars(axis, [drawing.words(each.name) for each in tested], effects, colours=colours, number="{:.2f}")
    axis.axvline(floor, color=drawing.INK, linewidth=1, linestyle="--")
    axis.set_xlim(0, drawing.NUMBER_ROOM * max([1.5 * floor, *effects]))
    drawing.dress(axis, "", "effect: 0 alike, 1 nothing in common")
    said = "Drifted: orange data, violet embeddings, blue predictions; dashed: smallest effect that counts"
    drawing.head(figure, said, narrow=narrow)
    return figure


def live_days(feedback: LiveFeedback, *, narrow: bool = False) -> Figure:
    """Draw hit rate and NDCG by day with their 95 % intervals."""
    figure, axes = drawing.panels(height=2.7, columns=2, narrow=narrow)
    days = feedback.by_day
    _draw_days(axes[0], days, "hit_rate", f"Hit rate@{feedback.k}")
    _draw_days(axes[1], days, "ndcg", f"NDCG@{feedback.k}")
    drawing.head(figure, "Live, by day, with 95 % intervals over people", narrow=narrow)
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
    drawing.dress(axis, title)
