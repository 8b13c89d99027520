from .cards import show_drift, show_evaluation, show_monitor, show_training, show_validation, write_index
from .drawing import ACCENT, BAD, GOOD, INK, LINE, MUTED, OTHER, WARN, render_svg, set_title, style_panel
from .evaluation_figures import draw_metrics, draw_slices
from .pages import write_evaluation_page
from .results import RunResult

__all__ = [
    "ACCENT",
    "BAD",
    "GOOD",
    "INK",
    "LINE",
    "MUTED",
    "OTHER",
    "WARN",
    "RunResult",
    "draw_metrics",
    "draw_slices",
    "render_svg",
    "set_title",
    "show_drift",
    "show_evaluation",
    "show_monitor",
    "show_training",
    "show_validation",
    "style_panel",
    "write_evaluation_page",
    "write_index",
]
