"""Guess which files of a folder hold which table and what their columns are, and write the settings that say so.

Names are compared with those that shops use, contents with what a column of that kind looks like. The settings are a
proposal for a person to read: each line says what it was taken from.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from learn.data.columns import format_mapping, score_column_name
from learn.data.dialects import Dialect, decode_stream, detect_dialect
from learn.data.formats import TableFile, explain_unreadable, list_table_files, open_stream, prefer_system_fault
from learn.data.json_lines import iterate_lines, parse_json_object
from learn.errors import DataError

# Enough to see what a column holds, few enough for a wide table.
_SAMPLE_ROWS = 5_000
# A name counts for more than the content: many columns look like ids.
_NAME_WEIGHT = 2.0
_LIKELY = 1.2
# Above this share of rows without a user, sales to unknown customers are usual in this shop.
_USUAL_SHARE = 0.02
_UNIX_1990, _UNIX_2100 = 631_152_000, 4_102_444_800
_DATE = r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?$|^\s*\w{3,9},? \w+ .*\d{4}|^\s*\d{8}(\d{6})?\s*$"
_FURTHER = ("brand", "category", "price", "keywords", "description", "event")


@dataclass(frozen=True)
class _Sample:
    """The first rows of a file, every value as text; null where it is empty."""

    file: TableFile
    rows: pl.DataFrame
    encoding: str


@dataclass(frozen=True)
class GuessedSettings:
    """Settings that were guessed.

    Attributes:
        text: The settings file.
        missing: What could not be found, in sentences; empty where the settings are complete.
    """

    text: str
    missing: tuple[str, ...] = field(default=())


def guess_settings(folder: Path) -> GuessedSettings:
    """Guess files and columns of a data folder from the first rows of its files.

    Args:
        folder: The folder; it is only read.

    Raises:
        DataError: The folder is missing, or no file in it can be read as a table.
    """
    samples = [sample for file in list_table_files(folder) if (sample := _read_sample(file)) is not None]
    if not samples:
        raise DataError(
            "No file of this folder can be read as a table.",
            where=folder,
            fix="put CSV, TSV, JSON Lines or Parquet files there",
        )
    interactions, interaction_columns = _choose_file(samples, ("user_id", "item_id", "timestamp"), named="interactions")
    others = [sample for sample in samples if sample is not interactions] or samples
    items, item_columns = _choose_file(others, ("item_id", "title"), named="items")
    if "title" not in item_columns and interactions is not items:
        both = _guess_columns(interactions, ("item_id", "title"), taken=interaction_columns)
        if "title" in both:
            items, item_columns = interactions, both
    if items is interactions and "item_id" in interaction_columns:
        left = {name: one for name, one in interaction_columns.items() if name != "item_id"}
        title = _guess_columns(items, ("title",), taken=interaction_columns)
        item_columns = {"item_id": interaction_columns["item_id"], **title}
        interaction_columns = {**left, "item_id": interaction_columns["item_id"]}
    item_columns |= _guess_further(items, {**item_columns, **(interaction_columns if items is interactions else {})})
    missing = [
        f"No column of `{sample.file.path.name}` looks like `{name}`."
        for sample, names, found in (
            (items, ("item_id", "title"), item_columns),
            (interactions, ("user_id", "item_id", "timestamp"), interaction_columns),
        )
        for name in names
        if name not in found
    ]
    text = _format_settings(items, item_columns, interactions, interaction_columns)
    return GuessedSettings(text, tuple(missing))


# --- Samples -----------------------------------------------------------------------------------------------


def _read_sample(file: TableFile) -> _Sample | None:
    """Read the first rows of a file; None if it is no table."""
    try:
        if file.format == "parquet":
            return _Sample(file, _sample_parquet(file), "utf-8")
        if file.format == "jsonl":
            return _Sample(file, _sample_json(file), "utf-8")
        return _sample_delimited(file)
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, file.path)) from fault
    except (DataError, ValueError, pl.exceptions.PolarsError):
        return None


def _sample_parquet(file: TableFile) -> pl.DataFrame:
    if file.compression is not None:
        raise DataError("A Parquet file inside another compression is no sample.", where=file.path)
    batches = pq.ParquetFile(file.path).iter_batches(_SAMPLE_ROWS)
    rows = next(batches, None)
    return _to_text_frame([] if rows is None else rows.to_pylist())


def _sample_json(file: TableFile) -> pl.DataFrame:
    lines = itertools.islice(iterate_lines(file.path), _SAMPLE_ROWS)
    return _to_text_frame([parse_json_object(line) for _, line in lines])


def _to_text_frame(records: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    names = list(dict.fromkeys(name for record in records for name in record))
    return pl.DataFrame({name: [_to_text(record.get(name)) for record in records] for name in names})


def _to_text(value: object) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else str(value)


def _sample_delimited(file: TableFile) -> _Sample:
    encoding = "utf-8"
    try:
        dialect = detect_dialect(file, encoding=encoding)
        rows = list(itertools.islice(_iterate_fields(file, dialect), _SAMPLE_ROWS))
    except UnicodeDecodeError:
        # What is no UTF-8 is most likely this one: it is that of Excel on Windows.
        encoding = "cp1252"
        dialect = detect_dialect(file, encoding=encoding)
        rows = list(itertools.islice(_iterate_fields(file, dialect), _SAMPLE_ROWS))
    width = len(dialect.names)
    whole = [[text or None for text in row] for row in rows if len(row) == width]
    frame = pl.DataFrame(whole, schema=dict.fromkeys(dialect.names, pl.String), orient="row")
    return _Sample(file, frame, encoding)


def _iterate_fields(file: TableFile, dialect: Dialect) -> Iterator[list[str]]:
    with decode_stream(open_stream(file.path), dialect.encoding) as stream:
        for _ in range(dialect.first_line + 1):
            stream.readline()
        with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
            yield from csv.reader(text, delimiter=dialect.separator)


# --- Columns -----------------------------------------------------------------------------------------------


def _choose_file(samples: Sequence[_Sample], names: tuple[str, ...], *, named: str) -> tuple[_Sample, dict[str, str]]:
    """Return the file that fits a table best, and its columns: contract name -> name in the file."""
    found = [(sample, _guess_columns(sample, names)) for sample in samples]

    def score(one: tuple[_Sample, dict[str, str]]) -> tuple[int, bool, int]:
        sample, columns = one
        is_named = sample.file.path.name.lower().startswith(named)
        return len(columns), is_named, sample.file.path.stat().st_size

    return max(found, key=score)


def _guess_columns(
    sample: _Sample, names: tuple[str, ...], *, taken: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the columns of a file that are most likely those of these contract names, each column once."""
    taken = taken or {}
    free = [name for name in sample.rows.columns if name not in taken.values() or name == taken.get("item_id")]
    rated = sorted(
        (
            (_NAME_WEIGHT * score_column_name(name, column) + _SCORERS[name](sample.rows[column]), name, column)
            for name in names
            for column in free
        ),
        key=lambda one: -one[0],
    )
    found: dict[str, str] = {}
    for rating, name, column in rated:
        if name not in found and column not in found.values() and rating >= _LIKELY:
            found[name] = column
    return {name: found[name] for name in names if name in found}


def _guess_further(sample: _Sample, taken: Mapping[str, str]) -> dict[str, str]:
    free = [column for column in sample.rows.columns if column not in taken.values()]
    found: dict[str, str] = {}
    for name in _FURTHER[:-1]:
        best = max(((score_column_name(name, column), column) for column in free), default=(0.0, ""))
        if best[0] == 1.0 and best[1] != name and best[1] not in found.values():
            found[name] = best[1]
    return found


def _score_id(values: pl.Series) -> float:
    """Score from 0 to 1 whether values look like ids: short, without blanks within, repeated or not."""
    filled = values.drop_nulls()
    if not filled.len():
        return 0.0
    is_id = filled.str.strip_chars().str.contains(r"^\S{1,64}$") & ~filled.str.contains(r"^\s*-?\d+\.\d*[1-9]\s*$")
    return float(is_id.mean() or 0.0)  # type: ignore[arg-type]  # the mean of booleans is a float


def _score_user(values: pl.Series) -> float:
    # An id of everybody's own, or of a few, is that of a row or a country.
    filled = values.drop_nulls()
    share = filled.n_unique() / filled.len() if filled.len() else 1.0
    return _score_id(values) * (0.5 if share > 0.98 or filled.n_unique() < 2 else 1.0)


def _score_timestamp(values: pl.Series) -> float:
    filled = values.drop_nulls()
    if not filled.len():
        return 0.0
    number = filled.cast(pl.Float64, strict=False)
    seconds = pl.select(
        pl.when(number > 1e17)
        .then(number / 1e9)
        .when(number > 1e14)
        .then(number / 1e6)
        .when(number > 1e11)
        .then(number / 1e3)
        .otherwise(number)
    ).to_series()
    is_unix = seconds.is_between(_UNIX_1990, _UNIX_2100).fill_null(value=False)
    return float((is_unix | filled.str.contains(_DATE)).mean() or 0.0)  # type: ignore[arg-type]  # as above


def _score_title(values: pl.Series) -> float:
    filled = values.drop_nulls()
    if not filled.len():
        return 0.0
    words = filled.str.contains(r"\p{L}{2,}.*\s.*\p{L}").mean() or 0.0
    return float(words) * (0.5 if filled.n_unique() < filled.len() * 0.01 else 1.0)  # type: ignore[arg-type]  # as above


_SCORERS: dict[str, Callable[[pl.Series], float]] = {
    "user_id": _score_user,
    "item_id": _score_id,
    "timestamp": _score_timestamp,
    "title": _score_title,
}


# --- The settings ------------------------------------------------------------------------------------------


def _format_settings(
    items: _Sample, item_columns: Mapping[str, str], interactions: _Sample, interaction_columns: Mapping[str, str]
) -> str:
    lines = [
        "# Guessed by `learn data guess` from names and first rows. Read it, then try it:",
        "# learn data check FOLDER --config FILE",
        "[data]",
    ]
    for setting, stem, sample in (("items_file", "items", items), ("interactions_file", "interactions", interactions)):
        if items is interactions or sample.file.path.name.split(".")[0].lower() != stem:
            lines.append(f"{setting} = {json.dumps(sample.file.path.name, ensure_ascii=False)}")
    for setting, mapping, sample in (
        ("item_columns", item_columns, items),
        ("interaction_columns", interaction_columns, interactions),
    ):
        other = {name: column for name, column in mapping.items() if name != column}
        if other:
            comment = f"# {sample.file.path.name} has: {', '.join(sample.rows.columns)}"
            lines += [*([comment] if comment not in lines else []), format_mapping(setting, other)]
    encodings = {sample.encoding for sample in (items, interactions)} - {"utf-8"}
    lines += [f"encoding = {json.dumps(name)}" for name in sorted(encodings)]
    if items is interactions:
        lines.append(
            '# One file holds both tables. An item gets the longest of its titles; "latest" is the other choice.'
        )
        lines.append('item_text = "longest"')
    users = interactions.rows[interaction_columns["user_id"]] if "user_id" in interaction_columns else None
    if users is not None and users.len() and users.null_count() > _USUAL_SHARE * users.len():
        share = users.null_count() / users.len()
        lines.append(f"# {share:.0%} of the first rows have no user: they are left out and counted.")
        lines.append('rows_without_user = "leave_out"')
    return "\n".join(lines) + "\n"
