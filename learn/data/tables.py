"""Read a folder of raw tables into two Parquet files of the contract, with no row dropped.

Columns are mapped and typed. The tables are streamed in blocks, so tens of millions of rows fit a laptop.
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from learn.config import DataSettings
from learn.data.columns import arrange
from learn.data.delimited import convert_delimited
from learn.data.formats import (
    EMPTY_FIX,
    TableFile,
    explain_unreadable,
    find_table,
    list_engine_faults,
    parse_table_name,
    raise_engine_fault,
    unpack,
)
from learn.data.ids import (
    has_formulas,
    has_inexact_ids,
    match_item_ids,
    match_user_ids,
    replace_ids,
    strip_formula,
    to_id_text,
)
from learn.data.json_columns import convert_json_lines
from learn.data.json_lines import count_records, find_first_fault, is_plain_start
from learn.data.numbers import is_number_name, read_number_columns, read_weights
from learn.data.one_table import build_items, count_rows_without_user, drop_rows_without_user
from learn.data.parquet import (
    ParquetSource,
    convert_columns,
    explain_parquet_fault,
    merge_parts,
    read_column_names,
)
from learn.data.readable import EXACT_INTEGER
from learn.data.sources import INTERACTION_COLUMNS, ITEM_COLUMNS, require_sources
from learn.data.timestamp_reading import read_timestamps, require_timestamps
from learn.data.timestamps import Declared, TimestampScale, read_timestamp_scale
from learn.data.values import TEXTS, join_lists, to_plain_value
from learn.errors import DataError
from learn.storage import atomic_files

ITEMS_FILE = "items.parquet"
INTERACTIONS_FILE = "interactions.parquet"
READING_FILE = "reading.json"

_FIRST_COLUMNS = ("row", *INTERACTION_COLUMNS, "timestamp_text")


@dataclass(frozen=True)
class ReadingRecord:
    """What was decided while reading, kept next to the tables.

    Attributes:
        notes: What was decided without a setting, in sentences for people.
        left_out: Interactions without a user that were left out, as the settings say.
    """

    notes: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class TablesSummary:
    """What :func:`load_tables` wrote.

    Attributes:
        folder: Folder with ``items.parquet`` and ``interactions.parquet``.
        items: Rows of the items.
        interactions: Rows of the interactions.
        item_columns: Columns of the items, in order.
        interaction_columns: Columns of the interactions, in order.
        sources: Names of the files that were read, items first.
        record: What was decided while reading.
    """

    folder: Path
    items: int
    interactions: int
    item_columns: tuple[str, ...]
    interaction_columns: tuple[str, ...]
    sources: tuple[str, ...]
    record: ReadingRecord


def load_tables(
    source: Path, destination: Path, *, settings: DataSettings, timestamps: Declared = "auto"
) -> TablesSummary:
    """Read the raw tables of a folder and write them in the contract's layout.

    ``items.parquet`` gets ``row`` (Int64, the data row in the source, from 0), ``item_id`` and ``title`` (String) and
    every further column; ``interactions.parquet`` gets ``row``, ``user_id``, ``item_id`` (String), ``timestamp``
    (Int64 ticks, or Float64 where numbers have fractions; null where it cannot be read), ``timestamp_text`` (String,
    what is where it cannot be read) and every further column. What the ticks are is kept in the file, for
    :func:`learn.data.timestamps.read_timestamp_scale`. ``weight`` becomes Float64, with ``weight_text`` next to it.
    A cell that is no number in a column of numbers is null, and its text is in ``unreadable_`` and the name. No row
    is dropped: that is validation's to decide.

    Args:
        source: Folder with one ``items`` and one ``interactions`` file; only read.
        destination: Folder for the two Parquet files; holds either both or, after an error, neither new one.
        settings: Names of the columns, and the form of the timestamps.
        timestamps: The setting ``validation.timestamps``: what the numbers are.

    Raises:
        DataError: A table is missing, doubled, empty, cut off, damaged, or lacks a column; no timestamp can be read, or
            the data do not tell their days from their months.
        SettingsError: ``timestamp_format`` holds a directive that is unknown.
        StorageError: The disk is full or the destination cannot be written.
    """
    sources = require_sources(source, settings)
    notes: list[str] = []
    with atomic_files(destination, names=(ITEMS_FILE, INTERACTIONS_FILE, READING_FILE)) as stage:
        if sources.is_one_table:
            items, interactions, left_out = _write_one_table(
                sources.items, stage, settings=settings, timestamps=timestamps, notes=notes
            )
        else:
            items = _write_items(sources.items, stage, settings=settings, notes=notes)
            interactions, left_out = _write_interactions(
                sources.interactions, stage, settings=settings, timestamps=timestamps, notes=notes
            )
        _match_ids(stage, file=sources.interactions, notes=notes)
        record = ReadingRecord(notes=tuple(notes), left_out=left_out)
        (stage / READING_FILE).write_bytes(TypeAdapter(ReadingRecord).dump_json(record))
    return TablesSummary(
        folder=destination,
        items=items.num_rows,
        interactions=interactions.num_rows,
        item_columns=tuple(items.schema.names),
        interaction_columns=tuple(interactions.schema.names),
        sources=(sources.items.path.name, sources.interactions.path.name),
        record=record,
    )


def open_reading_record(tables: Path) -> ReadingRecord:
    """Return what :func:`load_tables` recorded in a folder of tables; nothing for tables made in another way."""
    path = tables / READING_FILE
    return TypeAdapter(ReadingRecord).validate_json(path.read_bytes()) if path.is_file() else ReadingRecord()


def load_interactions(source: Path, destination: Path, *, settings: DataSettings) -> Path:
    """Read a table of interactions alone and write it in the contract's layout, as :func:`load_tables` does.

    Args:
        source: The file, of any known format, or a folder with one ``interactions`` file; only read.
        destination: Folder for ``interactions.parquet``.
        settings: Names of the columns.

    Returns:
        The file written.

    Raises:
        DataError: As :func:`load_tables` raises it.
        StorageError: The disk is full or the destination cannot be written.
    """
    if not source.exists():
        raise DataError("There is no such file or folder.", where=source, fix="give a table of interactions")
    named = settings.interactions_file
    file = find_table(source, "interactions", named=named) if source.is_dir() else parse_table_name(source)
    with atomic_files(destination, names=(INTERACTIONS_FILE,)) as stage:
        _write_interactions(file, stage, settings=settings, timestamps="auto", notes=[])
    return destination / INTERACTIONS_FILE


def _write_items(file: TableFile, stage: Path, *, settings: DataSettings, notes: list[str]) -> pq.FileMetaData:
    table = _open_plain_table(
        file,
        stage / "items.plain",
        settings=settings,
        notes=notes,
        required=ITEM_COLUMNS,
        reserved=("row",),
        setting="item_columns",
    )
    if has_formulas(table):
        table = table.with_columns(strip_formula(pl.col("item_id")))
        notes.append(f'{file.path.name}: item ids are formulas of Excel, ="007", and were read as 007.')
    return _write_table(table, stage / ITEMS_FILE, first=("row", *ITEM_COLUMNS), source=file)


def _write_interactions(
    file: TableFile, stage: Path, *, settings: DataSettings, timestamps: Declared, notes: list[str]
) -> tuple[pq.FileMetaData, int]:
    """Write the interactions; return the metadata of the file and how many without a user were left out."""
    table = _open_plain_table(
        file,
        stage / "interactions.plain",
        settings=settings,
        notes=notes,
        required=INTERACTION_COLUMNS,
        reserved=("row", "timestamp_text", "weight_text"),
        setting="interaction_columns",
    )
    table, left_out = _leave_out_unknown_users(join_lists(table), file, settings=settings, notes=notes)
    target = stage / INTERACTIONS_FILE
    read, scale = _read_timestamps_and_weights(table, file, settings=settings, timestamps=timestamps)
    metadata = _write_table(
        read,
        target,
        first=_FIRST_COLUMNS,
        source=file,
        metadata=scale.to_metadata(),
    )
    require_timestamps(_scan_parquet(target), path=file.path, form=settings.timestamp_format)
    return metadata, left_out


def _read_timestamps_and_weights(
    table: pl.LazyFrame, file: TableFile, *, settings: DataSettings, timestamps: Declared
) -> tuple[pl.LazyFrame, TimestampScale]:
    """Read the timestamps and the weights; also return what the timestamps are."""
    try:
        read, scale = read_timestamps(table, path=file.path, declared=timestamps, form=settings.timestamp_format)
        return read_weights(read, path=file.path), scale
    except list_engine_faults() as fault:
        raise_engine_fault(fault, _explain_reading_fault(fault, file))


def _leave_out_unknown_users(
    table: pl.LazyFrame, file: TableFile, *, settings: DataSettings, notes: list[str]
) -> tuple[pl.LazyFrame, int]:
    if settings.rows_without_user != "leave_out":
        return table, 0
    rows, left_out = count_rows_without_user(table)
    if left_out == rows > 0:
        raise DataError(
            f"None of the {rows:,} interactions has a user.",
            where=file.path,
            fix="map another column to `user_id`, or export the table with the users",
        )
    if left_out:
        notes.append(f"{file.path.name}: {left_out:,} interactions without a user were left out, as the settings say.")
    return drop_rows_without_user(table), left_out


def _write_one_table(
    file: TableFile, stage: Path, *, settings: DataSettings, timestamps: Declared, notes: list[str]
) -> tuple[pq.FileMetaData, pq.FileMetaData, int]:
    """Write both tables from one file; return the metadata of both and how many interactions were left out."""
    described = {name: column for name, column in settings.item_columns.items() if name != "item_id"}
    mapping = {**settings.item_columns, **settings.interaction_columns, **described}
    table = _open_plain_table(
        file,
        stage / "both.plain",
        settings=settings.model_copy(update={"interaction_columns": mapping}),
        notes=notes,
        required=(*INTERACTION_COLUMNS, "title"),
        reserved=("row", "timestamp_text", "weight_text"),
        setting="interaction_columns",
    )
    if has_formulas(table):
        table = table.with_columns(strip_formula(pl.col("item_id")))
    both = stage / "both.parquet"
    table, scale = _read_timestamps_and_weights(join_lists(table), file, settings=settings, timestamps=timestamps)
    _write_table(table, both, first=(*_FIRST_COLUMNS, "title"), source=file)
    require_timestamps(_scan_parquet(both), path=file.path, form=settings.timestamp_format)
    further = [name for name in described if name != "title"]
    build_items(_scan_parquet(both), item_text=settings.item_text, columns=further).write_parquet(stage / ITEMS_FILE)
    rows, left_out = _leave_out_unknown_users(_scan_parquet(both), file, settings=settings, notes=notes)
    metadata = _write_table(
        rows.drop("title", *further),
        stage / INTERACTIONS_FILE,
        first=_FIRST_COLUMNS,
        source=file,
        metadata=scale.to_metadata(),
    )
    return pq.read_metadata(stage / ITEMS_FILE), metadata, left_out


def _match_ids(stage: Path, *, file: TableFile, notes: list[str]) -> None:
    """Give ids that are spelt in two ways one spelling: an item's is that of the items."""
    target = stage / INTERACTIONS_FILE
    items, interactions = _scan_parquet(stage / ITEMS_FILE), _scan_parquet(target)
    item_ids, item_notes = match_item_ids(items, interactions)
    user_ids, user_notes = match_user_ids(interactions)
    if not (item_ids.height or user_ids.height):
        return
    respelt = stage / "interactions.respelt"
    table = replace_ids(replace_ids(interactions, item_ids, name="item_id"), user_ids, name="user_id")
    # The file itself says what the timestamps are, and so must the new one.
    table.sink_parquet(respelt, metadata=read_timestamp_scale(target).to_metadata(), engine="streaming")
    respelt.replace(target)
    notes += [f"{file.path.name}: {note}" for note in (*item_notes, *user_notes)]


def _open_plain_table(
    file: TableFile,
    copy: Path,
    *,
    settings: DataSettings,
    notes: list[str],
    required: tuple[str, ...],
    reserved: tuple[str, ...],
    setting: Literal["item_columns", "interaction_columns"],
) -> pl.LazyFrame:
    """Open a table under the contract's names, ids as text, every other column a plain value."""

    def arrange_columns(names: Sequence[str]) -> dict[str, str]:
        return arrange(
            names,
            mapping=getattr(settings, setting),
            required=required,
            reserved=reserved,
            path=file.path,
            setting=setting,
        )

    try:
        if file.format == "jsonl":
            table = _open_json_table(file, copy, arrange_columns, required=required)
            named = [name for name in table.collect_schema() if name != "weight" and is_number_name(name)]
            return read_number_columns(table, named, with_bad_cells_only=True)
        if file.format == "parquet":
            raw, arranged = _open_parquet_table(file, copy, arrange_columns)
            notes += [
                f"{file.path.name}: `{name}` is stored as fractions; above 2^53 their last digits may be lost already."
                for name in ("user_id", "item_id")
                if name in arranged and has_inexact_ids(raw, arranged[name])
            ]
            return _select_plain_columns(raw, arranged, path=file.path)
        notes += convert_delimited(file, copy, encoding=settings.encoding)
        raw = _scan_parquet(copy)
        arranged = arrange_columns(raw.collect_schema().names())
        table = _select_plain_columns(raw, arranged, path=file.path)
        further = [name for name in arranged if name not in {*required, "weight"}]
        return read_number_columns(table, further)
    except list_engine_faults() as fault:
        raise_engine_fault(fault, _explain_reading_fault(fault, file))


def _select_plain_columns(raw: pl.LazyFrame, arranged: Mapping[str, str], *, path: Path) -> pl.LazyFrame:
    schema = raw.collect_schema()
    places = {name: place for place, name in enumerate(schema.names())}
    # By place: a name of the file may be a pattern to Polars, as `*` is.
    return raw.select(
        _to_plain_column(name, pl.nth(places[column]), schema[column], path=path).alias(_avoid_pattern(name))
        for name, column in arranged.items()
    ).with_row_index("row")


def _avoid_pattern(name: str) -> str:
    return f"source_{name}" if name == "*" or (name.startswith("^") and name.endswith("$")) else name


def _open_parquet_table(
    file: TableFile, copy: Path, arrange_columns: Callable[[Sequence[str]], dict[str, str]]
) -> tuple[pl.LazyFrame, dict[str, str]]:
    path = file.path
    if path.is_dir():
        path = merge_parts(path, copy.with_suffix(".merged"))
    if file.compression is not None:
        path = copy.with_suffix(".unpacked")
        unpack(file, path)
    source = ParquetSource(path, named=file.path)
    arranged = arrange_columns(read_column_names(source))
    return _scan_parquet(convert_columns(source, copy, arranged=arranged)), arranged


def _open_json_table(
    file: TableFile,
    copy: Path,
    arrange_columns: Callable[[Sequence[str]], dict[str, str]],
    *,
    required: tuple[str, ...],
) -> pl.LazyFrame:
    if is_plain_start(file.path):
        try:
            table = _scan_plain_json(file, copy, arrange_columns, required=required)
        except list_engine_faults() as fault:
            # What Polars cannot read, the pass below reads or names; a full disk stays an error.
            with suppress(DataError):
                raise_engine_fault(fault, DataError("The values are not plain.", where=file.path))
        except pl.exceptions.PanicException:
            pass
        else:
            if table is not None:
                return table
    raw, kinds = convert_json_lines(file.path, copy.with_suffix(".parts"))
    if not kinds:
        raise find_first_fault(file.path) or DataError("No record has a key.", where=file.path, fix=EMPTY_FIX)
    arranged = arrange_columns(list(kinds))
    for name in {"user_id", "item_id"} & {*required}:
        if found := kinds[arranged[name]] & {"list", "vector", "record"}:
            raise DataError(
                f"`{name}` holds a {min(found)}, not ids.", where=file.path, fix="store ids as text or whole numbers"
            )
    for name in TEXTS & arranged.keys():
        if "vector" in kinds[arranged[name]]:
            raise DataError(
                f"The column `{arranged[name]}` holds vectors, not text.",
                where=file.path,
                fix="give the column another name, or map a column of text in its place",
            )
    return _select_plain_columns(raw, arranged, path=file.path)


def _scan_plain_json(
    file: TableFile,
    copy: Path,
    arrange_columns: Callable[[Sequence[str]], dict[str, str]],
    *,
    required: tuple[str, ...],
) -> pl.LazyFrame | None:
    """Read a file whose columns hold plain values of one type, several times as fast as row by row; None for others."""
    # Polars takes the path of a JSON Lines file for a pattern, and knows no switch against it.
    pattern = glob.escape(str(file.path))
    schema = pl.scan_ndjson(pattern, infer_schema_length=None).collect_schema()
    if not schema or any(dtype.is_nested() for dtype in schema.values()):
        return None
    arranged = arrange_columns(schema.names())
    # As text, a column may hold numbers on one line and words on the next, and no digit of a long number is lost.
    as_text = {arranged[name] for name in required} | {name for name, dtype in schema.items() if dtype == pl.Int128}
    known = pl.Schema({name: pl.String() if name in as_text else dtype for name, dtype in schema.items()})
    table = _select_plain_columns(pl.scan_ndjson(pattern, schema=known), arranged, path=file.path)
    # Text is parsed once: everything after reads this copy.
    table.sink_parquet(copy, engine="streaming")
    table = _scan_parquet(copy)
    return None if _has_hidden_types(table) else table


def _has_hidden_types(table: pl.LazyFrame) -> bool:
    """Tell whether Polars wrote a list or a record as JSON into a column of text, or a long integer as a float."""
    schema = table.collect_schema()
    columns = [pl.col(name) for name, dtype in schema.items() if dtype == pl.String]
    sources = [
        (column.str.starts_with("[") & column.str.ends_with("]"))
        | (column.str.starts_with("{") & column.str.ends_with("}"))
        for column in columns
    ]
    floats = [pl.col(name).abs() >= EXACT_INTEGER for name, dtype in schema.items() if dtype == pl.Float64]
    if not sources and not floats:
        return False
    return bool(table.select(pl.any_horizontal(*sources, *floats).any()).collect(engine="streaming").item())


def _scan_parquet(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False)


def _to_plain_column(name: str, column: pl.Expr, dtype: pl.DataType, *, path: Path) -> pl.Expr:
    if name in {"user_id", "item_id"}:
        return to_id_text(column, dtype, name=name, path=path)
    if name == "timestamp" and not isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null)):
        return column
    return to_plain_value(column, dtype, name=name)


def _write_table(
    table: pl.LazyFrame,
    target: Path,
    *,
    first: tuple[str, ...],
    source: TableFile,
    metadata: Mapping[str, str] | None = None,
) -> pq.FileMetaData:
    try:
        columns = table.select(*first, pl.exclude(*first)).with_columns(pl.col("row").cast(pl.Int64))
        columns.sink_parquet(target, metadata=dict(metadata or {}), engine="streaming")
    except list_engine_faults() as fault:
        raise_engine_fault(fault, _explain_reading_fault(fault, source))
    written = pq.read_metadata(target)
    if written.num_rows == 0:
        raise DataError("The table is empty: it has no row of data.", where=source.path, fix=EMPTY_FIX)
    _require_count(source, written.num_rows)
    return written


def _require_count(file: TableFile, rows: int) -> None:
    records = count_records(file.path) if file.format == "jsonl" else rows
    if rows != records:
        raise DataError(
            f"The file holds {records:,} records, but {rows:,} were read.",
            where=file.path,
            fix="write one object on each line, with nothing else in the line",
        )


def _explain_reading_fault(fault: Exception, file: TableFile) -> DataError:
    if file.format == "jsonl":
        return find_first_fault(file.path) or explain_unreadable(fault, file.path)
    if file.format != "parquet":
        return explain_unreadable(fault, file.path)
    if file.compression is None:
        return explain_parquet_fault(fault, ParquetSource(file.path, named=file.path))
    with tempfile.TemporaryDirectory(prefix="learn-") as folder:
        unpacked = Path(folder) / "table.parquet"
        unpack(file, unpacked)
        return explain_parquet_fault(fault, ParquetSource(unpacked, named=file.path))
