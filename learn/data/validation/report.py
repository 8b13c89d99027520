"""The validation report: one HTML file that needs no network."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from learn.data.validation.summary import CheckSummary, TableSummary, ValidationSummary
from learn.storage import atomic_files


def write_report(summary: ValidationSummary, *, stopped: str | None = None) -> None:
    """Write ``summary.report``, completely or not at all.

    Args:
        summary: What was found.
        stopped: The message the run stopped with, if it did.

    Raises:
        StorageError: The disk is full or not writable.
    """
    path = summary.report
    html = _build_environment().get_template("validation.html.jinja").render(summary=summary, stopped=stopped)
    with atomic_files(path.parent, names=(path.name,)) as stage:
        (stage / path.name).write_text(html, encoding="utf-8", errors="replace")


def _build_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("learn.data.validation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=_count, percent=_format_percent, verdict=_choose_badge, by_weight=_sort_by_weight)
    return environment


def _count(number: int) -> str:
    return f"{number:,}"


def _format_percent(share: float) -> str:
    if 0 < share < 1e-4:
        return "< 0.01\u00a0%"
    return f"{share * 100:.{2 if share < 0.1 else 1}f}\u00a0%"


def _choose_badge(check: CheckSummary) -> str:
    """Return the class and word of a check's badge."""
    if check.failing == 0:
        return "good"
    if check.severity == "error":
        return "bad"
    return "note" if check.passed else "warn"


def _sort_by_weight(table: TableSummary) -> list[CheckSummary]:
    rank = {"bad": 0, "warn": 1, "note": 2, "good": 3}
    return sorted(table.checks, key=lambda check: (rank[_choose_badge(check)], -check.failing))
