"""What validation found: small frozen records for cards, reports and the run's result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Example:
    """One row that failed a check.

    Attributes:
        row: Row in the source file, counted from 0 without a header.
        key: The item's id, or the user's and the item's.
        shown: What was checked, cut to a readable length; for people, not escaped.
    """

    row: int
    key: str
    shown: str


@dataclass(frozen=True)
class CheckSummary:
    """One expectation's result over a whole table.

    Attributes:
        name: Stable name; the reason in the quarantine table.
        title: What is expected, in plain words.
        severity: ``error`` sends a row to quarantine, ``warning`` only tells.
        passed: Whether no more rows failed than are allowed.
        failing: Rows that failed.
        share: The same as a share of the table.
        examples: The first few of them.
    """

    name: str
    title: str
    severity: Severity
    passed: bool
    failing: int
    share: float
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class TableSummary:
    """What validation found in one table.

    Attributes:
        name: ``items`` or ``interactions``.
        rows: Rows read.
        valid: Rows that continue.
        quarantined: Rows that do not; ``valid + quarantined == rows``.
        followed: Those of them whose only fault is that their item was quarantined.
        share: Quarantined share of the table: what the threshold is compared with.
        checks: Every expectation's result.
    """

    name: str
    rows: int
    valid: int
    quarantined: int
    followed: int
    share: float
    checks: tuple[CheckSummary, ...]

    @property
    def own_share(self) -> float:
        """Share of the rows that are quarantined for their own fault."""
        return (self.quarantined - self.followed) / max(self.rows, 1)


@dataclass(frozen=True)
class ValidationSummary:
    """What validation found, and where its tables are.

    Attributes:
        folder: Holds ``items.parquet``, ``interactions.parquet`` and ``quarantine.parquet``.
        report: The HTML report.
        quarantine: The quarantine table.
        items: What was found in the items.
        interactions: What was found in the interactions.
        timestamp_unit: What the timestamps are: ``seconds``, ``milliseconds`` … or ``order``.
        script: The script of most titles.
        notes: What the reader decided without a setting, in sentences for people.
        left_out: Interactions without a user that the reader left out, as the settings say; no part of the rows.
    """

    folder: Path
    report: Path
    quarantine: Path
    items: TableSummary
    interactions: TableSummary
    timestamp_unit: str
    script: str
    notes: tuple[str, ...] = ()
    left_out: int = 0
