"""Has the data moved away from what the towers were trained on?"""

from __future__ import annotations

from pathlib import Path

from learn.config import DriftSettings
from learn.data.staging import staged
from learn.errors import DriftError
from learn.monitoring.evidently_report import run_report
from learn.monitoring.samples import column_samples
from learn.monitoring.summary import DriftSummary
from learn.monitoring.windows import Window


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
    with staged(report.parent, names=(report.name,)) as stage:
        (stage / report.name).write_text(page, encoding="utf-8")
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
