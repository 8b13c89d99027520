"""Write the traffic log to rotating files, off the request's path.

A request appends its record to a queue and continues. A thread wakes every second, turns records into lines and writes
them. While the disk refuses them they wait, up to the queue's bound. Dropped records are counted; a normal stop drops
none. A file ends at a size or an age, and is deleted when there are too many or it is too old.
"""

from __future__ import annotations

import hmac
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Protocol

from learn.config import TrafficSettings
from learn.errors import StorageError
from learn.traffic.records import FILE_PATTERN, AnswerRecord, FeedbackRecord

logger = logging.getLogger("bentoml.learn")

_DAY_SECONDS = 86_400


class TrafficFiles:
    """Appends whole lines to the newest of a series of files; for use by one thread.

    Names are ``traffic-<UTC time>-<process>-<n>.jsonl``: they sort by time, and no two processes share one.

    Args:
        folder: Their folder; it is made if it is missing.
        settings: When a file is finished, and how much is kept.

    Raises:
        OSError: The folder cannot be made or written to.
    """

    def __init__(self, folder: Path, settings: TrafficSettings) -> None:
        self._folder, self._settings = folder, settings
        self._numbers = count(1)
        self._path: Path | None = None
        self._file = self._size = 0
        self._begun = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13), str(folder))

    def append(self, lines: bytes) -> None:
        """Write lines, each with its line end, all or none.

        Raises:
            OSError: The disk is full or not writable; the file is as before.
        """
        if self._path is None:
            self._begin()
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            # Half a line would damage the next one.
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(lines)
        if self._size >= self._settings.rotate_bytes:
            self.finish()

    def finish_old(self) -> None:
        """Finish the file if it is old enough."""
        if self._path is not None and time.monotonic() - self._begun >= self._settings.rotate_seconds:
            self.finish()

    def finish(self) -> None:
        """Sync the file to disk and close it; the next line starts a new file.

        Raises:
            OSError: The disk refuses the write.
        """
        if self._path is None:
            return
        self._path = None
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        while self._path is None:
            moment = datetime.now(tz=UTC).strftime("%Y%m%dT%H%M%SZ")
            path = self._folder / f"traffic-{moment}-{os.getpid()}-{next(self._numbers)}.jsonl"
            # Containers that share a folder may all be process 1, so an existing file is never used.
            with suppress(FileExistsError):
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
                self._path, self._size, self._begun = path, 0, time.monotonic()
        self._delete_old()

    def _delete_old(self) -> None:
        oldest_first = sorted(path for path in self._folder.glob(FILE_PATTERN) if path != self._path)
        sizes: dict[Path, int] = {}
        for path in oldest_first:
            with suppress(OSError):
                found = path.stat()
                sizes[path] = found.st_size
                if time.time() - found.st_mtime > self._settings.keep_days * _DAY_SECONDS:
                    _delete(path, "old")
                    del sizes[path]
        total = sum(sizes.values())
        for path, size in sizes.items():
            if total <= self._settings.keep_bytes:
                return
            with suppress(OSError):
                _delete(path, "one too many")
            total -= size


def _delete(path: Path, why: str) -> None:
    path.unlink()
    logger.info("Deleted traffic file %s: %s", path.name, why)


class TrafficSink(Protocol):
    """Accepts records without delaying requests: it neither waits nor raises.

    Attributes:
        written: Number of records written to files.
        dropped: Number of lost records.
        write_faults: Number of writes that the disk refused.
    """

    written: int
    dropped: int
    write_faults: int

    def write_answer(self, record: AnswerRecord) -> None:
        """Record an answer."""

    def write_feedback(self, record: FeedbackRecord) -> None:
        """Record what a person did with an answer."""

    def close(self) -> None:
        """Write the waiting records, and stop."""


class NoTraffic:
    """Keeps nothing."""

    written = dropped = write_faults = 0

    def write_answer(self, record: AnswerRecord) -> None:
        """Drop an answer."""

    def write_feedback(self, record: FeedbackRecord) -> None:
        """Drop feedback."""

    def close(self) -> None:
        """Stop; there is nothing to write."""


# So few that a request that waits for the interpreter waits for less than a millisecond.
_CHUNK_RECORDS = 32
_WARN_SECONDS = 60.0


class TrafficLog:
    """Keeps the traffic of one service process.

    Args:
        folder: Folder of the files.
        settings: Bounds and rotation; their ``folder`` is ignored.
        user_key: Key that user ids are hashed with (HMAC-SHA256, hexadecimal); without one they are kept unchanged.

    Attributes:
        written: Number of records written to files.
        dropped: Number of lost records: the queue was full, or they could not be written before the end.
        write_faults: Number of writes that the disk refused.

    Raises:
        StorageError: The folder cannot be made or written to.
    """

    def __init__(self, folder: Path, settings: TrafficSettings | None = None, *, user_key: str = "") -> None:
        self.written = self.dropped = self.write_faults = 0
        self._settings = settings or TrafficSettings()
        self._key = user_key.encode()
        self._said_dropped = 0
        self._said_at = {"dropped": -_WARN_SECONDS, "fault": -_WARN_SECONDS}
        try:
            self._files = TrafficFiles(folder, self._settings)
        except OSError as fault:
            raise StorageError(
                f"The traffic log cannot be written to this folder: {fault.strerror}.",
                where=folder,
                fix="point LEARN_TRAFFIC_FOLDER at a folder that this user may write to",
            ) from fault
        # Appending to a deque needs no lock, and wakes nobody.
        self._waiting: deque[AnswerRecord | FeedbackRecord] = deque()
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._writer = threading.Thread(target=self._run, name="learn-traffic", daemon=True)
        self._writer.start()

    @property
    def waiting(self) -> int:
        """Records that are not written yet."""
        return len(self._waiting)

    def write_answer(self, record: AnswerRecord) -> None:
        """Record an answer; it neither waits nor raises."""
        self._take(record)

    def write_feedback(self, record: FeedbackRecord) -> None:
        """Record what a person did with an answer; it neither waits nor raises."""
        self._take(record)

    def close(self) -> None:
        """Write the waiting records, sync them to disk, and stop; later records are dropped."""
        self._stop.set()
        self._writer.join()

    def _take(self, record: AnswerRecord | FeedbackRecord) -> None:
        if len(self._waiting) < self._settings.queue_records and not self._stop.is_set():
            self._waiting.append(record)
        else:
            self._drop(1)

    def _drop(self, records: int) -> None:
        with self._counting:
            self.dropped += records

    def _run(self) -> None:
        while not self._stop.wait(self._settings.flush_seconds):
            self._guard(self._write_waiting)
            self._guard(self._files.finish_old)
            self._say_dropped()
        self._guard(self._write_waiting)
        self._guard(self._files.finish)
        self._drop(len(self._waiting))
        self._waiting.clear()
        self._say_dropped(at_once=True)

    def _write_waiting(self) -> None:
        while self._waiting:
            chunk = [self._waiting.popleft() for _ in range(min(_CHUNK_RECORDS, len(self._waiting)))]
            lines = b"".join(self._format_line(record) for record in chunk)
            try:
                self._files.append(lines)
            except OSError:
                self._waiting.extendleft(reversed(chunk))
                raise
            self.written += lines.count(b"\n")

    def _format_line(self, record: AnswerRecord | FeedbackRecord) -> bytes:
        try:
            if self._key and record.user is not None:
                record = record.model_copy(update={"user": self._hash_user(record.user)})
            return record.model_dump_json().encode() + b"\n"
        except ValueError:  # for example a text that is not valid Unicode
            logger.exception("A record of the traffic log cannot be written as JSON")
            self._drop(1)
            return b""

    def _hash_user(self, user: str) -> str:
        return hmac.digest(self._key, user.encode(), "sha256").hex()

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as fault:
            # The service continues whatever the disk does; waiting records are tried again.
            self.write_faults += 1
            if self._is_due("fault"):
                logger.error("The traffic log cannot be written: %s; %d records wait", fault, len(self._waiting))

    def _say_dropped(self, *, at_once: bool = False) -> None:
        fresh = self.dropped - self._said_dropped
        if fresh and (self._is_due("dropped") or at_once):
            self._said_dropped = self.dropped
            logger.warning("%d records of the traffic log were dropped", fresh)

    def _is_due(self, what: str) -> bool:
        now = time.monotonic()
        due = now - self._said_at[what] >= _WARN_SECONDS
        if due:
            self._said_at[what] = now
        return due
