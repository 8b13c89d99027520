"""Read a folder of raw tables into two Parquet files of the contract, with no row dropped.

Columns are mapped and typed. The tables are streamed in blocks, so tens of millions of rows fit a laptop.
"""

from __future__ import annotations

import difflib
import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from learn.config import DataSettings
from learn.data.formats import (
    EMPTY_FIX,
    TableFile,
    convert_delimited,
    explain_unreadable,
    find_first_fault,
    find_table,
    list_engine_faults,
    parse_table_name,
    raise_engine_fault,
    unpack,
)
from learn.data.timestamps import read_timestamps, require_timestamps
from learn.errors import DataError
from learn.storage import atomic_files

_ALSO_CALLED = {
    "item_id": ("item", "asin", "parent_asin", "product_id", "article_id", "sku", "stock_code", "movie_id"),
    "user_id": ("user", "customer_id", "reviewer_id", "member_id", "visitor_id", "client_id"),
    "title": ("name", "product_title", "product_name", "item_name", "item_title"),
    "timestamp": ("time", "date", "datetime", "unix_review_time", "created_at", "event_time", "order_date"),
}
_NEAR_ENOUGH = 0.7
_TEXTS = ("title", "brand", "category", "description", "keywords", "attributes", "event")

# What can be read as a number and written back as the same text, give or take zeros at the end of a fraction.
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?$"


def arrange(
    names: Sequence[str],
    *,
    mapping: Mapping[str, str],
    required: Sequence[str],
    reserved: Sequence[str],
    path: Path,
    setting: str,
) -> dict[str, str]:
    """Give each column of a file its name in the contract.

    A column whose own name is taken by the contract becomes ``source_`` and its name.

    Args:
        names: Columns of the file.
        mapping: Contract name -> name in the file.
        required: Contract names that must be there; they come first.
        reserved: Names that LEARN adds itself.
        path: The file, for the error.
        setting: Name of the setting that holds ``mapping``, for the error.

    Returns:
        Name in the contract -> name in the file.

    Raises:
        DataError: A required or mapped column is not in the file.
    """
    arranged = {name: mapping.get(name, name) for name in (*required, *mapping)}
    for name, source in arranged.items():
        if name in reserved:
            raise DataError(f"No column can be mapped to `{name}`: LEARN writes it itself.", where=f"data.{setting}")
        if source not in names:
            raise _explain_missing_column(name, source, names, path=path, setting=setting)
    used = set(arranged.values())
    for source in names:
        if source not in used:
            target = source
            while target in arranged or target in reserved or (target != source and target in names):
                target = f"source_{target}"
            arranged[target] = source
    return arranged


def _explain_missing_column(name: str, source: str, names: Sequence[str], *, path: Path, setting: str) -> DataError:
    what = f"There is no column `{source}`" + ("." if source == name else f", which `{setting}` maps to `{name}`.")
    listed = ", ".join(f"`{column}`" for column in names)
    near = find_nearest_column(name if source == name else source, names)
    if near:
        fix = f'there is `{near}`, did you mean to map it? In the settings: [data] {setting} = {{{name} = "{near}"}}'
    elif len(names) == 1 and any(separator in names[0] for separator in ";|\t,"):
        fix = f"the header is one column, {listed}: separate the fields of a .csv with commas, of a .tsv with tabs"
    else:
        fix = f"the columns are {listed}; add the missing one, or map its name with `{setting}`"
    return DataError(what, where=path, fix=fix)


def find_nearest_column(name: str, names: Sequence[str]) -> str | None:
    """Return the column that is most likely meant by ``name``, or ``None`` if none is near."""
    wanted = [_normalise_name(word) for word in (name, *_ALSO_CALLED.get(name, ()))]
    rated = [(max(_measure_similarity(word, _normalise_name(column)) for word in wanted), column) for column in names]
    best = max(rated, default=(0.0, ""))
    return best[1] if best[0] >= _NEAR_ENOUGH else None


def _normalise_name(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _measure_similarity(wanted: str, name: str) -> float:
    return difflib.SequenceMatcher(None, wanted, name).ratio()


def to_id_text(column: pl.Expr, dtype: pl.DataType, *, name: str, path: Path) -> pl.Expr:
    """Return an id column as text; a whole number has no fraction, however the file stored it.

    Raises:
        DataError: The column holds lists, records or bytes.
    """
    if dtype.is_nested() or dtype == pl.Binary:
        raise DataError(f"`{name}` holds {dtype}, not ids.", where=path, fix="store ids as text or whole numbers")
    if dtype.is_decimal():
        column, dtype = column.cast(pl.Float64), pl.Float64()
    if not dtype.is_float():
        return column.cast(pl.String)
    whole = column.is_finite() & (column == column.floor()) & (column.abs() < 2**53)
    return (
        pl.when(whole)
        .then(column.cast(pl.Int64, strict=False).cast(pl.String))
        .when(column.is_not_nan())
        .then(column.cast(pl.String))
    )


def to_plain_value(column: pl.Expr, dtype: pl.DataType, *, name: str) -> pl.Expr:
    """Return a further column as text, number, boolean or date: lists are joined, records become JSON."""
    if dtype.is_nested() or isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null)) or name in _TEXTS:
        return _to_text(column, dtype)
    return column.cast(pl.Float64) if dtype.is_decimal() else column


def _to_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Array):
        return _to_text(column.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.List):
        inner = dtype.inner() if isinstance(dtype.inner, type) else dtype.inner
        return column.list.eval(_to_text(pl.element(), inner)).list.join(", ")
    if isinstance(dtype, pl.Struct):
        # A record without fields, `{}` on every line, says nothing and has no JSON.
        return column.struct.json_encode() if dtype.fields else pl.lit(None, dtype=pl.String)
    return column.cast(pl.String)


def find_number_columns(table: pl.LazyFrame, names: Sequence[str]) -> dict[str, pl.DataType]:
    """Find the text columns of a CSV table that are numbers throughout, and as what each can be read without loss.

    Leading zeros make a text: ``007`` is a code, not seven.
    """
    asked = [name for name in names if name not in _TEXTS]
    if not asked:
        return {}
    columns = [pl.col(name) for name in asked]
    found = table.select(
        pl.struct(
            filled=column.is_not_null().any(),
            integer=column.str.contains(_INTEGER).all(),
            number=column.str.contains(_NUMBER).all(),
        ).alias(name)
        for name, column in zip(asked, columns, strict=True)
    ).collect(engine="streaming")
    types: dict[str, pl.DataType] = {}
    for name, (seen,) in found.to_dict(as_series=False).items():
        if seen["filled"] and seen["number"]:
            types[name] = pl.Int64() if seen["integer"] else pl.Float64()
    return types


ITEMS_FILE = "items.parquet"
INTERACTIONS_FILE = "interactions.parquet"

_ITEM_COLUMNS = ("item_id", "title")
_INTERACTION_COLUMNS = ("user_id", "item_id", "timestamp")


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
    """

    folder: Path
    items: int
    interactions: int
    item_columns: tuple[str, ...]
    interaction_columns: tuple[str, ...]
    sources: tuple[str, ...]


def load_tables(source: Path, destination: Path, *, settings: DataSettings) -> TablesSummary:
    """Read the raw tables of a folder and write them in the contract's layout.

    ``items.parquet`` gets ``row`` (Int64, the data row in the source, from 0), ``item_id`` and ``title`` (String) and
    every further column; ``interactions.parquet`` gets ``row``, ``user_id``, ``item_id`` (String), ``timestamp``
    (Float64; Unix seconds where the source holds dates, null where it cannot be read), ``timestamp_text`` (String, what
    is where it cannot be read) and every further column. No row is dropped: that is validation's to decide.

    Args:
        source: Folder with one ``items`` and one ``interactions`` file; only read.
        destination: Folder for the two Parquet files; holds either both or, after an error, neither new one.
        settings: Names of the columns.

    Raises:
        DataError: A table is missing, doubled, empty, cut off, damaged, or lacks a column; no timestamp can be read.
        StorageError: The disk is full or the destination cannot be written.
    """
    items_source = find_table(source, "items")
    interactions_source = find_table(source, "interactions")
    with atomic_files(destination, names=(ITEMS_FILE, INTERACTIONS_FILE)) as stage:
        items = _write_items(items_source, stage, mapping=settings.item_columns)
        interactions = _write_interactions(interactions_source, stage, mapping=settings.interaction_columns)
    return TablesSummary(
        folder=destination,
        items=items.num_rows,
        interactions=interactions.num_rows,
        item_columns=tuple(items.schema.names),
        interaction_columns=tuple(interactions.schema.names),
        sources=(items_source.path.name, interactions_source.path.name),
    )


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
    file = find_table(source, "interactions") if source.is_dir() else parse_table_name(source)
    with atomic_files(destination, names=(INTERACTIONS_FILE,)) as stage:
        _write_interactions(file, stage, mapping=settings.interaction_columns)
    return destination / INTERACTIONS_FILE


def require_tables(source: Path) -> None:
    """Check that a folder holds both tables, without reading them: before the work of hours that needs them later.

    Raises:
        DataError: The folder or a table is missing, doubled or an empty file.
    """
    for name in ("items", "interactions"):
        find_table(source, name)


def _write_items(file: TableFile, stage: Path, *, mapping: Mapping[str, str]) -> pq.FileMetaData:
    table = _open_plain_table(
        file, stage / "items.plain", mapping=mapping, required=_ITEM_COLUMNS, reserved=("row",), setting="item_columns"
    )
    return _write_table(table, stage / ITEMS_FILE, first=("row", *_ITEM_COLUMNS), source=file)


def _write_interactions(file: TableFile, stage: Path, *, mapping: Mapping[str, str]) -> pq.FileMetaData:
    table = _open_plain_table(
        file,
        stage / "interactions.plain",
        mapping=mapping,
        required=_INTERACTION_COLUMNS,
        reserved=("row", "timestamp_text"),
        setting="interaction_columns",
    )
    first = ("row", *_INTERACTION_COLUMNS, "timestamp_text")
    target = stage / INTERACTIONS_FILE
    metadata = _write_table(
        _read_weights(read_timestamps(table, path=file.path), file), target, first=first, source=file
    )
    require_timestamps(_scan_parquet(target), path=file.path)
    return metadata


def _open_plain_table(
    file: TableFile,
    copy: Path,
    *,
    mapping: Mapping[str, str],
    required: tuple[str, ...],
    reserved: tuple[str, ...],
    setting: str,
) -> pl.LazyFrame:
    """Open a table under the contract's names, ids as text, every other column a plain value."""
    try:
        raw, schema = _open_table(file, copy)
        arranged = arrange(
            schema.names(), mapping=mapping, required=required, reserved=reserved, path=file.path, setting=setting
        )
        if file.format == "jsonl":
            raw, schema = _read_numbers_as_text(file, schema, [arranged[name] for name in required])
        table = raw.select(
            **{
                name: _to_plain_column(name, pl.col(column), schema[column], path=file.path)
                for name, column in arranged.items()
            }
        ).with_row_index("row")
        if file.format == "jsonl":
            # Text is parsed once: everything after reads this copy.
            table.sink_parquet(copy, engine="streaming")
            table = _scan_parquet(copy)
        elif file.format in {"csv", "tsv"}:
            further = [name for name in arranged if name not in {*required, "weight"}]
            table = table.with_columns(
                pl.col(name).cast(dtype) for name, dtype in find_number_columns(table, further).items()
            )
    except list_engine_faults() as fault:
        raise_engine_fault(fault, _explain_reading_fault(fault, file))
    return table


def _open_table(file: TableFile, copy: Path) -> tuple[pl.LazyFrame, pl.Schema]:
    if file.format == "jsonl":
        raw = pl.scan_ndjson(_build_json_pattern(file), infer_schema_length=None)
    elif file.format == "parquet" and file.compression is None:
        raw = _scan_parquet(file.path)
    else:
        (unpack if file.format == "parquet" else convert_delimited)(file, copy)
        raw = _scan_parquet(copy)
    return raw, raw.collect_schema()


def _scan_parquet(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False)


def _build_json_pattern(file: TableFile) -> str:
    # Polars takes the path of a JSON Lines file for a pattern, and knows no switch against it.
    return glob.escape(str(file.path))


def _read_numbers_as_text(file: TableFile, schema: pl.Schema, columns: list[str]) -> tuple[pl.LazyFrame, pl.Schema]:
    # As text, a column may hold numbers on one line and words on the next, and no digit of a long id is lost.
    scalar = {name: pl.String() for name in columns if not schema[name].is_nested()}
    known = pl.Schema({**schema, **scalar})
    return pl.scan_ndjson(_build_json_pattern(file), schema=known), known


def _to_plain_column(name: str, column: pl.Expr, dtype: pl.DataType, *, path: Path) -> pl.Expr:
    if name in {"user_id", "item_id"}:
        return to_id_text(column, dtype, name=name, path=path)
    if name == "timestamp" and not isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null)):
        return column
    return to_plain_value(column, dtype, name=name)


def _read_weights(table: pl.LazyFrame, file: TableFile) -> pl.LazyFrame:
    if "weight" not in table.collect_schema().names():
        return table
    given = pl.col("weight")
    text = given.cast(pl.String).str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    bad = table.filter(number.is_null() & (text != "")).select("row", "weight").head(1).collect(engine="streaming")
    if not bad.is_empty():
        row, value = bad.row(0)
        raise DataError(
            f"A weight is no number: `{value}`.",
            where=f"{file.path}, data row {row}",
            fix="write every weight as a number, or give the column another name",
        )
    return table.with_columns(weight=number)


def _write_table(table: pl.LazyFrame, target: Path, *, first: tuple[str, ...], source: TableFile) -> pq.FileMetaData:
    try:
        columns = table.select(*first, pl.exclude(*first)).with_columns(pl.col("row").cast(pl.Int64))
        columns.sink_parquet(target, engine="streaming")
    except list_engine_faults() as fault:
        raise_engine_fault(fault, _explain_reading_fault(fault, source))
    metadata = pq.read_metadata(target)
    if metadata.num_rows == 0:
        raise DataError("The table is empty: it has no row of data.", where=source.path, fix=EMPTY_FIX)
    return metadata


def _explain_reading_fault(fault: Exception, file: TableFile) -> DataError:
    found = find_first_fault(file.path) if file.format == "jsonl" else None
    return found or explain_unreadable(fault, file.path)
