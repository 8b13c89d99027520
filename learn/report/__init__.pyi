from .cards import show_drift, show_evaluation, show_monitor, show_training, show_validation, write_index
from .drawing import svg
from .pages import write_evaluation_page
from .results import RunResult

__all__ = [
    "RunResult",
    "show_drift",
    "show_evaluation",
    "show_monitor",
    "show_training",
    "show_validation",
    "svg",
    "write_evaluation_page",
    "write_index",
]
