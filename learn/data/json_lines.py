"""JSON Lines: read a file line by line, count its records, and name the first line that cannot be read."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from learn.data.formats import EMPTY_FIX, explain_unreadable, open_stream, prefer_system_fault
from learn.data.readable import JsonFloat, JsonInteger
from learn.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK_BYTES = 2**20
# A line break with nothing but space up to the next one.
_BLANK_LINE = re.compile(rb"\n[ \t\r\x0b\x0c]*(?=\n)")


def iterate_lines(path: Path, *, raw: BinaryIO | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not blank with its number, counted from 1; memory holds one line.

    A byte order mark at the beginning is left out.

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
                content = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
                if content and not content.isspace():
                    yield number, content
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, path, line=number)) from fault


def count_records(path: Path) -> int:
    """Count the lines that are not blank, from the bytes: what the rows that were read are compared with.

    Raises:
        DataError: The file is cut off or damaged.
    """
    records = 0
    is_filled = False  # whether the line that has begun holds anything yet
    try:
        with open_stream(path) as stream:
            start = stream.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
            for chunk in itertools.chain([start], iter(lambda: stream.read(_CHUNK_BYTES), b"")):
                head, line_end, rest = chunk.partition(b"\n")
                is_filled |= bool(head) and not head.isspace()
                if line_end:
                    whole = rest[: rest.rfind(b"\n") + 1]
                    begun = rest[len(whole) :]
                    records += is_filled + whole.count(b"\n") - len(_BLANK_LINE.findall(b"\n" + whole))
                    is_filled = bool(begun) and not begun.isspace()
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, path)) from fault
    return records + is_filled


def is_plain_start(path: Path) -> bool:
    """Tell whether a file begins with a record: not with a byte order mark, nor as another notation does.

    Raises:
        DataError: The file is UTF-16 or one JSON array, neither of which is JSON Lines.
    """
    try:
        with open_stream(path) as stream:
            start = stream.read(_CHUNK_BYTES)
    except OSError as fault:
        raise prefer_system_fault(fault, explain_unreadable(fault, path)) from fault
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("The text is UTF-16, not UTF-8.", where=path, fix="save the file as UTF-8")
    content = start.removeprefix(BYTE_ORDER_MARK).lstrip()
    if content.startswith(b"[") and content[1:].lstrip()[:1] in {b"{", b"]", b"", b"["}:
        raise DataError(
            "The file is one JSON array, not JSON Lines with one object a line.",
            where=path,
            fix=f"write each record on its own line: `jq -c '.[]' {path.name} > {path.stem}_lines.jsonl`, and "
            "give that file the table's name",
        )
    return not start.startswith(BYTE_ORDER_MARK)


def parse_json_object(line: bytes) -> dict[str, object]:
    """Read one line as an object.

    Raises:
        ValueError: The line is not UTF-8, not JSON, or not an object; the message says which.
    """
    return _parse(line, _DECODER)


def parse_exact_object(line: bytes) -> dict[str, object]:
    """Read one line as an object with the digits of its numbers, and of a key that is there twice the first value.

    Raises:
        ValueError: As :func:`parse_json_object` raises it.
    """
    return _parse(line, _EXACT_DECODER)


def _parse(line: bytes, decoder: json.JSONDecoder) -> dict[str, object]:
    try:
        record = decoder.decode(line.decode("utf-8"))
    except UnicodeDecodeError as fault:
        raise ValueError("the text is not UTF-8") from fault
    except json.JSONDecodeError as fault:
        if _is_python_literal(line):
            raise ValueError(
                "this is not JSON but a Python literal, with single quotation marks, `True`, `False` or `None`"
            ) from fault
        raise ValueError(f"this is not JSON: {fault.msg} at character {fault.pos + 1}") from fault
    except RecursionError as fault:
        raise ValueError("the record is nested too deeply") from fault
    if isinstance(record, dict):
        return record
    raise ValueError("a line must hold one object, `{…}`")


def _is_python_literal(line: bytes) -> bool:
    try:
        return isinstance(ast.literal_eval(line.decode("utf-8").strip()), dict)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"`{name}` is no number in JSON")


def _keep_first(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    return record if len(record) == len(pairs) else dict(reversed(pairs))


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_EXACT_DECODER = json.JSONDecoder(
    object_pairs_hook=_keep_first, parse_float=JsonFloat, parse_int=JsonInteger, parse_constant=_refuse_constant
)


def explain_bad_line(path: Path, number: int, line: bytes, reason: str) -> DataError:
    """Say that a line cannot be read, and whether the file seems to end in the middle of it."""
    if "Python literal" in reason:
        fix = "write each record with Python's `json.dumps`, one on a line"
    elif not line.endswith(b"\n"):
        fix = "the file seems to be cut off there: copy or download it again"
    elif line.strip() in {b"{", b"["}:
        fix = "write each record on a single line, without line breaks in it"
    else:
        fix = "mend or remove the line"
    return DataError(f"A line cannot be read: {reason}.", where=f"{path}, line {number}", fix=fix)


def iterate_records(
    path: Path, parse: Callable[[bytes], dict[str, object]] = parse_json_object
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the size in bytes and the record of each line that is not blank.

    Raises:
        DataError: A line cannot be read; it is named.
    """
    for number, line in iterate_lines(path):
        try:
            record = parse(line)
        except ValueError as fault:
            raise explain_bad_line(path, number, line, str(fault)) from fault
        yield len(line), record


def find_first_fault(path: Path) -> DataError | None:
    """Look for the first line of a JSON Lines file that cannot be read; slow, for an error's text alone."""
    empty = True
    try:
        for _ in iterate_records(path):
            empty = False
    except DataError as fault:
        return fault
    return DataError("The table is empty.", where=path, fix=EMPTY_FIX) if empty else None
