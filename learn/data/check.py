"""Check a data folder without training on it: read, validate, split, and report what was found.

Nothing is left behind: the tables are made in a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from learn.config import Settings
from learn.data.histories import Histories
from learn.data.sources import find_sources, require_tables
from learn.data.splits import SplitSummary, build_histories
from learn.data.tables import load_tables
from learn.data.validation.summary import CheckSummary, TableSummary, ValidationSummary
from learn.errors import DataError


@dataclass(frozen=True)
class TableCounts:
    """The rows of one table; ``rows == valid + quarantined + rejected``.

    Attributes:
        rows: Records of the file.
        valid: Rows that a training would use.
        quarantined: Rows that failed a check.
        rejected: Records that the reader left out, as the settings say.
    """

    rows: int
    valid: int
    quarantined: int
    rejected: int


@dataclass(frozen=True)
class FolderCheck:
    """What a training would find in a folder.

    Attributes:
        items: Rows of the items.
        interactions: Rows of the interactions.
        users: Different users of the valid interactions.
        items_used: Different items of the valid interactions.
        timestamp_unit: ``seconds``, ``milliseconds`` …, or ``order``.
        first: Time of the oldest valid interaction, ISO 8601 in UTC; None if timestamps are only an order.
        last: Time of the newest one.
        split: ``by_date`` or ``leave_one_out``.
        described: The split in words, with its dates.
        loss: What the towers would be trained by.
        repeat_share: Share of the valid interactions whose user had that item before.
        basket_share: Share of the valid interactions with another one of the same user at the same time.
        failed_checks: Failed checks of both tables: the table, what was checked, and the number of rows.
        items_without_text: Items whose title is empty.
        notes: What the reader decided about the files by itself.
    """

    items: TableCounts
    interactions: TableCounts
    users: int
    items_used: int
    timestamp_unit: str
    first: str | None
    last: str | None
    split: str
    described: str
    loss: str
    repeat_share: float
    basket_share: float
    failed_checks: tuple[tuple[str, str, int], ...]
    items_without_text: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain values, for JSON."""
        return asdict(self)

    def format_lines(self) -> str:
        """Return the check as lines for a person."""
        tables = (("Items", self.items), ("Interactions", self.interactions))
        return "\n".join(
            [
                *(
                    f"{name:<13}{counts.rows:,} rows: {counts.valid:,} valid, {counts.quarantined:,} quarantined, "
                    f"{counts.rejected:,} rejected"
                    for name, counts in tables
                ),
                *(f"             {table}: {count:,} rows fail: {title}" for table, title, count in self.failed_checks),
                f"Users        {self.users:,}, who use {self.items_used:,} items",
                f"Text         {self.items_without_text:,} items without a title",
                f"Timestamps   {self.timestamp_unit}" + (f", {self.first} to {self.last}" if self.first else ""),
                f"Split        {self.split}: {self.described}",
                f"Loss         {self.loss}",
                f"Repeats      {self.repeat_share:.1%} of the interactions are with an item that the user had before",
                f"Baskets      {self.basket_share:.1%} of the interactions share user and time with another one",
                *(f"Note         {note}" for note in self.notes),
            ]
        )


def check_folder(folder: Path, *, settings: Settings) -> FolderCheck:
    """Read, validate and split a folder as a training would.

    Args:
        folder: Folder of ``items`` and ``interactions``; it is only read.
        settings: Sections ``data``, ``validation``, ``split`` and ``training`` are read.

    Raises:
        DataError: A table is missing or cannot be read, or it changes just now.
        InvalidDataError: Too many rows failed their checks.
        SplitError: No training, validation or test part can be made.
        StorageError: The disk is full or not writable.
    """
    # Here and no earlier: Great Expectations takes seconds to load.
    from learn.data.validation.validate import validate_tables

    with tempfile.TemporaryDirectory(prefix="learn-check-") as temporary:
        scratch = Path(temporary)
        require_tables(folder, settings=settings.data)
        found = find_sources(folder, settings.data)
        sources = [found.items.path, found.interactions.path]
        before = _read_states(sources)
        raw = load_tables(folder, scratch / "raw", settings=settings.data, timestamps=settings.validation.timestamps)
        if _read_states(sources) != before:
            fix = "wait until the program that writes there has ended, and check again"
            raise DataError("The tables changed while they were being read.", where=folder, fix=fix)
        valid = validate_tables(
            raw.folder,
            scratch / "valid",
            report=scratch / "validation.html",
            settings=settings.validation,
            sources=[folder / name for name in raw.sources],
        )
        split = build_histories(valid.folder, scratch / "histories", settings=settings.split)
        return _summarise(valid, split, settings)


def _read_states(paths: Sequence[Path]) -> list[tuple[int, int, int] | None]:
    """Return what tells whether files change; None for one that is gone."""
    states = [path.stat() if path.exists() else None for path in paths]
    return [state and (state.st_size, state.st_mtime_ns, state.st_ino) for state in states]


def _summarise(valid: ValidationSummary, split: SplitSummary, settings: Settings) -> FolderCheck:
    rows = pl.scan_parquet(valid.folder / "interactions.parquet")
    facts = rows.select(
        users=pl.col("user_id").n_unique(),
        items=pl.col("item_id").n_unique(),
        pairs=pl.struct("user_id", "item_id").n_unique(),
        in_baskets=pl.struct("user_id", "timestamp").is_duplicated().sum(),
        first=pl.col("timestamp").min(),
        last=pl.col("timestamp").max(),
        count=pl.len(),
    ).collect(engine="streaming")
    found = facts.row(0, named=True)
    scale = Histories.open(split.folder).scale
    first, last = (
        scale.to_datetime(found[end]).isoformat(timespec="seconds") if scale.is_clock else None
        for end in ("first", "last")
    )
    return FolderCheck(
        items=_count(valid.items),
        interactions=_count(valid.interactions, left_out=valid.left_out),
        users=found["users"],
        items_used=found["items"],
        timestamp_unit=valid.timestamp_unit,
        first=first,
        last=last,
        split=split.method,
        described=split.described,
        loss=settings.training.choose_loss(found["items"]),
        repeat_share=round(1 - found["pairs"] / found["count"], 4),
        basket_share=round(found["in_baskets"] / found["count"], 4),
        failed_checks=tuple(
            (table.name, _describe(check), check.failing)
            for table in (valid.items, valid.interactions)
            for check in sorted(table.checks, key=_count_failed, reverse=True)
            if check.failing
        ),
        items_without_text=sum(check.failing for check in valid.items.checks if check.name == "title_missing"),
        notes=valid.notes,
    )


def _count(table: TableSummary, *, left_out: int = 0) -> TableCounts:
    # The reader refuses a file whole: it rejects no single record but those that a setting leaves out.
    return TableCounts(table.rows + left_out, table.valid, table.quarantined, left_out)


def _count_failed(check: CheckSummary) -> int:
    return check.failing


def _describe(check: CheckSummary) -> str:
    if not check.name.endswith("_unreadable"):
        return check.title
    # What was unreadable says more than the check's name.
    return f"{check.title}, for example {'; '.join(f'`{one.shown}`' for one in check.examples[:3])}"
