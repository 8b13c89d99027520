"""How drift went over the last runs: one run alone does not tell a jump from a slow slide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from learn.monitoring.summary import ColumnDrift


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
    def of(cls, columns: Iterable[ColumnDrift], *, run_id: str, moment: datetime, verdict: str = "") -> TrendPoint:
        """Keep of a run's columns what the trend shows."""
        tested = [column for column in columns if column.effect is not None]
        return cls(
            run_id=run_id,
            moment=moment,
            effects={column.name: float(column.effect or 0) for column in tested},
            drifted=frozenset(column.name for column in tested if column.drifted),
            verdict=verdict,
        )


def telling_columns(points: Iterable[TrendPoint], *, count: int) -> list[str]:
    """Return the columns with the largest effects over all runs, the largest first."""
    largest: dict[str, float] = {}
    for point in points:
        for name, effect in point.effects.items():
            largest[name] = max(effect, largest.get(name, 0.0))
    return sorted(largest, key=lambda name: (-largest[name], name))[:count]
