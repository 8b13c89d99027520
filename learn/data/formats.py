"""The file formats of a table: find the file, open it, and say what is wrong where it cannot be read.

Parquet, CSV, TSV and JSON Lines, plain or compressed with gzip or Zstandard. The name of the file decides.
"""

from __future__ import annotations

import difflib
import errno
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn, cast

import polars as pl
import pyarrow as pa

from learn.errors import DataError

EMPTY_FIX = "export the table again: it needs a row of column names and at least one row of data"
_CUT_SIGNS = ("truncated", "unexpected end", "incomplete frame", "end-of-stream")
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO}


def explain_unreadable(fault: Exception, path: Path, *, line: int | None = None) -> DataError:
    """Say whether a file is cut off or damaged, from what the library that read it said.

    Args:
        fault: The library's error.
        path: The file.
        line: Last line that could be read, counted from 1.
    """
    said = str(fault)
    where = str(path) if line is None else f"{path}, after line {line}"
    if any(sign in said.lower() for sign in _CUT_SIGNS):
        return DataError("The file is cut off in the middle.", where=where, fix="copy or download it again, whole")
    return DataError(f"The file is damaged: {said}.", where=where, fix="copy, download or export it again")


def prefer_system_fault(fault: OSError, otherwise: DataError) -> Exception:
    """Return the operating system's own fault where it is one, else the reading error.

    The decompressors raise ``OSError`` without a number for bytes that are not what they should be.
    """
    return fault if fault.errno else otherwise


def raise_engine_fault(fault: Exception, otherwise: DataError) -> NoReturn:
    """Raise what Polars wraps: the disk's fault if there is one, else the reading error."""
    if isinstance(fault, OSError) and fault.errno:
        raise fault
    number = re.search(r"os error (\d+)", str(fault))
    if number and int(number[1]) in _STORAGE:
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from fault
    raise otherwise from fault


def list_engine_faults() -> tuple[type[Exception], ...]:
    """Return the kinds of error that Polars raises for a file that it cannot read or write."""
    return (pl.exceptions.PolarsError, OSError)


Format = Literal["parquet", "csv", "tsv", "jsonl"]
Compression = Literal["gz", "zst", "bz2"]

_FORMATS: dict[str, Format] = {
    "parquet": "parquet",
    "pq": "parquet",
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
}
_CODECS: dict[str, Literal["gzip", "zstd", "bz2"]] = {"gz": "gzip", "zst": "zstd", "bz2": "bz2"}
_MAGIC: tuple[tuple[bytes, Literal["gzip", "zstd", "bz2"]], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bz2"),
)
_NAME = re.compile(rf"(?P<stem>.+?)\.(?P<format>{'|'.join(_FORMATS)})(?:\.(?P<compression>gz|zst|bz2))?", re.IGNORECASE)

_READ_BYTES = 2**20
_PEEK_BYTES = 64


@dataclass(frozen=True)
class TableFile:
    """One file that holds a table, or a folder of its Parquet parts.

    Attributes:
        path: The file or the folder.
        format: How the table is written.
        compression: How the file is compressed; ``None``: not at all.
    """

    path: Path
    format: Format
    compression: Compression | None

    @property
    def separator(self) -> str:
        """What is between two fields of a CSV or TSV file."""
        return "\t" if self.format == "tsv" else ","


def find_table(source: Path, stem: str, *, named: str = "") -> TableFile:
    """Find the one file of a table by its name.

    Args:
        source: Folder to look in.
        stem: Name of the table, e.g. ``items``.
        named: Name of the file, of any stem; empty: that of the table.

    Raises:
        DataError: The folder is missing, or no file or more than one has the name, or the file is empty.
    """
    _require_folder(source)
    names = sorted(path.name for path in source.iterdir() if _may_be_table(path))
    if named and named not in names:
        near = difflib.get_close_matches(named, names, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"the folder holds: {', '.join(names) or 'nothing'}"
        raise DataError(f"There is no file `{named}`, which `data.{stem}_file` names.", where=source, fix=hint)
    found = [named] if named else [name for name in names if _is_named(name, stem)]
    if not found:
        raise DataError(f"There is no file for the table `{stem}`.", where=source, fix=_describe_search(stem, names))
    if len(found) > 1:
        listed = " and ".join(f"`{name}`" for name in found)
        raise DataError(
            f"More than one file could be the table `{stem}`: {listed}.",
            where=source,
            fix=f"keep one of them in the folder, or name the right one: data.{stem}_file",
        )
    path = source / found[0]
    if path.is_dir():
        return TableFile(path=path, format="parquet", compression=None)
    file = parse_table_name(path)
    _require_content(file.path)
    return file


def _may_be_table(path: Path) -> bool:
    """Tell whether a file, or a folder of Parquet parts as Spark and Hive write them, is not hidden."""
    if path.name.startswith("."):
        return False
    return path.is_file() or (path.is_dir() and next(path.rglob("*.parquet"), None) is not None)


def _is_named(name: str, stem: str) -> bool:
    match = _NAME.fullmatch(name)
    return (match["stem"] if match else name).lower() == stem


def list_table_files(source: Path) -> list[TableFile]:
    """Return the files of a folder whose names tell a known format, by name.

    Raises:
        DataError: The folder is missing.
    """
    _require_folder(source)
    paths = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    return [parse_table_name(path) for path in paths if _NAME.fullmatch(path.name)]


def parse_table_name(path: Path) -> TableFile:
    """Tell format and compression of a file by its name.

    Raises:
        DataError: The name tells no known format.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise DataError(
            "The name does not tell a known format.", where=path, fix=f"name it one of {_list_endings('NAME')}"
        )
    compression = match["compression"]
    return TableFile(
        path=path,
        format=_FORMATS[match["format"].lower()],
        compression=cast("Compression | None", compression and compression.lower()),
    )


def has_table_suffix(name: str) -> bool:
    """Tell whether a file's name ends as that of a table, compressed or not."""
    endings = name.lower().split(".")[1:][-2:]
    return bool(endings) and (endings[-1] in _FORMATS or (endings[-1] in _CODECS and endings[0] in _FORMATS))


def _require_folder(source: Path) -> None:
    if not source.exists():
        raise DataError("There is no such folder.", where=source, fix="give the folder that holds the two tables")
    if not source.is_dir():
        raise DataError("This is a file, not a folder.", where=source, fix="give the folder that holds the two tables")


def _require_content(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            first = stream.read(1)
    except PermissionError as fault:
        raise DataError("The file may not be read by this user.", where=path, fix="allow it with `chmod`") from fault
    if not first:
        raise DataError("The file is empty (0 bytes).", where=path, fix=EMPTY_FIX)


def _describe_search(stem: str, names: list[str]) -> str:
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    near = difflib.get_close_matches(stem, [name.split(".")[0].lower() for name in names], n=1)
    closest = next((name for name in names if near and name.split(".")[0].lower() == near[0]), None)
    hint = f" {_format_advice(closest, stem)}" if closest else ""
    return f"put one of {_list_endings(stem)} there, plain or with .gz or .zst after it; the folder holds: " + (
        f"{shown or 'nothing'}.{hint} `learn data guess` finds tables of other names."
    )


_ADVICE = {
    ".xlsx": "Save the sheet of `{name}` as CSV in UTF-8.",
    ".xls": "Save the sheet of `{name}` as CSV in UTF-8.",
    ".ods": "Save the sheet of `{name}` as CSV in UTF-8.",
    ".zip": "Unpack `{name}`.",
    ".7z": "Unpack `{name}`.",
    ".tar": "Unpack `{name}`.",
    ".tgz": "Unpack `{name}`.",
    ".xz": "Unpack `{name}`.",
    ".db": "Export the table of `{name}` as CSV.",
    ".sqlite": "Export the table of `{name}` as CSV.",
    ".feather": "Save `{name}` as Parquet.",
    ".arrow": "Save `{name}` as Parquet.",
    ".avro": "Save `{name}` as Parquet.",
    ".orc": "Save `{name}` as Parquet.",
    ".pkl": "Save `{name}` as Parquet.",
}


def _format_advice(name: str, stem: str) -> str:
    advice = _ADVICE.get(Path(name).suffix.lower(), "Rename `{name}`, or name it in the settings: [data] {stem}_file.")
    return advice.format(name=name, stem=stem)


def _list_endings(stem: str) -> str:
    return ", ".join(f"{stem}.{ending}" for ending in _FORMATS)


def open_stream(path: Path, raw: BinaryIO | None = None) -> io.BufferedReader:
    """Open a file for reading bytes, unpacked where they or its name say that it is compressed.

    Args:
        path: The file.
        raw: Where its bytes come from; by default the file itself.
    """
    plain: io.BufferedReader = io.BufferedReader(cast("io.RawIOBase", raw or path.open("rb")), _READ_BYTES)
    first = plain.peek(_PEEK_BYTES)[:_PEEK_BYTES]
    codec = next((name for mark, name in _MAGIC if first.startswith(mark)), None)
    if codec is None and not _is_text(first):
        codec = _CODECS.get(path.suffix.lower().lstrip("."))
    if codec is None:
        return plain
    unpacked = pa.CompressedInputStream(pa.PythonFile(cast("io.IOBase", plain), mode="r"), codec)
    return io.BufferedReader(cast("io.RawIOBase", unpacked), _READ_BYTES)


def _is_text(first: bytes) -> bool:
    """Tell whether a file begins with plain text, whatever its name says: browsers unpack what they download."""
    return bool(first) and all(byte >= 32 or byte in b"\t\r\n" for byte in first) and first.isascii()


def unpack(file: TableFile, target: Path) -> None:
    """Write a compressed file's content to ``target``.

    Raises:
        DataError: The file is cut off or damaged.
    """
    with open_stream(file.path) as stream, target.open("wb") as out:
        while chunk := _read(stream, file.path):
            out.write(chunk)


def _read(stream: io.BufferedReader, path: Path) -> bytes:
    try:
        return stream.read(_READ_BYTES)
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, path)) from fault
