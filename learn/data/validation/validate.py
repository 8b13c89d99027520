"""Validate both tables: each row is checked by Great Expectations and goes on, or to quarantine with its reasons.

    from learn.data import validate_tables

Nothing is dropped silently: ``valid + quarantined == rows`` holds for each table. A run stops where too many rows fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.config import ValidationSettings
from learn.data.tables import open_reading_record
from learn.data.timestamps import TimestampScale, read_timestamp_scale
from learn.data.validation.derived_columns import (
    ItemFacts,
    blank_to_null,
    collect_interaction_facts,
    collect_item_facts,
    derive_interaction_columns,
    derive_item_columns,
    drop_rows,
    iterate_batches,
)
from learn.data.validation.expectations import (
    ITEM_QUARANTINED,
    Check,
    find_failing_rows,
    list_interaction_checks,
    list_item_checks,
    list_table_checks,
)
from learn.data.validation.quarantine import (
    QUARANTINE,
    build_quarantine_rows,
    collect_examples,
    leave_nothing,
    write_quarantine,
    write_valid,
)
from learn.data.validation.report import write_report
from learn.data.validation.summary import CheckSummary, Example, TableSummary, ValidationSummary
from learn.errors import DataError, InvalidDataError, SettingsError, explain_storage_faults
from learn.storage import open_working_folder

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
    for batch in iterate_batches(table):
        rows += batch.height
        for reason, failed in find_failing_rows(columns(batch), checks).items():
            found[reason].append(failed)
    failing = {reason: np.concatenate([np.zeros(0, np.int64), *parts]) for reason, parts in found.items()}
    failures = pl.concat(
        pl.DataFrame({"row": failing[check.name]}, schema={"row": pl.Int64}).with_columns(reason=pl.lit(check.name))
        for check in checks
        if check.severity == "error"
    )
    shown = collect_examples(name, table, {reason: failed for reason, failed in failing.items() if len(failed)})
    results = tuple(_summarise_check(check, failing, rows, shown) for check in checks)
    return CheckedTable(table, failures, _summarise_table(name, rows, failures, results))


def _summarise_check(
    check: Check, failing: Failing, rows: int, shown: Mapping[str, tuple[Example, ...]]
) -> CheckSummary:
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


def _summarise_table(name: str, rows: int, failures: pl.DataFrame, checks: tuple[CheckSummary, ...]) -> TableSummary:
    quarantined = failures["row"].n_unique()
    own = failures.filter(pl.col("reason") != ITEM_QUARANTINED)["row"].n_unique()
    return TableSummary(
        name=name,
        rows=rows,
        valid=rows - quarantined,
        quarantined=quarantined,
        followed=quarantined - own,
        share=quarantined / max(rows, 1),
        checks=checks,
    )


_WORST = 3
_TITLE_CHARACTERS = 60


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
        "items": TableFacts(*_count_quarantined(items.summary), repeated_ids=facts.repeated_ids.height),
        "interactions": TableFacts(
            *_count_quarantined(interactions.summary), users_with_two=_count_users_with_two(interactions)
        ),
    }
    named = {f"{table}.{fact}": [value] for table, one in judged.items() for fact, value in asdict(one).items()}
    checks = list_table_checks(max_quarantined_share=settings.max_quarantined_share)
    failed = find_failing_rows(pl.DataFrame({"row": [0], **named}), checks)
    first = next((check.name for check in checks if len(failed[check.name])), None)
    if first is None:
        return None
    table, check = first.split(".")
    summary = items.summary if table == "items" else interactions.summary
    if check == "repeated_id":
        what = _describe_repeated_id(items.table, facts)
    else:
        lost = _describe_lost(items, interactions) if table == "interactions" else ""
        what = _explain_stop(check, summary, lost=lost)
    return InvalidDataError(what, where=sources[table], fix=_fix(check, summary, report))


def _count_quarantined(summary: TableSummary) -> tuple[int, int, float]:
    return summary.rows, summary.valid, summary.share


def _count_users_with_two(interactions: CheckedTable) -> int:
    kept = drop_rows(interactions.table, interactions.quarantined)
    counts = kept.group_by("user_id").agg(rows=pl.len())
    return int(counts.filter(pl.col("rows") >= 2).select(pl.len()).collect(engine="streaming").item())


def _describe_repeated_id(items: pl.LazyFrame, facts: ItemFacts) -> str:
    repeated = facts.repeated_ids.sort("row")
    row, first = repeated.row(0)
    item_id = items.filter(pl.col("row") == row).select("item_id").collect().item()
    others = f" {repeated.height - 1:,} more rows repeat an id." if repeated.height > 1 else ""
    return f"Two items have the id `{item_id}`: rows {first:,} and {row:,} (counted from 0).{others}"


def _explain_stop(check: str, summary: TableSummary, *, lost: str) -> str:
    if check == "empty":
        return f"The table of {summary.name} has no rows."
    if check == "no_pair":
        said = "There is no user with two interactions: nothing can be learned from what follows what."
        return said if summary.quarantined == 0 else f"{said} {_describe_worst(summary)}"
    counts = (
        f"{summary.quarantined:,} of {summary.rows:,} rows of the {summary.name} failed their checks "
        f"({summary.share * 100:.1f} %)"
    )
    said = f"No row is valid: {counts}." if check == "none_valid" else f"{counts}, more than are allowed."
    return " ".join(filter(None, [said, lost, _describe_worst(summary)]))


def _describe_lost(items: CheckedTable, interactions: CheckedTable) -> str:
    """Say how many interactions are lost with how many items, for which reasons and titles; empty if none is."""
    if not interactions.summary.followed:
        return ""
    rows = interactions.failures.filter(pl.col("reason") == ITEM_QUARANTINED)["row"]
    lost = (
        interactions.table.filter(pl.col("row").is_in(rows.implode()))
        .group_by(blank_to_null("item_id"))
        .agg(lost=pl.len())
        .join(items.table.select("item_id", "title", item_row="row"), on="item_id")
        .collect(engine="streaming")
        .sort(["lost", "item_row"], descending=[True, False])
    )
    reasons = items.failures.filter(pl.col("row").is_in(lost["item_row"].implode()))["reason"].value_counts()
    named = ", ".join(f"`{reason}` ({count:,})" for reason, count in reasons.sort("reason").iter_rows())
    shown = ", ".join(
        f"`{_shorten(title or '')}` ({item_id}): {count:,}"
        for item_id, title, count in lost.head(_WORST).select("item_id", "title", "lost").iter_rows()
    )
    return (
        f"{interactions.summary.followed:,} of them only follow their item to quarantine: {lost['lost'].sum():,} "
        f"interactions hang on {lost.height:,} quarantined items, {named}. The titles with most of them: {shown}."
    )


def _shorten(title: str) -> str:
    return title if len(title) <= _TITLE_CHARACTERS else f"{title[:_TITLE_CHARACTERS]}…"


def _describe_worst(summary: TableSummary) -> str:
    worst = _list_worst_checks(summary)
    if not worst:
        return ""
    listed = "; ".join(f"`{check.name}` ({check.title}): {_format_rows(check.failing)}" for check in worst)
    shown = "".join(f"\n  row {one.row:,}, {one.key}: {one.shown}" for one in _choose_three_rows(worst))
    return f"Worst: {listed}. For example (rows counted from 0):{shown}"


def _format_rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _list_worst_checks(summary: TableSummary) -> list[CheckSummary]:
    errors = [check for check in summary.checks if check.severity == "error" and check.failing]
    own = [check for check in errors if check.name != ITEM_QUARANTINED]
    return sorted(own or errors, key=lambda check: -check.failing)[:_WORST]


def _choose_three_rows(checks: list[CheckSummary]) -> list[Example]:
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
        if summary.followed:
            fix += "; items whose title is right need a text in another column, or `validation.placeholders` without it"
    if any(one.name == "timestamp_out_of_range" for one in _list_worst_checks(summary)):
        fix += '; if the timestamps are no dates, set `validation.timestamps = "order"`; if their days are right, set '
        fix += "`validation.earliest` and `validation.latest`"
    return fix


__all__ = ["ValidationSummary", "validate_tables"]

_TABLES = ("items", "interactions")


def validate_tables(
    tables: Path,
    destination: Path,
    *,
    report: Path,
    settings: ValidationSettings,
    sources: Sequence[Path] | None = None,
) -> ValidationSummary:
    """Check both tables; write the valid rows, the quarantine and the report.

    Args:
        tables: Folder that :func:`learn.data.tables.load_tables` wrote.
        destination: Folder for the valid rows and ``quarantine.parquet``.
        report: HTML file. When the run must stop, the quarantine is next to it and the destination holds nothing.
        settings: Thresholds and lists.
        sources: The person's own files of items and of interactions, for messages; the tables' if not given.

    Raises:
        InvalidDataError: Two items have one id, too many rows failed, or nothing is left to train on.
        DataError: The tables are not there.
        SettingsError: ``earliest`` or ``latest`` is no date, or ``tables`` and ``destination`` are one folder.
        StorageError: The disk is full or not writable.
    """
    raw_items, raw_interactions = _scan(tables, "items"), _scan(tables, "interactions")
    if tables.resolve() == destination.resolve():
        raise SettingsError(
            "The tables would be overwritten by their own valid rows.", where=destination, fix="name another folder"
        )
    # Next to the tables, if there is room for tables.
    with explain_storage_faults(tables), open_working_folder(tables, prefix=".unfinished-") as scratch:
        facts = collect_item_facts(raw_items, raw_interactions, settings=settings, scratch=scratch)
        items = _check_items(raw_items, facts, settings)
        scale = read_timestamp_scale(tables / "interactions.parquet", declared=settings.timestamps)
        interactions = _check_interactions(raw_interactions, items, settings, scale=scale, scratch=scratch)
    named = dict(zip(_TABLES, sources or [tables / f"{name}.parquet" for name in _TABLES], strict=True))
    stop = judge(items, interactions, facts, sources=named, report=report, settings=settings)
    record = open_reading_record(tables)
    summary = ValidationSummary(
        folder=destination,
        report=report,
        quarantine=(destination if stop is None else report.parent) / QUARANTINE,
        items=items.summary,
        interactions=interactions.summary,
        timestamp_unit=scale.unit,
        script=facts.script,
        notes=record.notes,
        left_out=record.left_out,
    )
    _write(summary, items, interactions, scale=scale, stop=stop)
    if stop is not None:
        raise stop
    return summary


def _scan(tables: Path, name: str) -> pl.LazyFrame:
    path = tables / f"{name}.parquet"
    if not path.is_file():
        raise DataError(f"There is no table of {name}.", where=path, fix="load the tables first")
    return pl.scan_parquet(path)


def _check_items(table: pl.LazyFrame, facts: ItemFacts, settings: ValidationSettings) -> CheckedTable:
    checks = list_item_checks(settings, facts)
    return check_table("items", table, checks, lambda batch: derive_item_columns(batch, facts, settings))


def _check_interactions(
    table: pl.LazyFrame, items: CheckedTable, settings: ValidationSettings, *, scale: TimestampScale, scratch: Path
) -> CheckedTable:
    ids = items.table.select("row", blank_to_null("item_id")).drop_nulls().collect()
    facts = collect_interaction_facts(
        table,
        item_ids=ids["item_id"],
        rejected_ids=ids.filter(pl.col("row").is_in(items.quarantined.implode()))["item_id"],
        scale=scale,
        settings=settings,
        scratch=scratch,
    )
    checks = list_interaction_checks(facts)
    return check_table("interactions", table, checks, lambda batch: derive_interaction_columns(batch, facts))


def _write(
    summary: ValidationSummary,
    items: CheckedTable,
    interactions: CheckedTable,
    *,
    scale: TimestampScale,
    stop: InvalidDataError | None,
) -> None:
    write_report(summary, stopped=None if stop is None else str(stop))
    both = {"items": items, "interactions": interactions}
    quarantine = [build_quarantine_rows(name, one.table, one.failures) for name, one in both.items()]
    if stop is None:
        passed = {name: (one.table, one.quarantined) for name, one in both.items()}
        write_valid(passed, quarantine, summary.folder, scale=scale)
    else:
        leave_nothing(summary.folder)
        write_quarantine(quarantine, summary.quarantine)
