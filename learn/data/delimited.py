"""CSV and TSV: copy a file to Parquet, every field as the text that it is, and name the row that cannot be read."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from learn.data.formats import EMPTY_FIX, TableFile, explain_unreadable, open_stream, prefer_system_fault
from learn.errors import DataError

# One row may not be longer than this; a longer one is a quotation mark that nobody closed.
_CSV_BLOCK_BYTES = 16 * 2**20


def convert_delimited(file: TableFile, target: Path) -> None:
    """Copy a CSV or TSV file to Parquet, every field as the text it is; an empty field is null.

    The file is streamed: memory holds a few blocks of it, whatever its size.

    Raises:
        DataError: A row has too many or too few fields, the text is not UTF-8, or the file is cut off or damaged.
    """
    names = _read_header(file)
    schema = pa.schema([(name, pa.string()) for name in names])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in _iterate_batches(file, names):
            writer.write_batch(batch)


def _iterate_batches(file: TableFile, names: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        with open_stream(file.path) as stream:
            reader = pa_csv.open_csv(
                stream,
                # In one thread an error knows its row.
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
                parse_options=pa_csv.ParseOptions(delimiter=file.separator, newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )
            yield from reader
    except pa.ArrowInvalid as fault:
        if "Empty CSV file" in str(fault):
            return
        raise _explain_bad_row(str(fault), file) from fault
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, file.path)) from fault


def _explain_bad_row(message: str, file: TableFile) -> DataError:
    row = re.search(r"Row #(\d+)", message)
    where = f"{file.path}, line {row[1]}" if row else str(file.path)
    counts = re.search(r"Expected (\d+) columns, got (\d+): ?(.*)", message, re.DOTALL)
    if counts:
        expected, got, text = counts.groups()
        few = "too few" if int(got) < int(expected) else "too many"
        return DataError(
            f"A row has {few} fields: {got} instead of {expected}. It reads `{_shorten(text)}`.",
            where=where,
            fix='mend the row; a field that holds the separator, a line break or a quotation mark stands in "…"',
        )
    if "UTF8" in message:
        return DataError("The text is not UTF-8.", where=where, fix="save the file as UTF-8")
    if "straddling" in message:
        return DataError(
            f"A row is longer than {_CSV_BLOCK_BYTES // 2**20} MiB.",
            where=file.path,
            fix="look for a quotation mark that is opened and never closed",
        )
    return DataError(f"The file cannot be read: {message}", where=where, fix="mend the row, or export the table again")


def _shorten(text: str) -> str:
    return text if len(text) <= 120 else text[:119] + "…"


def _read_header(file: TableFile) -> list[str]:
    try:
        with open_stream(file.path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            names = next((row for row in csv.reader(text, delimiter=file.separator) if row), None)
    except UnicodeDecodeError as fault:
        raise DataError("The text is not UTF-8.", where=file.path, fix="save the file as UTF-8") from fault
    except csv.Error as fault:
        raise DataError(f"The first line is no header: {fault}.", where=file.path, fix="put the names there") from fault
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, file.path)) from fault
    if names is None:
        raise DataError("The table is empty.", where=file.path, fix=EMPTY_FIX)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(
            f"Two columns are both named `{twice[0]}`.", where=f"{file.path}, line 1", fix="give each its own name"
        )
    return names
