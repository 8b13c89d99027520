"""The picture of the page: time and memory of each step by the size of the data, both axes as logarithms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.scale.growth import Size
from benchmarks.scale.watched import MeasuredProcess
from benchmarks.scale.work import STEPS

_COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#b8860b", "#6a4c93", "#5f6b6d", "#e07a5f")
_MARKERS = "osD^vPX"


def draw_growth(sizes: Mapping[int, Size]) -> Figure:
    """Draw what was measured, beside a line of what growth in proportion would be."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    time, memory = figure.subplots(1, 2)
    _draw(time, sizes, lambda found: found.cpu_seconds, title="Processor seconds")
    _draw(memory, sizes, lambda found: found.peak_bytes / 2**30, title="Peak memory, GiB")
    figure.legend(*time.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw(axes: Axes, sizes: Mapping[int, Size], value: Callable[[MeasuredProcess], float], *, title: str) -> None:
    for step, colour, marker in zip(STEPS, _COLOURS, _MARKERS, strict=True):
        points = [(size, value(found.steps[step])) for size, found in sizes.items() if step in found.steps]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=step.replace("_", " "), lw=1.6)
    low, high = min(sizes), max(sizes)
    begin = min(value(found) for found in sizes[low].steps.values())
    axes.plot(
        [low, high], [begin, begin * high / low], color="#999999", linestyle=":", label="in proportion", linewidth=1.2
    )
    axes.set(xscale="log", yscale="log", title=title, xlabel="millions of interactions")
    axes.set_xticks(list(sizes), [str(size) for size in sizes])
    axes.minorticks_off()
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
