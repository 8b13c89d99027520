"""What all figures share: colours, panels, intervals, bars, and SVG that scales with its page."""

from __future__ import annotations

import html
import io
import textwrap
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, MUTED, LINE, ACCENT = "#1f2933", "#616e7c", "#e4e7eb", "#2563eb"
BAD, WARN, GOOD, QUIET = "#b91c1c", "#b45309", "#15803d", "#9aa5b1"
OTHER = "#7c3aed"
ROW_INCHES = 0.28

_WIDE_INCHES, _NARROW_INCHES = 8.0, 4.2
_WIDE_CHARACTERS, _NARROW_CHARACTERS = 110, 54
# Room on the right of the longest bar for its number.
NUMBER_ROOM = 1.22


def empty_figure(height: float, *, narrow: bool) -> Figure:
    """Return a figure without panels, as wide as a page or as a telephone."""
    return Figure(figsize=(_NARROW_INCHES if narrow else _WIDE_INCHES, height), layout="constrained")


def open_panels(*, height: float, columns: int, narrow: bool) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels: next to each other, or one below the other where it is narrow."""
    rows, columns = (columns, 1) if narrow else (1, columns)
    figure = empty_figure(height * rows, narrow=narrow)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]


def draw_interval(
    axis: Axes, row: float, value: float, interval: Sequence[float], *, colour: str, bold: bool, number: str = "{:.3f}"
) -> None:
    """Draw a figure as a dot on the line of its interval, with its number on the right."""
    low, high = interval
    axis.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="round")
    axis.plot([value], [row], color=colour, marker="o", markersize=5.5, clip_on=False)
    draw_number(axis, number.format(value), high, row, bold=bold)


def draw_bars(
    axis: Axes, names: Sequence[str], values: Sequence[float], *, colours: Sequence[str], number: str
) -> None:
    """Draw one bar a row, the first on top, each with its number at its end."""
    for row, (value, colour) in enumerate(zip(values, colours, strict=True)):
        axis.barh(row, value, color=colour, height=0.7)
        draw_number(axis, number.format(value), value, row, bold=False)
    name_rows(axis, names)
    leave_room(axis, max(values, default=0))


def name_rows(axis: Axes, names: Sequence[str], *, shown: bool = True) -> None:
    """Name the rows of a panel, the first on top; where the panel on its left does, the names need not be shown."""
    axis.set_yticks(range(len(names)) if shown else [], names if shown else [])
    axis.set_ylim(len(names) - 0.4, -0.6)


def draw_number(axis: Axes, text: str, x: float, y: float, *, bold: bool) -> None:
    """Write a number to the right of a point, readable over lines."""
    weight = "bold" if bold else "normal"
    axis.annotate(
        text,
        (x, y),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        fontweight=weight,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )


def leave_room(axis: Axes, highest: float) -> None:
    """Let an axis begin at 0 and leave room for the number at the longest bar."""
    axis.set_xlim(0, highest * NUMBER_ROOM or 1)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))


def set_title(figure: Figure, title: str, *, narrow: bool) -> None:
    """Give a figure its title, wrapped to its width."""
    # A number keeps its percent sign. A folder's name may be in the title, and a dollar sign there is no formula.
    kept = title.replace(" %", "\N{NO-BREAK SPACE}%")
    wrapped = textwrap.fill(kept, _NARROW_CHARACTERS if narrow else _WIDE_CHARACTERS)
    figure.suptitle(wrapped, x=0.01, ha="left", fontsize=9, color=INK, parse_math=False)


def style_panel(axis: Axes, title: str, label: str = "") -> None:
    """Give a panel its title and label, and take away what carries no meaning."""
    axis.set_title(title, fontsize=9, color=INK, loc="left")
    axis.set_xlabel(label, fontsize=8, color=MUTED)
    axis.tick_params(labelsize=8, colors=MUTED, length=0, pad=7)
    axis.grid(axis="x", color=LINE, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(LINE)


def spell_out(name: str) -> str:
    """Turn a name of code into words."""
    return name.replace("_", " ")


def render_svg(figure: Figure) -> str:
    """Return a figure as inline SVG that scales with its page, the same bytes for the same figure."""
    out = io.StringIO()
    titles = [figure.get_suptitle(), *(axis.get_title(loc="left") for axis in figure.axes)]
    label = html.escape(" · ".join(title.replace("\n", " ") for title in titles if title), quote=True)
    # Letters as text instead of outlines: a tenth of the bytes, and they can be searched and read aloud.
    # The salt keeps the names inside the pictures of one page apart.
    salt = f"{figure.get_figwidth()} x {figure.get_figheight()} {label}"
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    opening = f'<svg style="width:100%;height:auto" role="img" aria-label="{label}" '
    return text[text.index("<svg") :].replace("<svg ", opening, 1)
