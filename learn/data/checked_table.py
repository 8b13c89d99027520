"""A table with every check run over it, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.data.check_columns import batches
from learn.data.expectations import ITEM_QUARANTINED, Check, failing_rows
from learn.data.quarantine import examples
from learn.data.validation_summary import CheckSummary, Example, TableSummary

Failing = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class CheckedTable:
    """A table's rows and what failed among them.

    Attributes:
        table: All rows.
        failures: ``row`` (Int64) and ``reason`` (String), one line for each error of each row; no warnings.
        summary: The same in numbers.
    """

    table: pl.LazyFrame
    failures: pl.DataFrame
    summary: TableSummary

    @property
    def quarantined(self) -> pl.Series:
        """Row numbers with at least one error."""
        return self.failures["row"].unique()


def check_table(
    name: str, table: pl.LazyFrame, checks: Sequence[Check], columns: Callable[[pl.DataFrame], pl.DataFrame]
) -> CheckedTable:
    """Run a suite over a table.

    Args:
        name: ``items`` or ``interactions``.
        table: Its rows.
        checks: The suite.
        columns: Derives the suite's columns from a batch of rows.
    """
    rows = 0
    found: dict[str, list[NDArray[np.int64]]] = {check.name: [] for check in checks}
    for batch in batches(table):
        rows += batch.height
        for reason, failed in failing_rows(columns(batch), checks).items():
            found[reason].append(failed)
    failing = {reason: np.concatenate([np.zeros(0, np.int64), *parts]) for reason, parts in found.items()}
    failures = pl.concat(
        pl.DataFrame({"row": failing[check.name]}, schema={"row": pl.Int64}).with_columns(reason=pl.lit(check.name))
        for check in checks
        if check.severity == "error"
    )
    shown = examples(name, table, {reason: failed for reason, failed in failing.items() if len(failed)})
    results = tuple(_result(check, failing, rows, shown) for check in checks)
    return CheckedTable(table, failures, _table_summary(name, rows, failures, results))


def _result(check: Check, failing: Failing, rows: int, shown: Mapping[str, tuple[Example, ...]]) -> CheckSummary:
    count = len(failing[check.name])
    return CheckSummary(
        name=check.name,
        title=check.title,
        severity=check.severity,
        passed=count <= check.allowed_share * rows,
        failing=count,
        share=count / max(rows, 1),
        examples=shown.get(check.name, ()),
    )


def _table_summary(name: str, rows: int, failures: pl.DataFrame, checks: tuple[CheckSummary, ...]) -> TableSummary:
    quarantined = failures["row"].n_unique()
    own = failures.filter(pl.col("reason") != ITEM_QUARANTINED)["row"].n_unique()
    return TableSummary(
        name=name,
        rows=rows,
        valid=rows - quarantined,
        quarantined=quarantined,
        followed=quarantined - own,
        share=own / max(rows, 1),
        checks=checks,
    )
