"""Validation: every row is checked by Great Expectations and goes on, or to quarantine with its reasons.

    from learn.data.validation import validate_tables

Nothing is dropped silently: ``valid + quarantined == rows``, for each table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from learn.config import ValidationSettings
from learn.data.check_columns import (
    ItemFacts,
    interaction_check_columns,
    interaction_facts,
    item_check_columns,
    item_facts,
    present,
)
from learn.data.checked_table import CheckedTable, check_table
from learn.data.expectations import interaction_checks, item_checks
from learn.data.quarantine import QUARANTINE, leave_nothing, quarantine_rows, write_quarantine, write_valid
from learn.data.staging import working_folder
from learn.data.validation_report import write_report
from learn.data.validation_stops import judge
from learn.data.validation_summary import ValidationSummary
from learn.errors import DataError, InvalidDataError, SettingsError, storage_faults

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
        report: HTML file. When the run must stop, the quarantine lies beside it and the destination holds nothing.
        settings: Thresholds and lists.
        sources: The person's own files of items and of interactions, for messages; the tables' if not given.

    Raises:
        InvalidDataError: Two items have one id, too many rows failed, or nothing is left to train on.
        DataError: The tables are not there.
        SettingsError: ``earliest`` or ``latest`` is no date, or ``tables`` and ``destination`` are one folder.
        StorageError: The disk is full or closed.
    """
    raw_items, raw_interactions = _scan(tables, "items"), _scan(tables, "interactions")
    if tables.resolve() == destination.resolve():
        raise SettingsError(
            "The tables would be overwritten by their own valid rows.", where=destination, fix="name another folder"
        )
    # Beside the tables, where there is room for tables.
    with storage_faults(tables), working_folder(tables, prefix=".unfinished-") as scratch:
        facts = item_facts(raw_items, scratch=scratch)
        items = _check_items(raw_items, facts, settings)
        interactions, unit = _check_interactions(raw_interactions, items, settings, scratch=scratch)
    named = dict(zip(_TABLES, sources or [tables / f"{name}.parquet" for name in _TABLES], strict=True))
    stop = judge(items, interactions, facts, sources=named, report=report, settings=settings)
    summary = ValidationSummary(
        folder=destination,
        report=report,
        quarantine=(destination if stop is None else report.parent) / QUARANTINE,
        items=items.summary,
        interactions=interactions.summary,
        timestamp_unit=unit,
        script=facts.script,
    )
    _write(summary, items, interactions, stop=stop)
    if stop is not None:
        raise stop
    return summary


def _scan(tables: Path, name: str) -> pl.LazyFrame:
    path = tables / f"{name}.parquet"
    if not path.is_file():
        raise DataError(f"There is no table of {name}.", where=path, fix="load the tables first")
    return pl.scan_parquet(path)


def _check_items(table: pl.LazyFrame, facts: ItemFacts, settings: ValidationSettings) -> CheckedTable:
    checks = item_checks(settings, script=facts.script)
    return check_table("items", table, checks, lambda batch: item_check_columns(batch, facts, settings))


def _check_interactions(
    table: pl.LazyFrame, items: CheckedTable, settings: ValidationSettings, *, scratch: Path
) -> tuple[CheckedTable, str]:
    ids = items.table.select("row", present("item_id")).drop_nulls().collect()
    facts = interaction_facts(
        table,
        item_ids=ids["item_id"],
        rejected_ids=ids.filter(pl.col("row").is_in(items.quarantined.implode()))["item_id"],
        settings=settings,
        scratch=scratch,
    )
    checks = interaction_checks(facts)
    checked = check_table("interactions", table, checks, lambda batch: interaction_check_columns(batch, facts))
    return checked, facts.scale.unit


def _write(
    summary: ValidationSummary, items: CheckedTable, interactions: CheckedTable, *, stop: InvalidDataError | None
) -> None:
    write_report(summary, stopped=None if stop is None else str(stop))
    both = {"items": items, "interactions": interactions}
    quarantine = [quarantine_rows(name, one.table, one.failures) for name, one in both.items()]
    if stop is None:
        write_valid({name: (one.table, one.quarantined) for name, one in both.items()}, quarantine, summary.folder)
    else:
        leave_nothing(summary.folder)
        write_quarantine(quarantine, summary.quarantine)
