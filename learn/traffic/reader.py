"""The traffic log as tables: JSON lines in, Parquet out, with one block of lines in memory.

A file that is still written to may end in half a line, which the next reading gets complete. A line that is no record
is counted and named, and the rest is read. Files that logrotate has packed and renamed are read like the others, and a
record that is there twice, as after a copy, counts once.
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

import polars as pl
import pyarrow as pa

from learn.errors import DataError, explain_storage_faults
from learn.traffic.records import FILE_PATTERN

_BLOCK_BYTES = 8_000_000
"""Some ten thousand answers: enough for polars to be quick, little enough for any machine."""

_FILE = re.compile(r"traffic-.*\.jsonl(?:[.-]\d+)*(?:\.(?P<packed>gz|bz2|zst))?")
"""A file of the log, also as logrotate names it: `traffic-1.jsonl.2.gz`, `traffic-1.jsonl-20260301.zst`."""

_NAMED_LINES = 20
_TEXT_CHARACTERS = 80

_LINE: dict[str, pl.DataType | type[pl.DataType]] = {
    "kind": pl.String,
    "time": pl.String,
    "recommendation_id": pl.String,
    "user": pl.String,
    "model_version": pl.String,
    "arm": pl.String,
    "challenger_share": pl.Float64,
    "history": pl.List(pl.String),
    "history_length": pl.Int64,
    "unknown_items": pl.Int64,
    "items": pl.List(pl.String),
    "scores": pl.List(pl.Float64),
    "k": pl.Int64,
    "filtered": pl.Boolean,
    "fallback": pl.String,
    "latency_milliseconds": pl.Float64,
    "item_id": pl.String,
    "event": pl.String,
}
_FEEDBACK = ("time", "recommendation_id", "user", "item_id", "event")
_SAME_ANSWER = ("time", "recommendation_id", "arm")
_ANSWER = tuple(name for name in _LINE if name not in {"kind", "item_id", "event"})


@dataclass(frozen=True)
class DamagedLine:
    """A line that no record could be made of.

    Attributes:
        file: Name of the file.
        line: Its number, from 1.
        text: How it begins.
    """

    file: str
    line: int
    text: str


@dataclass(frozen=True)
class TrafficRead:
    """What was read of a traffic log, small enough to travel between steps.

    Attributes:
        answers: Parquet file, one row an answer, as in :class:`learn.traffic.records.AnswerRecord`.
        feedback: Parquet file, one row a feedback record.
        files: Files read.
        unfinished: Of them, with a last line that is not whole yet; the next reading gets it.
        lines: Complete lines in them, whatever their time.
        answer_rows: Answers within the time requested.
        feedback_rows: Feedback records within it.
        damaged: Lines that no record could be made of.
        named: The first of them.
        first: Time of the first answer; None if there is none.
        last: Time of the last answer.
        repeated: Records that were there more than once, and count once.
    """

    answers: Path
    feedback: Path
    files: int
    unfinished: int
    lines: int
    answer_rows: int
    feedback_rows: int
    damaged: int
    named: tuple[DamagedLine, ...]
    first: datetime | None
    last: datetime | None
    repeated: int = 0

    @property
    def sentence(self) -> str:
        """What was read, in one line."""
        damaged = f", {self.damaged:,} of them damaged" if self.damaged else ""
        repeated = f" {self.repeated:,} records were there more than once and count once." if self.repeated else ""
        return (
            f"Traffic log: {self.lines:,} lines in {self.files:,} files{damaged}; {self.answer_rows:,} answers and "
            f"{self.feedback_rows:,} feedback records in the window.{repeated}"
        )


@dataclass
class _Counts:
    lines: int = 0
    unfinished: int = 0
    damaged: int = 0
    named: list[DamagedLine] = field(default_factory=list)

    def add_damaged(self, file: Path, number: int, text: bytes) -> None:
        self.damaged += 1
        if len(self.named) < _NAMED_LINES:
            shown = text[:_TEXT_CHARACTERS].decode("utf-8", "replace")
            self.named.append(DamagedLine(file.name, number, shown))


@dataclass(frozen=True)
class _Block:
    """Complete lines that follow each other in a file."""

    file: Path
    first_line: int
    lines: list[bytes]


def is_traffic_log(folder: Path) -> bool:
    """Tell a folder of a traffic log from any other."""
    return bool(_list_files(folder))


def _list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("traffic-*") if _FILE.fullmatch(path.name)) if folder.is_dir() else []


def read_traffic(
    folder: Path, destination: Path, *, since: datetime | None = None, until: datetime | None = None
) -> TrafficRead:
    """Read a traffic log into two Parquet files.

    Args:
        folder: Holds ``traffic-*.jsonl``, plain or packed.
        destination: Folder for ``answers.parquet`` and ``feedback.parquet``.
        since: Records before it are left out; None: none are. Without a time zone it is UTC.
        until: Records from it on are left out.

    Raises:
        DataError: There is no such folder, or it holds no file of a traffic log.
        StorageError: The disk is full or not writable.
    """
    files = _list_files(folder)
    if not files:
        raise DataError(
            f"There are no files `{FILE_PATTERN}`.", where=folder, fix="name the folder that the service logs to"
        )
    counts = _Counts()
    paths = [destination / name for name in ("answers.parquet", "feedback.parquet")]
    with explain_storage_faults(destination):
        parts = destination / "parts"
        # What an interrupted reading left would be read as this one's.
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        for number, block in enumerate(_iterate_blocks(files, counts)):
            _write_part(_select_period(_read_records(block, counts), since, until), parts, number)
        repeated = 0
        for path, columns, same in zip(paths, (_ANSWER, _FEEDBACK), (_SAME_ANSWER, _FEEDBACK), strict=True):
            repeated += _drop_repeated(sorted(parts.glob(f"{path.stem}-*.parquet")), same)
            _gather(parts, path, columns)
    times = pl.scan_parquet(paths[0]).select(first=pl.col("time").min(), last=pl.col("time").max()).collect()
    rows = [int(pl.scan_parquet(path).select(pl.len()).collect().item()) for path in paths]
    return TrafficRead(
        answers=paths[0],
        feedback=paths[1],
        files=len(files),
        unfinished=counts.unfinished,
        lines=counts.lines,
        answer_rows=rows[0],
        feedback_rows=rows[1],
        damaged=counts.damaged,
        named=tuple(counts.named),
        first=times["first"][0],
        last=times["last"][0],
        repeated=repeated,
    )


def _iterate_blocks(files: list[Path], counts: _Counts) -> Iterator[_Block]:
    for file in files:
        first_line, rest = 1, b""
        try:
            with _open_unpacked(file) as source:
                while chunk := source.read(_BLOCK_BYTES):
                    *lines, rest = (rest + chunk).split(b"\n")
                    if lines:
                        yield _Block(file, first_line, lines)
                    first_line += len(lines)
        except EOFError:
            # A packed file without its end: somebody is writing it.
            rest = rest or b"{"
        except (gzip.BadGzipFile, zlib.error, OSError) as fault:
            if isinstance(fault, OSError) and fault.errno:
                raise
            counts.lines += 1
            counts.add_damaged(file, first_line, b"(cannot be unpacked from here on)")
        # A last line without an end: somebody is writing it.
        counts.unfinished += bool(rest.strip())


def _open_unpacked(file: Path) -> IO[bytes]:
    match = _FILE.fullmatch(file.name)
    packed = match and match["packed"]
    if packed == "gz":
        return cast("IO[bytes]", gzip.open(file))
    if packed == "bz2":
        return cast("IO[bytes]", bz2.open(file))
    if packed == "zst":
        return cast("IO[bytes]", pa.CompressedInputStream(pa.OSFile(str(file), "rb"), "zstd"))
    return file.open("rb")


def _read_records(block: _Block, counts: _Counts) -> pl.DataFrame:
    numbers = [number for number, line in enumerate(block.lines, start=block.first_line) if line.strip()]
    lines = [line for line in block.lines if line.strip()]
    counts.lines += len(lines)
    readable: list[int] = []
    frames = list(_parse_lines(lines, 0, readable))
    unreadable = sorted(set(range(len(lines))) - set(readable))
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=_LINE)
    checked = _cast_types(frame).with_columns(place=pl.Series(readable, dtype=pl.Int64))
    wrong = checked.filter(~_is_record())["place"].to_list()
    for place in sorted([*unreadable, *wrong]):
        counts.add_damaged(block.file, numbers[place], lines[place])
    return checked.filter(_is_record()).drop("place")


def _parse_lines(lines: list[bytes], begin: int, readable: list[int]) -> Iterator[pl.DataFrame]:
    """Parse lines; where one is damaged, halve until it is alone and is left out."""
    if not lines:
        return
    try:
        frame = pl.read_ndjson(io.BytesIO(b"\n".join(lines)), schema=_LINE)
    except (pl.exceptions.PolarsError, ValueError):
        frame = None
    if frame is not None and frame.height == len(lines):
        readable.extend(range(begin, begin + len(lines)))
        yield frame
    elif len(lines) > 1:
        middle = len(lines) // 2
        yield from _parse_lines(lines[:middle], begin, readable)
        yield from _parse_lines(lines[middle:], begin + middle, readable)


def _cast_types(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.col("time").str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC"),
        pl.col("arm").fill_null("champion"),
        pl.col("history").fill_null([]),
        pl.col("unknown_items").fill_null(0),
        pl.col("filtered").fill_null(value=False),
    )


def _is_record() -> pl.Expr:
    """Whether a parsed line holds what the schema in :mod:`learn.traffic.records` asks of its kind."""
    common = pl.col("time").is_not_null() & pl.col("recommendation_id").is_not_null()
    needed = ("model_version", "history_length", "items", "scores", "k", "latency_milliseconds")
    answer = (
        (pl.col("kind") == "answer")
        & pl.all_horizontal(pl.col(name).is_not_null() for name in needed)
        & pl.col("arm").is_in(["champion", "challenger", "shadow"])
        & (pl.col("items").list.len() == pl.col("scores").list.len())
        & (pl.col("history_length") >= 0)
    )
    events = pl.col("event").is_in(["shown", "clicked", "bought"])
    feedback = (pl.col("kind") == "feedback") & pl.col("item_id").is_not_null() & events
    return (common & (answer | feedback)).fill_null(value=False)


def _select_period(frame: pl.DataFrame, since: datetime | None, until: datetime | None) -> pl.DataFrame:
    if since is not None:
        frame = frame.filter(pl.col("time") >= _to_utc(since))
    return frame if until is None else frame.filter(pl.col("time") < _to_utc(until))


def _to_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _write_part(frame: pl.DataFrame, parts: Path, number: int) -> None:
    for kind, columns in (("answer", _ANSWER), ("feedback", _FEEDBACK)):
        rows = frame.filter(pl.col("kind") == kind).select(columns)
        if number == 0 or rows.height:
            rows.write_parquet(parts / f"{'answers' if kind == 'answer' else 'feedback'}-{number:06}.parquet")


def _drop_repeated(parts: list[Path], same: tuple[str, ...]) -> int:
    """Keep the first of records that are the same; return how many were dropped.

    Memory holds eight bytes a record.
    """
    if not parts:
        return 0
    hashes = pl.concat([pl.read_parquet(part, columns=list(same)).hash_rows(seed=0) for part in parts])
    is_first = hashes.is_first_distinct()
    dropped = len(is_first) - int(is_first.sum())
    start = 0
    for part in parts if dropped else ():
        rows = pl.read_parquet(part)
        rows.filter(is_first.slice(start, rows.height)).write_parquet(part)
        start += rows.height
    return dropped


def _gather(parts: Path, path: Path, columns: tuple[str, ...]) -> None:
    found = sorted(parts.glob(f"{path.stem}-*.parquet"))
    if found:
        pl.scan_parquet(found).sink_parquet(path)
    else:
        schema = _cast_types(pl.DataFrame(schema=_LINE)).select(columns)
        schema.write_parquet(path)
    for part in found:
        part.unlink()
