"""CSV and TSV: copy a file to Parquet, every field as the text that it is, and name the row that cannot be read."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, cast

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from learn.data.dialects import (
    CountingStream,
    Dialect,
    RecordCounter,
    UnescapeStream,
    decode_stream,
    detect_dialect,
    iterate_line_records,
    iterate_strict_records,
)
from learn.data.formats import TableFile, explain_unreadable, open_stream, prefer_system_fault
from learn.errors import DataError

# One row may not be longer than this; a longer one is a quotation mark that nobody closed.
_CSV_BLOCK_BYTES = 16 * 2**20
_READ_BYTES = 2**20
# Rows that are lists of Python at a time: some ten megabytes.
_BLOCK_RECORDS = 20_000
# `\N` is how MySQL, Hive and IMDb write a null.
_NULLS = ["", "\\N"]
# With so few columns a line of a long text can look like a record by accident.
_FEW_COLUMNS = 2

_RecordReader = Callable[[io.TextIOBase, Dialect], Iterator[list[str]]]


def convert_delimited(file: TableFile, target: Path, *, encoding: str = "utf-8") -> tuple[str, ...]:
    """Copy a CSV or TSV file to Parquet, every field as the text it is; an empty field and ``\\N`` are null.

    The file is streamed: memory holds a few blocks of it, whatever its size. It is read in the dialect that its bytes
    show, and its records are counted apart from the parser: never does a quotation mark swallow rows.

    Args:
        file: The file.
        target: The Parquet file to write.
        encoding: Name of the file's encoding if no byte order mark says another one.

    Returns:
        What was decided about the dialect, for people; nothing for a file as its name promises.

    Raises:
        DataError: A row has too many or too few fields, a quotation mark stays open, the text is not in its encoding,
            or the file is cut off or damaged.
    """
    try:
        dialect = detect_dialect(file, encoding=encoding)
        return _convert(file, dialect, target)
    except UnicodeDecodeError as fault:
        raise _explain_encoding(file, encoding) from fault
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, file.path)) from fault


def _convert(file: TableFile, dialect: Dialect, target: Path) -> tuple[str, ...]:
    counter = RecordCounter(dialect.separator)
    try:
        _write_blocks(file, dialect, target, counter)
        fault = None
    except DataError as found:
        fault = found
    if counter.has_marks and (fault or not counter.is_regular or counter.inner_line_ends):
        note = _read_in_another_dialect(file, dialect, target, is_doubtful=fault is None and counter.is_regular)
        if note:
            return (note,)
    if fault is None and not counter.is_regular:
        raise _explain_mark(file, dialect, counter)
    if fault is not None:
        raise fault if counter.is_regular else _explain_mark(file, dialect, counter)
    return ()


def _read_in_another_dialect(file: TableFile, dialect: Dialect, target: Path, *, is_doubtful: bool) -> str:
    """Write the rows in the dialect that fits all of the file; return what was decided, or nothing if none fits.

    Args:
        file: The file.
        dialect: Its dialect except for the quotation marks.
        target: The Parquet file to write.
        is_doubtful: The rows are there already, read by RFC 4180, and some fields hold line breaks. They are replaced
            only if each line is a record by itself.
    """
    other = target.with_name(f"{target.name}.other")
    columns = len(dialect.names)
    try:
        if not is_doubtful and _is_regular_unescaped(file, dialect):
            _write_blocks(file, replace(dialect, quoting="backslash"), other, RecordCounter(dialect.separator))
            note = "quotation marks in it are escaped by a backslash"
        elif not is_doubtful or columns > _FEW_COLUMNS or dialect.separator == "\t":
            _write_records(file, dialect, other, iterate_line_records)
            note = "quotation marks in it are not paired: each line was read as a record, marks as plain characters"
        else:
            return ""
    except DataError:
        if is_doubtful:
            other.unlink(missing_ok=True)
            return ""
        try:
            _write_records(file, dialect, other, iterate_strict_records)
        except DataError:
            other.unlink(missing_ok=True)
            return ""
        note = "some quotation marks in it are in the middle of a field, and were read as plain characters"
    other.replace(target)
    return f"{file.path.name}: {note}."


def _is_regular_unescaped(file: TableFile, dialect: Dialect) -> bool:
    counter = RecordCounter(dialect.separator)
    is_escaped = False
    with _open_rows(file, dialect) as stream:
        unescaped = UnescapeStream(stream)
        while chunk := unescaped.read(_READ_BYTES):
            counter.feed(chunk)
            if counter.fault_line is not None:
                return False
        is_escaped = unescaped.has_escapes
    return is_escaped and counter.is_regular


def _open_rows(file: TableFile, dialect: Dialect) -> BinaryIO:
    """Open a file in UTF-8, at its header."""
    stream = decode_stream(open_stream(file.path), dialect.encoding)
    for _ in range(dialect.first_line):
        stream.readline()
    return stream


def _write_blocks(file: TableFile, dialect: Dialect, target: Path, counter: RecordCounter) -> None:
    """Write the rows that Arrow reads, and see that they are as many as the records."""
    schema = pa.schema([(name, pa.string()) for name in dialect.names])
    rows = 0
    with _open_rows(file, dialect) as stream, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        plain: io.RawIOBase | BinaryIO = UnescapeStream(stream) if dialect.quoting == "backslash" else stream
        for batch in _iterate_batches(CountingStream(plain, counter), dialect, file):
            rows += batch.num_rows
            writer.write_batch(batch)
    counter.finish()
    if counter.is_regular and rows != counter.records - 1:
        raise DataError(
            f"The file holds {counter.records - 1:,} records behind its header, but {rows:,} rows were read.",
            where=file.path,
            fix="report this as a fault of LEARN, with the first lines of the file",
        )


def _iterate_batches(stream: CountingStream, dialect: Dialect, file: TableFile) -> Iterator[pa.RecordBatch]:
    try:
        yield from pa_csv.open_csv(
            cast("IO[bytes]", stream),
            # In one thread an error knows its row.
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(dialect.names, pa.string()),
                strings_can_be_null=True,
                null_values=_NULLS,
            ),
        )
    except pa.ArrowInvalid as fault:
        if "Empty CSV file" in str(fault):
            return
        raise _explain_bad_row(str(fault), file, dialect) from fault


def _write_records(file: TableFile, dialect: Dialect, target: Path, read: _RecordReader) -> None:
    """Write the rows that a reader of records gives; slow, for the dialects that Arrow does not know."""
    schema = pa.schema([(name, pa.string()) for name in dialect.names])
    with (
        io.TextIOWrapper(_open_rows(file, dialect), encoding="utf-8", newline="") as text,
        pq.ParquetWriter(target, schema, compression="zstd") as writer,
    ):
        records = read(text, dialect)
        next(records, None)  # the header
        while block := list(islice(records, _BLOCK_RECORDS)):
            columns = zip(*block, strict=True)
            arrays = [
                pa.array([None if text in _NULLS else text for text in column], pa.string()) for column in columns
            ]
            writer.write_table(pa.table(arrays, schema=schema))


def _explain_mark(file: TableFile, dialect: Dialect, counter: RecordCounter) -> DataError:
    if counter.fault_line is None:
        line, fault = counter.open_line, "is opened and never closed"
    elif counter.suspect_line == counter.fault_line:
        line, fault = counter.fault_line, "is out of place"
    else:
        line = counter.suspect_line
        fault = f"is opened, and the next one, in line {dialect.first_line + counter.fault_line}, does not close it"
    return DataError(
        f"A quotation mark {fault}: the rows after it cannot be separated.",
        where=f"{file.path}, line {dialect.first_line + line}" if line else file.path,
        fix='fix the line: a field that holds the separator, a line break or a quotation mark is in "…", and a '
        'mark in it is doubled, ""',
    )


def _explain_encoding(file: TableFile, encoding: str) -> DataError:
    name = "UTF-8" if encoding == "utf-8" else f"`{encoding}`"
    return DataError(
        f"The text is not {name}.",
        where=file.path,
        fix='save the file as UTF-8, or name its encoding in the settings: [data] encoding = "cp1252" is that of '
        "Windows in western Europe",
    )


def _explain_bad_row(message: str, file: TableFile, dialect: Dialect) -> DataError:
    row = re.search(r"Row #(\d+)", message)
    where = f"{file.path}, line {int(row[1]) + dialect.first_line}" if row else str(file.path)
    counts = re.search(r"Expected (\d+) columns, got (\d+): ?(.*)", message, re.DOTALL)
    if counts:
        expected, got, text = counts.groups()
        few = "too few" if int(got) < int(expected) else "too many"
        return DataError(
            f"A row has {few} fields: {got} instead of {expected}. It reads `{_shorten(text)}`.",
            where=where,
            fix='fix the row; a field that holds the separator, a line break or a quotation mark is in "…"',
        )
    if "UTF8" in message:
        return _explain_encoding(file, dialect.encoding)
    if "straddling" in message:
        return DataError(
            f"A row is longer than {_CSV_BLOCK_BYTES // 2**20} MiB.",
            where=file.path,
            fix="look for a quotation mark that is opened and never closed",
        )
    return DataError(f"The file cannot be read: {message}", where=where, fix="fix the row, or export the table again")


def _shorten(text: str) -> str:
    return text if len(text) <= 120 else text[:119] + "…"
