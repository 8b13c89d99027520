"""How often each judge raises an alarm, over pairs of windows of one distribution and over planted shifts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.monitoring.judges import evidently_alarms, verdict_alarms
from benchmarks.monitoring.pool import Pool, make_pool
from benchmarks.monitoring.shifts import SHIFTS

SETS = ("online_retail", "games")
ROWS = (500, 5_000)
WIDTHS = (64, 384)
NOTHING = "nothing"
"""What is planted in pairs of one distribution."""

_POOL_ROWS = 12_000

Judge = Callable[..., bool]
JUDGES: dict[str, Judge] = {"learn": verdict_alarms, "evidently": evidently_alarms}


@dataclass(frozen=True)
class Cell:
    """One row of the table.

    Attributes:
        judge: Who judged.
        data_set: Where the windows come from.
        rows: Requests of each window.
        width: Of the vectors.
        planted: What was planted; :data:`NOTHING` for windows of one distribution.
        pairs: Pairs judged.
        alarms: Of them, with an alarm.
        cpu_seconds: Of one pair, mean.
    """

    judge: str
    data_set: str
    rows: int
    width: int
    planted: str
    pairs: int
    alarms: int
    cpu_seconds: float


@dataclass(frozen=True)
class Plan:
    """How many pairs are judged in each cell.

    Attributes:
        learn: Of one distribution, by LEARN's verdict; with each planted shift a quarter of them.
        evidently: The same by Evidently, which takes seconds a pair.
        data: Folder of the public data sets.
        workspace: Folder of their tables and vectors.
    """

    learn: int
    evidently: int
    data: Path
    workspace: Path

    @property
    def cells(self) -> int:
        """Cells of the whole table."""
        return len(SETS) * len(WIDTHS) * len(ROWS) * len(JUDGES) * (1 + len(SHIFTS))


def measure_cells(plan: Plan) -> Iterator[Cell]:
    """Judge all pairs, cell by cell; what each draws hangs on its number alone.

    Raises:
        DataError: A data set is not there.
    """
    for data_set in SETS:
        for width in WIDTHS:
            pool = make_pool(data_set, width=width, rows=_POOL_ROWS, data=plan.data, workspace=plan.workspace)
            for rows in ROWS:
                for judge, pairs in (("learn", plan.learn), ("evidently", plan.evidently)):
                    yield _cell(judge, pool, rows=rows, width=width, planted=NOTHING, pairs=pairs)
                    for planted in SHIFTS:
                        yield _cell(judge, pool, rows=rows, width=width, planted=planted, pairs=-(-pairs // 4))


def _cell(judge: str, pool: Pool, *, rows: int, width: int, planted: str, pairs: int) -> Cell:
    begun, alarms = time.process_time(), 0
    for number in range(pairs):
        rng = np.random.default_rng([number, rows, width])
        profile, live = pool.draw(rows, rng)
        if planted != NOTHING:
            profile, live = SHIFTS[planted](profile, live, rng)
        alarms += JUDGES[judge](profile, live, seed=number)
    seconds = (time.process_time() - begun) / max(1, pairs)
    return Cell(judge, pool.name, rows, width, planted, pairs, alarms, seconds)


def false_alarm_rate(cells: list[Cell], judge: str) -> float:
    """Share of pairs of one distribution with an alarm, over all cells."""
    return _share([cell for cell in cells if cell.judge == judge and cell.planted == NOTHING])


def detection_rate(cells: list[Cell], judge: str) -> float:
    """Share of planted shifts found, over all cells."""
    return _share([cell for cell in cells if cell.judge == judge and cell.planted != NOTHING])


def _share(cells: list[Cell]) -> float:
    return sum(cell.alarms for cell in cells) / max(1, sum(cell.pairs for cell in cells))
