"""Has the data moved away from what the towers were trained on?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from learn.config import DriftSettings
from learn.errors import DriftError, storage_faults
from learn.monitoring.column_tests import ColumnDrift
from learn.monitoring.evidently_report import run_report
from learn.monitoring.samples import column_samples
from learn.monitoring.windows import Window


@dataclass(frozen=True)
class DriftSummary:
    """What a drift report found.

    Attributes:
        drifted: At least one column has drifted.
        drifted_share: Share of the tested columns that have.
        columns: Every column, also those that could not be tested, and why.
        reference_name: The window the towers were trained on.
        current_name: The window held against it.
        reference_rows: All interactions of the reference window.
        current_rows: All interactions of the current window.
        report: The page, one HTML file.
    """

    drifted: bool
    drifted_share: float
    columns: tuple[ColumnDrift, ...]
    reference_name: str
    current_name: str
    reference_rows: int
    current_rows: int
    report: Path

    @property
    def sentence(self) -> str:
        """The verdict in one line, the largest effects first."""
        tested = [column for column in self.columns if column.status == "tested"]
        if not tested:
            return f"No column of {self.current_name} could be compared with {self.reference_name}."
        moved = sorted((column for column in tested if column.drifted), key=lambda column: -(column.effect or 0))
        if not moved:
            return f"No drift: none of {len(tested)} columns of {self.current_name} differs from {self.reference_name}."
        named = ", ".join(f"{column.name} ({column.effect:.2f})" for column in moved)
        return f"Drift in {len(moved)} of {len(tested)} columns of {self.current_name}: {named}."


def measure_drift(
    reference: Window, current: Window, *, report: Path, settings: DriftSettings, seed: int
) -> DriftSummary:
    """Compare two windows column by column and write Evidently's report.

    Time, memory and the page are bounded by the settings' sample sizes, whatever the traffic.

    Args:
        reference: What the towers were trained on.
        current: What comes in now.
        report: The HTML file to write.
        settings: Sample sizes, significance and the floor of the effect.
        seed: Same windows and seed, same numbers and same page.

    Raises:
        DriftError: A window is empty, or its vectors cannot be compared with the other's.
        StorageError: The report cannot be written.
    """
    for window in (reference, current):
        if window.interactions.is_empty():
            raise DriftError(
                "There are no interactions to compare.",
                where=f"window `{window.name}`",
                fix="move the cut dates, or give another folder with `--current`",
            )
    samples = column_samples(reference, current, settings=settings, seed=seed)
    columns, page = run_report(samples, names=(reference.name, current.name), settings=settings, seed=seed)
    _write(page, report)
    tested = [column for column in columns if column.status == "tested"]
    drifted = [column for column in tested if column.drifted]
    return DriftSummary(
        drifted=bool(drifted),
        drifted_share=len(drifted) / max(1, len(tested)),
        columns=columns,
        reference_name=reference.name,
        current_name=current.name,
        reference_rows=reference.interactions.height,
        current_rows=current.interactions.height,
        report=report,
    )


def _write(page: str, report: Path) -> None:
    unfinished = report.with_name(f".{report.name}.{os.getpid()}.unfinished")
    with storage_faults(report):
        report.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_text(page, encoding="utf-8")
            unfinished.replace(report)
        finally:
            unfinished.unlink(missing_ok=True)
