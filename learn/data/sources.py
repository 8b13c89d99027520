"""The files of a data folder: which holds the items, which the interactions, and whether their columns are there.

What is wrong with both tables is told at once, before any of them is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from learn.config import DataSettings
from learn.data.columns import find_missing_columns, format_mapping
from learn.data.dialects import detect_dialect
from learn.data.formats import (
    TableFile,
    explain_unreadable,
    find_table,
    prefer_system_fault,
)
from learn.data.json_lines import iterate_lines, parse_json_object
from learn.data.parquet import ParquetSource, list_part_names, read_column_names
from learn.errors import DataError

ITEM_COLUMNS = ("item_id", "title")
INTERACTION_COLUMNS = ("user_id", "item_id", "timestamp")

# Keys that no earlier record of JSON Lines has are rare after so many.
_FIRST_RECORDS = 1_000


@dataclass(frozen=True)
class Sources:
    """The files of both tables; one and the same where one file holds both.

    Attributes:
        items: The file of the items.
        interactions: The file of the interactions.
    """

    items: TableFile
    interactions: TableFile

    @property
    def is_one_table(self) -> bool:
        """Whether one file holds both tables."""
        return self.items == self.interactions


def find_sources(folder: Path, settings: DataSettings) -> Sources:
    """Find the files of both tables.

    Raises:
        DataError: The folder is missing, or a table has no file, more than one, or an empty one; it names both tables
            if both are wrong.
    """
    found: list[TableFile] = []
    faults: list[DataError] = []
    for table, named in (("items", settings.items_file), ("interactions", settings.interactions_file)):
        try:
            found.append(find_table(folder, table, named=named))
        except DataError as fault:
            faults.append(fault)
    if faults:
        raise _join_faults(faults, where=folder)
    return Sources(*found)


def _join_faults(faults: Sequence[DataError], *, where: Path) -> DataError:
    """Return one error for several; what they have in common is said once."""
    if len(faults) == 1 or len({fault.what for fault in faults}) == 1:
        return faults[0]
    fixes = list(dict.fromkeys(fault.fix for fault in faults))
    return DataError(" ".join(fault.what for fault in faults), where=where, fix="\n".join(fixes))


def require_sources(folder: Path, settings: DataSettings) -> Sources:
    """Find the files of both tables and check that each column that is needed is there, reading their beginnings only.

    Raises:
        DataError: As :func:`find_sources`; or columns are missing, all of which it names, with the settings that map
            those that look like them.
    """
    sources = find_sources(folder, settings)
    missing: list[DataError] = []
    guessed: dict[str, dict[str, str]] = {}
    for file, required, setting in list_required_columns(sources, settings):
        mapping: Mapping[str, str] = getattr(settings, setting)
        names = read_names(file, encoding=settings.encoding)
        fault, near = find_missing_columns(names, mapping=mapping, required=required, path=file.path, setting=setting)
        if fault is not None and names:
            missing.append(fault)
            guessed[setting] = {**mapping, **near}
    if len(missing) == 1:
        raise missing[0]
    if missing:
        what = " ".join(f"{Path(str(fault.where)).name}: {fault.what}" for fault in missing)
        lines = "\n".join(format_mapping(setting, mapping) for setting, mapping in guessed.items() if mapping)
        listed = "\n".join(f"{Path(str(fault.where)).name}: {fault.fix}" for fault in missing)
        fix = f"map them in the settings:\n[data]\n{lines}\n" if lines else ""
        raise DataError(what, where=folder, fix=f"{fix}{listed}")
    return sources


def list_required_columns(sources: Sources, settings: DataSettings) -> list[tuple[TableFile, tuple[str, ...], str]]:
    """Return for each table its file, the columns that it must have, and the setting that maps them."""
    if not sources.is_one_table:
        return [
            (sources.items, ITEM_COLUMNS, "item_columns"),
            (sources.interactions, INTERACTION_COLUMNS, "interaction_columns"),
        ]
    # One mapping of the id is enough for one file.
    item_columns = ITEM_COLUMNS if "item_id" in settings.item_columns else ITEM_COLUMNS[1:]
    interaction_columns = tuple(
        name
        for name in INTERACTION_COLUMNS
        if name != "item_id" or "item_id" in settings.interaction_columns or "item_id" not in settings.item_columns
    )
    return [
        (sources.items, item_columns, "item_columns"),
        (sources.interactions, interaction_columns, "interaction_columns"),
    ]


def read_names(file: TableFile, *, encoding: str) -> list[str]:
    """Return the names of a file's columns from its beginning.

    Raises:
        DataError: The beginning cannot be read.
    """
    try:
        if file.format == "parquet":
            return _read_parquet_names(file)
        if file.format == "jsonl":
            return _read_keys(file)
        return list(detect_dialect(file, encoding=encoding).names)
    except UnicodeDecodeError:
        # Reading the table names the line.
        return []
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, file.path)) from fault


def _read_parquet_names(file: TableFile) -> list[str]:
    if file.path.is_dir():
        return list_part_names(file.path)
    if file.compression is None:
        return read_column_names(ParquetSource(file.path, named=file.path))
    return []


def _read_keys(file: TableFile) -> list[str]:
    keys: dict[str, None] = {}
    for number, (_, line) in enumerate(iterate_lines(file.path)):
        if number == _FIRST_RECORDS:
            break
        try:
            keys.update(dict.fromkeys(parse_json_object(line)))
        except ValueError:
            # Reading the table names the line.
            return []
    return list(keys)


def require_tables(folder: Path, *, settings: DataSettings | None = None) -> None:
    """Check that a folder holds both tables with their columns, by their beginnings: before the work of hours that
    needs them later.

    Args:
        folder: The folder.
        settings: Names of files and columns; those of the contract if not given.

    Raises:
        DataError: As :func:`require_sources`.
    """
    require_sources(folder, settings or DataSettings())
