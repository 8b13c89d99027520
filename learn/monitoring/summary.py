"""What a drift report found, and its course over the last runs: small records that can be read without Evidently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

Kind = Literal[
    "text",
    "number",
    "category",
    "popularity",
    "history",
    "unknown",
    "item_vectors",
    "user_vectors",
    "answer",
    "score",
    "shown",
    "coverage",
    "concentration",
]
Part = Literal["data", "embedding", "prediction"]

LABEL_KINDS: frozenset[Kind] = frozenset({"category", "unknown", "answer", "shown"})
"""Columns of labels."""

VECTOR_KINDS: frozenset[Kind] = frozenset({"item_vectors", "user_vectors"})
"""Columns of vectors, one a row."""

LIST_KINDS: frozenset[Kind] = frozenset({"coverage", "concentration"})
"""Columns of lists, one a row: integers that name items, compared as a whole."""

_PREDICTION: frozenset[Kind] = frozenset({"answer", "score", "shown", "coverage", "concentration"})


def find_part(kind: Kind) -> Part:
    """Tell what has drifted where a column has: the data, the embeddings, or what the model answers."""
    if kind in VECTOR_KINDS:
        return "embedding"
    return "prediction" if kind in _PREDICTION else "data"


Status = Literal["tested", "too_few_rows", "absent"]


@dataclass(frozen=True)
class ColumnDrift:
    """What was found in one column.

    Attributes:
        name: The column.
        kind: What it describes.
        status: ``tested``, or why it was not.
        method: The test, empty if none was run.
        effect: From 0 (alike) to 1: Hellinger distance less what chance makes, or of lists the change of coverage or
            concentration; None if not tested.
        p_value: Of the permutation test; None if not tested.
        p_adjusted: After Holm's correction over the report; None if not tested.
        drifted: Significant after correction, and the effect reaches the floor.
        reason: Why it was not tested; empty where it was.
        reference_rows: Rows compared of the reference window.
        current_rows: Rows compared of the current window.
    """

    name: str
    kind: Kind
    status: Status
    method: str
    effect: float | None
    p_value: float | None
    p_adjusted: float | None
    drifted: bool
    reason: str
    reference_rows: int
    current_rows: int


@dataclass(frozen=True)
class DriftSummary:
    """What a drift report found.

    Attributes:
        drifted: At least one column has drifted.
        drifted_share: Share of the tested columns that have.
        columns: Every column, also those that could not be tested, and why.
        reference_name: The window the towers were trained on.
        current_name: The window compared with it.
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


@dataclass(frozen=True)
class TrendPoint:
    """One run's drift.

    Attributes:
        run_id: Of the run.
        moment: When it began.
        effects: Effect of each tested column, by name.
        drifted: Columns that had drifted.
        verdict: Of a monitor's run; empty for a training.
    """

    run_id: str
    moment: datetime
    effects: Mapping[str, float]
    drifted: frozenset[str]
    verdict: str = ""

    @classmethod
    def from_columns(
        cls, columns: Iterable[ColumnDrift], *, run_id: str, moment: datetime, verdict: str = ""
    ) -> TrendPoint:
        """Keep of a run's columns what the trend shows."""
        tested = [column for column in columns if column.effect is not None]
        return cls(
            run_id=run_id,
            moment=moment,
            effects={column.name: float(column.effect or 0) for column in tested},
            drifted=frozenset(column.name for column in tested if column.drifted),
            verdict=verdict,
        )


def choose_trend_columns(points: Iterable[TrendPoint], *, count: int) -> list[str]:
    """Return the columns with the largest effects over all runs, the largest first."""
    largest: dict[str, float] = {}
    for point in points:
        for name, effect in point.effects.items():
            largest[name] = max(effect, largest.get(name, 0.0))
    return sorted(largest, key=lambda name: (-largest[name], name))[:count]
