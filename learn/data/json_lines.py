"""JSON Lines: read a file line by line, and name the first line that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from learn.data.formats import EMPTY_FIX, explain_unreadable, open_stream, prefer_system_fault
from learn.errors import DataError


def iterate_lines(path: Path, *, raw: BinaryIO | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not blank with its number, counted from 1; memory holds one line.

    Args:
        path: The file, plain or compressed.
        raw: Where its bytes come from; by default the file itself.

    Raises:
        DataError: The file is cut off or damaged; it names the last line that could be read.
    """
    number = 0
    try:
        with open_stream(path, raw) as stream:
            for number, line in enumerate(stream, start=1):
                if not line.isspace():
                    yield number, line
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, path, line=number)) from fault


def parse_json_object(line: bytes) -> dict[str, object]:
    """Read one line as an object.

    Raises:
        ValueError: The line is not UTF-8, not JSON, or not an object; the message says which.
    """
    try:
        record = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as fault:
        raise ValueError("the text is not UTF-8") from fault
    except json.JSONDecodeError as fault:
        raise ValueError(f"this is not JSON: {fault.msg} at character {fault.pos + 1}") from fault
    except RecursionError as fault:
        raise ValueError("the record is nested too deeply") from fault
    if isinstance(record, dict):
        return record
    raise ValueError("a line must hold one object, `{…}`")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"`{name}` is no number in JSON")


def explain_bad_line(path: Path, number: int, line: bytes, reason: str) -> DataError:
    """Say that a line cannot be read, and whether the file seems to end in the middle of it."""
    cut = not line.endswith(b"\n")
    return DataError(
        f"A line cannot be read: {reason}.",
        where=f"{path}, line {number}",
        fix="the file seems to be cut off there: copy or download it again" if cut else "mend or remove the line",
    )


def find_first_fault(path: Path) -> DataError | None:
    """Look for the first line of a JSON Lines file that cannot be read; slow, for an error's text alone."""
    empty = True
    try:
        for number, line in iterate_lines(path):
            empty = False
            try:
                parse_json_object(line)
            except ValueError as fault:
                return explain_bad_line(path, number, line, str(fault))
    except DataError as fault:
        return fault
    return DataError("The table is empty.", where=path, fix=EMPTY_FIX) if empty else None
