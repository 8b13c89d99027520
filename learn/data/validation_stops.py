"""When a run must stop: Great Expectations' verdict over each table as a whole, and the message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import polars as pl

from learn.config import ValidationSettings
from learn.data.check_columns import ItemFacts, without_rows
from learn.data.checked_table import CheckedTable
from learn.data.expectations import ITEM_QUARANTINED, failing_rows, table_checks
from learn.data.validation_summary import CheckSummary, Example, TableSummary
from learn.errors import InvalidDataError

_WORST = 3


@dataclass(frozen=True)
class TableFacts:
    """The one row over which a table as a whole is judged."""

    rows: int
    valid: int
    share: float
    repeated_ids: int = 0
    users_with_two: int = 0


def judge(
    items: CheckedTable,
    interactions: CheckedTable,
    facts: ItemFacts,
    *,
    sources: Mapping[str, Path],
    report: Path,
    settings: ValidationSettings,
) -> InvalidDataError | None:
    """Return the error to stop with, or None.

    Args:
        items: The items, checked.
        interactions: The interactions, checked.
        facts: What holds for the items as a whole.
        sources: The file of each table, for the message.
        report: The report, for the message.
        settings: Thresholds.
    """
    judged = {
        "items": TableFacts(*_counts(items.summary), repeated_ids=facts.repeated_ids.height),
        "interactions": TableFacts(*_counts(interactions.summary), users_with_two=_users_with_two(interactions)),
    }
    named = {f"{table}.{fact}": [value] for table, one in judged.items() for fact, value in asdict(one).items()}
    checks = table_checks(max_quarantined_share=settings.max_quarantined_share)
    failed = failing_rows(pl.DataFrame({"row": [0], **named}), checks)
    first = next((check.name for check in checks if len(failed[check.name])), None)
    if first is None:
        return None
    table, check = first.split(".")
    summary = items.summary if table == "items" else interactions.summary
    what = _repeated_id(items.table, facts) if check == "repeated_id" else _said(check, summary)
    return InvalidDataError(what, where=sources[table], fix=_fix(check, summary, report))


def _counts(summary: TableSummary) -> tuple[int, int, float]:
    return summary.rows, summary.valid, summary.share


def _users_with_two(interactions: CheckedTable) -> int:
    kept = without_rows(interactions.table, interactions.quarantined)
    counts = kept.group_by("user_id").agg(rows=pl.len())
    return int(counts.filter(pl.col("rows") >= 2).select(pl.len()).collect(engine="streaming").item())


def _repeated_id(items: pl.LazyFrame, facts: ItemFacts) -> str:
    repeated = facts.repeated_ids.sort("row")
    row, first = repeated.row(0)
    item_id = items.filter(pl.col("row") == row).select("item_id").collect().item()
    others = f" {repeated.height - 1:,} more rows repeat an id." if repeated.height > 1 else ""
    return f"Two items have the id `{item_id}`: rows {first:,} and {row:,} (counted from 0).{others}"


def _said(check: str, summary: TableSummary) -> str:
    if check == "empty":
        return f"The table of {summary.name} has no rows."
    if check == "no_pair":
        said = "There is no user with two interactions: nothing can be learned from what follows what."
        return said if summary.quarantined == 0 else f"{said} {_worst(summary)}"
    own = summary.quarantined - summary.followed
    counts = f"{own:,} of {summary.rows:,} rows of the {summary.name} failed their checks ({summary.share * 100:.1f} %)"
    if check == "none_valid":
        followed = f", the other {summary.followed:,} belong to items that failed" if summary.followed else ""
        return f"No row is valid: {counts}{followed}. {_worst(summary)}"
    return f"{counts}, more than are allowed. {_worst(summary)}"


def _worst(summary: TableSummary) -> str:
    worst = _failed_most(summary)
    if not worst:
        return ""
    listed = "; ".join(f"`{check.name}` ({check.title}): {_rows(check.failing)}" for check in worst)
    shown = "".join(f"\n  row {one.row:,}, {one.key}: {one.shown}" for one in _three_rows(worst))
    return f"Worst: {listed}. For example (rows counted from 0):{shown}"


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _failed_most(summary: TableSummary) -> list[CheckSummary]:
    errors = [check for check in summary.checks if check.severity == "error" and check.failing]
    own = [check for check in errors if check.name != ITEM_QUARANTINED]
    return sorted(own or errors, key=lambda check: -check.failing)[:_WORST]


def _three_rows(checks: list[CheckSummary]) -> list[Example]:
    # One row of each check before the second of any: three of one kind show less.
    turns = zip_longest(*(check.examples for check in checks))
    return list(dict.fromkeys(example for turn in turns for example in turn if example is not None))[:3]


def _fix(check: str, summary: TableSummary, report: Path) -> str:
    if check == "repeated_id":
        return "give each item one row and one id of its own"
    if check in {"empty", "no_pair"}:
        return "give a table in which users have two interactions or more"
    fix = f"open {report}, mend the rows"
    if check == "too_many":
        fix += ", or raise `validation.max_quarantined_share` if this many are to be left out"
    if any(one.name == "timestamp_out_of_range" for one in _failed_most(summary)):
        fix += '; if the timestamps are no dates, set `validation.timestamps = "order"`'
    return fix
