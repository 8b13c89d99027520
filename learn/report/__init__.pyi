from .cards import show_drift, show_evaluation, show_monitor, show_training, show_validation, write_index
from .drawing import render_svg
from .pages import write_evaluation_page
from .results import RunResult

__all__ = [
    "RunResult",
    "render_svg",
    "show_drift",
    "show_evaluation",
    "show_monitor",
    "show_training",
    "show_validation",
    "write_evaluation_page",
    "write_index",
]
