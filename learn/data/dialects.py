"""The dialect of a CSV or TSV file, as its bytes show it: encoding, separator, quotation marks and first lines.

The names of files promise a dialect, their bytes keep another one: Excel writes semicolons and a line `sep=;`, MySQL,
Hive and IMDb know no quotation marks, Spark escapes them by a backslash. The count of records here does not depend on
the parser that reads the rows, so that rows which a parser merges are noticed.

The rules are those of RFC 4180, section 2, and of https://www.w3.org/TR/tabular-data-model, section 8.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from learn.data.formats import EMPTY_FIX, TableFile, open_stream
from learn.errors import DataError

Quoting = Literal["double", "backslash", "line"]
"""How quotation marks are written.

``double``: as RFC 4180 has it, `""` in a quoted field is one mark, and a quoted field may hold line breaks.
``backslash``: `\\"` in a quoted field is one mark (Spark, MySQL).
``line``: a line is a record, whatever marks it holds; a field that a pair of marks encloses loses them.
"""

_SEPARATORS = ",;\t|"
_FIRST_BYTES = 2**20
_FIRST_RECORDS = 200
# A few records may be broken, or hold quotation marks in another dialect.
_EVEN_SHARE = 0.8
_QUOTE, _LINE_FEED, _RETURN = 34, 10, 13
_ENDS = {_LINE_FEED, _RETURN}
# So much fits the processor's own memory.
_COUNTED_BYTES = 2**18
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Dialect:
    """How a CSV or TSV file is written.

    Attributes:
        separator: What is between two fields; one ASCII character.
        encoding: Name of the encoding that Python knows.
        first_line: Line of the header, counted from 0: those before it say nothing of the table.
        names: The header.
        quoting: How quotation marks are written.
    """

    separator: str
    encoding: str
    first_line: int
    names: tuple[str, ...]
    quoting: Quoting = "double"


def detect_dialect(file: TableFile, *, encoding: str) -> Dialect:
    """Find encoding, separator and header of a file by its first megabyte.

    The separator is the one that the name of the file promises, unless another one gives every record as many
    fields as the header has.

    Args:
        file: The file.
        encoding: Name of its encoding if no byte order mark says another one.

    Raises:
        DataError: The file is empty or a web page, or two columns have one name.
        UnicodeDecodeError: The text is not in its encoding.
        OSError: The file is damaged or cannot be read.
    """
    with open_stream(file.path) as stream:
        first = stream.read(_FIRST_BYTES)
        is_whole = not stream.read(1)
    _refuse_other_format(first, file)
    encoding = find_marked_encoding(first) or encoding
    text = codecs.getincrementaldecoder(encoding)(errors="strict").decode(first, final=is_whole)
    if text.lstrip()[:15].lower().startswith(("<!doctype html", "<html")):
        raise DataError(
            "This is a web page, not a table: a sign-in or an error page was saved in its place.",
            where=file.path,
            fix="download the file again, signed in",
        )
    # Not `splitlines`, which breaks a title at every kind of line end that Unicode has.
    lines = list(io.StringIO(text, newline=""))
    if not is_whole and len(lines) > 1:
        lines.pop()  # it may be cut off
    skipped, said = _skip_first_lines(lines)
    separator = said or _choose_separator(lines[skipped:], file.separator)
    names = next((row for row in csv.reader(lines[skipped:], delimiter=separator) if row), [])
    dialect = Dialect(separator, encoding, skipped, tuple(names))
    _require_header(dialect, file)
    return dialect


def _require_header(dialect: Dialect, file: TableFile) -> None:
    if not dialect.names:
        raise DataError("The table is empty.", where=file.path, fix=EMPTY_FIX)
    twice = [name for name, times in Counter(dialect.names).items() if times > 1]
    if twice:
        listed = ", ".join(f"`{name}`" for name in twice)
        raise DataError(
            f"Two columns are both named {listed}.",
            where=f"{file.path}, line {dialect.first_line + 1}",
            fix="give each its own name",
        )


_SIGNATURES = (
    (b"PAR1", "a Parquet file", "name it .parquet"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save the sheet as CSV in UTF-8"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"\xfd7zXZ", "an xz archive", "unpack it"),
)


def _refuse_other_format(first: bytes, file: TableFile) -> None:
    if re.match(rb'[\s\xef\xbb\xbf]*[\[{]\s*["{]', first):
        raise DataError("This is JSON, not CSV.", where=file.path, fix="name it .jsonl, one object a line")
    for signature, name, fix in _SIGNATURES:
        if first.startswith(signature):
            raise DataError(f"This is {name}, not the text that its name says.", where=file.path, fix=fix)


def find_marked_encoding(first: bytes) -> str | None:
    """Return the encoding that a byte order mark says, or None without one; UTF-16 is known without one too."""
    marked = next((name for mark, name in _MARKS if first.startswith(mark)), None)
    if marked is None and len(first) >= 4 and first[1:4:2] == b"\0\0":
        # Plain letters have a zero byte each in UTF-16.
        return "utf-16-le"
    return marked


def _skip_first_lines(lines: Sequence[str]) -> tuple[int, str]:
    """Count blank lines, comments and a line ``sep=;`` before the header; return the separator of the latter too."""
    separator = ""
    for number, line in enumerate(lines):
        text = line.strip().strip('"')
        if number == 0 and text.lower().startswith("sep=") and len(text) == 5:
            separator = text[4]
        elif text and not _is_comment(line, lines[number + 1 : number + 2]):
            return number, separator
    return 0, separator


def _is_comment(line: str, following: Sequence[str]) -> bool:
    """Tell whether a line is no header: it begins with `#` and has other fields than the line behind it."""
    if not line.startswith("#") or not following:
        return False
    return all(line.count(mark) != following[0].count(mark) or mark not in line for mark in _SEPARATORS)


def _choose_separator(lines: Sequence[str], promised: str) -> str:
    def count_fields(separator: str) -> int:
        return max(_count_even_fields(text, separator) for text in (lines, unescaped))

    unescaped = [line.replace('\\"', '""') for line in lines]
    if promised in (lines[0] if lines else "") and count_fields(promised):
        return promised
    best = max((other for other in _SEPARATORS if other != promised), key=count_fields)
    return best if count_fields(best) else promised


def _count_even_fields(lines: Sequence[str], separator: str) -> int:
    """Return the fields of the header, or 0 where it has one or too many records have others."""
    try:
        counts = [len(row) for row in islice(csv.reader(lines, delimiter=separator), _FIRST_RECORDS) if row]
    except csv.Error:
        return 0
    is_even = counts.count(counts[0]) >= _EVEN_SHARE * len(counts) if counts else False
    return counts[0] if is_even and counts[0] > 1 else 0


def decode_stream(stream: BinaryIO, encoding: str) -> BinaryIO:
    """Return a stream of the same text in UTF-8.

    Args:
        stream: Bytes in ``encoding``; closed with the stream returned.
        encoding: The encoding.
    """
    if encoding == "utf-8-sig":
        stream.read(len(codecs.BOM_UTF8))
    if encoding in {"utf-8", "utf-8-sig"}:
        return stream
    return io.BufferedReader(_Utf8Reader(stream, encoding), _FIRST_BYTES)


class _Utf8Reader(io.RawIOBase):
    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = self._stream.read(_FIRST_BYTES)
            self._rest = self._decoder.decode(chunk, final=not chunk).encode("utf-8")
            if not chunk and not self._rest:
                return 0
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def close(self) -> None:
        self._stream.close()
        super().close()


class RecordCounter:
    """Counts the records of a CSV or TSV text only by its line ends and quotation marks, and checks the marks.

    A mark must open a field (behind a separator or a line end), close one (before them), or be next to another one.
    A file in which every mark does so, and none is left open, is regular: every reader of RFC 4180 finds the same
    records in it.

    Attributes:
        records: Lines that are not empty and end outside of quotation marks.
        inner_line_ends: Line ends inside quotation marks.
        fault_line: Line of the first mark out of place, counted from 1; None if there is none.
        suspect_line: Line of the mark that opened the quotation in which it is, the likely culprit.
        open_line: Line of the mark that opened the quotation that is open now; None outside of one.
        has_marks: Whether there is any quotation mark.
    """

    def __init__(self, separator: str) -> None:
        self.records = 0
        self.inner_line_ends = 0
        self.fault_line: int | None = None
        self.suspect_line: int | None = None
        self.open_line: int | None = None
        self._separator = ord(separator)
        self._line = 1
        self._last = _LINE_FEED
        self._is_inside = False
        self._has_closed = False
        self.has_marks = False

    @property
    def is_regular(self) -> bool:
        """Whether every quotation mark so far is in its place and none is open."""
        return self.fault_line is None and not self._is_inside

    def feed(self, chunk: bytes) -> None:
        """Count on over the bytes that follow."""
        for first in range(0, len(chunk), _COUNTED_BYTES):
            self._feed_piece(chunk[first : first + _COUNTED_BYTES])

    def finish(self) -> None:
        """Count the last record, which need not end in a line end."""
        if self._last not in _ENDS and not self._is_inside:
            self.records += 1

    def _feed_piece(self, piece: bytes) -> None:
        if not self._is_inside and not self._has_closed and self._last != _RETURN and not _needs_care(piece):
            ends = piece.count(b"\n")
            self.records += ends - (self._last == _LINE_FEED and piece[0] == _LINE_FEED)
            self._line += ends
        else:
            self._feed_with_care(np.frombuffer(piece, np.uint8), has_returns=b"\r" in piece)
        self._last = piece[-1]

    def _feed_with_care(self, piece: NDArray[np.uint8], *, has_returns: bool) -> None:
        marks = np.flatnonzero(piece == _QUOTE)  # (q,)
        ends = np.flatnonzero(((piece == _LINE_FEED) | (piece == _RETURN)) if has_returns else piece == _LINE_FEED)
        before_end = self._look_before(piece, ends)  # (e,)
        is_inside = (np.searchsorted(marks, ends) + self._is_inside) % 2 == 1
        # A return and its line feed are one end of a line.
        is_break = (piece[ends] == _RETURN) | (before_end != _RETURN)
        is_blank = (before_end == _LINE_FEED) | (before_end == _RETURN)
        self.records += int((~is_inside & ~is_blank).sum())
        self.inner_line_ends += int((is_inside & is_break).sum())
        self._check_marks(piece, marks, ends[is_break])
        self._line += int(is_break.sum())

    def _look_before(self, piece: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the byte before each position, which for the first may be in the piece before."""
        before = piece[positions - 1]
        if len(positions) and positions[0] == 0:
            before[0] = self._last
        return before

    def _check_marks(self, piece: NDArray[np.uint8], marks: NDArray[np.int64], breaks: NDArray[np.int64]) -> None:
        self.has_marks |= len(marks) > 0
        opening, closing = marks[int(self._is_inside) :: 2], marks[1 - int(self._is_inside) :: 2]
        if self.fault_line is None:
            before = self._look_before(piece, opening)
            wrong = opening[~self._may_stand_beside_mark(before)]
            # A mark closed the piece before: what follows it is here.
            after = closing[closing + 1 < len(piece)] + 1
            after = np.concatenate([np.zeros(int(self._has_closed), np.int64), after])
            wrong = np.concatenate([wrong, after[~self._may_stand_beside_mark(piece[after])]])
            if len(wrong):
                self.fault_line = self._find_line(wrong.min(), breaks)
                # What is out of place may be right, and the mark before it the one that nobody closed.
                earlier = opening[opening < wrong.min() - 1]
                opened = self._find_line(earlier[-1], breaks) if len(earlier) else self.open_line
                self.suspect_line = opened if opened and wrong.min() in after else self.fault_line
        self._is_inside ^= len(marks) % 2 == 1
        self._has_closed = bool(len(marks)) and marks[-1] == len(piece) - 1 and not self._is_inside
        if not self._is_inside:
            self.open_line = None
        elif len(opening):
            self.open_line = self._find_line(opening[-1], breaks)

    def _find_line(self, position: np.int64, breaks: NDArray[np.int64]) -> int:
        return self._line + int((breaks < position).sum())

    def _may_stand_beside_mark(self, byte: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.isin(byte, [self._separator, _LINE_FEED, _RETURN, _QUOTE])


def _needs_care(piece: bytes) -> bool:
    return b'"' in piece or b"\r" in piece or b"\n\n" in piece


class CountingStream(io.RawIOBase):
    """A stream whose bytes pass a :class:`RecordCounter` on their way to the parser."""

    def __init__(self, stream: io.RawIOBase | BinaryIO, counter: RecordCounter) -> None:
        self._stream, self._counter = stream, counter

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes and count on."""
        chunk = self._stream.read(size) or b""
        self._counter.feed(chunk)
        return chunk


class UnescapeStream(io.RawIOBase):
    """A stream in which ``\\"`` is ``""`` and a doubled backslash is one, so that a reader of RFC 4180 can read it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._rest = b""
        self.has_escapes = False

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read bytes, unescaped."""
        while not self._rest:
            chunk = self._stream.read(len(buffer))
            if not chunk:
                return 0
            while chunk.endswith(b"\\") and (following := self._stream.read(1)):
                chunk += following
            self.has_escapes |= b'\\"' in chunk
            self._rest = _replace_escapes(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _replace_escapes(chunk: bytes) -> bytes:
    return b"\\".join(part.replace(b'\\"', b'""') for part in chunk.split(b"\\\\"))


def iterate_line_records(text: io.TextIOBase, dialect: Dialect) -> Iterator[list[str]]:
    """Yield the fields of each line that is not empty, where a line is a record whatever quotation marks it holds.

    Raises:
        DataError: A line has not as many fields as the header, even if its marks are plain characters.
    """
    for number, line in enumerate(text, start=1):
        bare = line.rstrip("\r\n")
        if bare:
            fields = _split_line(bare, dialect)
            if fields is None:
                raise DataError(f"Line {number} has not as many fields as the header.")
            yield fields


def iterate_strict_records(text: io.TextIOBase, dialect: Dialect) -> Iterator[list[str]]:
    """Yield the fields of each record, where a quotation mark counts only at the ends of a field.

    Raises:
        DataError: A record has not as many fields as the header, or a quotation does not end where its field does.
    """
    reader = csv.reader(text, delimiter=dialect.separator, strict=True)
    try:
        for fields in reader:
            if fields and len(fields) != len(dialect.names):
                raise DataError(f"The record before line {reader.line_num} has not as many fields as the header.")
            if fields:
                yield fields
    except csv.Error as fault:
        raise DataError(f"The quotation before line {reader.line_num} does not end: {fault}.") from fault


def _split_line(line: str, dialect: Dialect) -> list[str] | None:
    expected = len(dialect.names)
    try:
        (fields,) = csv.reader([line], delimiter=dialect.separator, strict=True)
        if len(fields) == expected:
            return fields
    except csv.Error:
        pass
    fields = [_strip_pair(field) for field in line.split(dialect.separator)]
    return fields if len(fields) == expected else None


def _strip_pair(field: str) -> str:
    is_enclosed = len(field) >= 2 and field[0] == field[-1] == '"'
    return field[1:-1].replace('""', '"') if is_enclosed else field
