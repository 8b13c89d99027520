"""How a benchmark's command ends, and the error that is its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from learn.errors import LearnError


class BenchmarkError(LearnError):
    """A benchmark's own process or environment failed."""

    headline = "The benchmark stopped"


def exit_status(benchmark: Callable[[], Path]) -> int:
    """Run a benchmark and name the page that it wrote; an error is printed as a message.

    Returns:
        0, or 2 if it could not start or finish.
    """
    try:
        page = benchmark()
    except LearnError as error:
        print(f"{error.headline}\n{error}", file=sys.stderr)
        return 2
    print(f"Page: {page}")
    return 0
