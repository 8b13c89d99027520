"""How often each judge raises an alarm, over pairs of windows of one distribution and over planted shifts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.monitoring.cells import JUDGING, CellStore, hash_code
from benchmarks.monitoring.judges import is_evidently_alarm, is_verdict_alarm
from benchmarks.monitoring.pool import Pool, make_pool
from benchmarks.monitoring.shifts import SHIFTS
from benchmarks.quality.datasets import SOURCES, hash_data

SETS = ("online_retail", "games")
ROWS = (500, 5_000)
WIDTHS = (64, 384)
NOTHING = "nothing"
"""What is planted in pairs of one distribution."""

_POOL_ROWS = 12_000

Judge = Callable[..., bool]
JUDGES: dict[str, Judge] = {"learn": is_verdict_alarm, "evidently": is_evidently_alarm}


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
        pairs: Of one distribution; with each planted shift a quarter of them.
        data: Folder of the public data sets.
        prepared: Folder of their tables and vectors.
        kept: What was judged already.
    """

    pairs: int
    data: Path
    prepared: Path
    kept: CellStore

    @property
    def cells(self) -> int:
        """Cells of the whole table."""
        return len(SETS) * len(WIDTHS) * len(ROWS) * len(JUDGES) * (1 + len(SHIFTS))


def measure_cells(plan: Plan) -> Iterator[Cell]:
    """Judge all pairs that were not judged yet, cell by cell; what each draws depends only on its number.

    Raises:
        DataError: A data set is not there.
        StorageError: The disk is full or not writable.
    """
    code = hash_code(JUDGING)
    for data_set in SETS:
        digest = hash_data(SOURCES[data_set], data=plan.data)
        for width in WIDTHS:
            pool = make_pool(data_set, width=width, rows=_POOL_ROWS, data=plan.data, workspace=plan.prepared)
            for rows in ROWS:
                for judge in JUDGES:
                    for planted in (NOTHING, *SHIFTS):
                        pairs = plan.pairs if planted == NOTHING else -(-plan.pairs // 4)
                        yield _measure_cell(
                            plan.kept,
                            pool,
                            pairs=pairs,
                            made_of=_Inputs(judge, data_set, digest, rows, width, planted, code),
                        )


@dataclass(frozen=True)
class _Inputs:
    judge: str
    data_set: str
    data: str
    rows: int
    width: int
    planted: str
    code: str


def _measure_cell(kept: CellStore, pool: Pool, *, pairs: int, made_of: _Inputs) -> Cell:
    found = kept.read(**asdict(made_of)) or {"alarms": [], "cpu_seconds": []}
    alarms, seconds = found["alarms"], found["cpu_seconds"]
    while len(alarms) < pairs:
        begun = time.process_time()
        alarms.append(_judge_pair(pool, made_of, number=len(alarms)))
        seconds.append(time.process_time() - begun)
        kept.write({"alarms": alarms, "cpu_seconds": seconds}, **asdict(made_of))
    return Cell(
        judge=made_of.judge,
        data_set=made_of.data_set,
        rows=made_of.rows,
        width=made_of.width,
        planted=made_of.planted,
        pairs=pairs,
        alarms=sum(alarms[:pairs]),
        cpu_seconds=sum(seconds[:pairs]) / max(1, pairs),
    )


def _judge_pair(pool: Pool, asked: _Inputs, *, number: int) -> bool:
    rng = np.random.default_rng([number, asked.rows, asked.width])
    profile, live = pool.draw(asked.rows, rng)
    if asked.planted != NOTHING:
        profile, live = SHIFTS[asked.planted](profile, live, rng)
    return bool(JUDGES[asked.judge](profile, live, seed=number))


def compute_false_alarm_rate(cells: list[Cell], judge: str) -> float:
    """Share of pairs of one distribution with an alarm, over all cells."""
    return _share([cell for cell in cells if cell.judge == judge and cell.planted == NOTHING])


def compute_detection_rate(cells: list[Cell], judge: str) -> float:
    """Share of planted shifts found, over all cells."""
    return _share([cell for cell in cells if cell.judge == judge and cell.planted != NOTHING])


def _share(cells: list[Cell]) -> float:
    return sum(cell.alarms for cell in cells) / max(1, sum(cell.pairs for cell in cells))
