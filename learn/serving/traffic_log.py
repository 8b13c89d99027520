"""What was answered and what people made of it, to rotating files, off the request's path.

A request appends its record to a queue and goes on. A thread wakes each second, turns records into lines and writes
them; while the disk takes none they wait, up to the queue's bound. What is dropped is counted, and nothing is at a
normal stop.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from learn.config import TrafficSettings
from learn.data.traffic import AnswerRecord, FeedbackRecord
from learn.errors import StorageError
from learn.serving.traffic_files import TrafficFiles

logger = logging.getLogger("bentoml.learn")

# Small enough that a request which waits for the interpreter meanwhile waits for less than a millisecond.
_CHUNK_RECORDS = 32
_WARN_SECONDS = 60.0


class TrafficLog:
    """Keeps the traffic of one service process.

    Args:
        folder: Where the files go.
        settings: Bounds and rotation; ``folder`` of theirs is not read.
        user_key: Key that user ids are hashed with (HMAC-SHA256, hexadecimal); they are kept as they come without one.

    Attributes:
        written: Records in files.
        dropped: Records that are lost: the queue was full, or they could not be written until the end.
        write_faults: How often the disk refused a write.

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
                f"The traffic cannot be kept there: {fault.strerror}.",
                where=folder,
                fix="point LEARN_TRAFFIC_FOLDER at a folder that this user may write to",
            ) from fault
        # Appending to a deque needs no lock, and wakes nobody.
        self._waiting: deque[AnswerRecord | FeedbackRecord] = deque()
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._writer = threading.Thread(target=self._work, name="learn-traffic", daemon=True)
        self._writer.start()

    @property
    def waiting(self) -> int:
        """Records that are not written yet."""
        return len(self._waiting)

    def answer(self, record: AnswerRecord) -> None:
        """Take what was answered; neither waits nor raises."""
        self._take(record)

    def feedback(self, record: FeedbackRecord) -> None:
        """Take what a person made of it; neither waits nor raises."""
        self._take(record)

    def close(self) -> None:
        """Write what waits, bring it to the disk, and end; records that come later are dropped."""
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

    def _work(self) -> None:
        while not self._stop.wait(self._settings.flush_seconds):
            self._guarded(self._write_waiting)
            self._guarded(self._files.finish_old)
            self._say_dropped()
        self._guarded(self._write_waiting)
        self._guarded(self._files.finish)
        self._drop(len(self._waiting))
        self._waiting.clear()
        self._say_dropped(at_once=True)

    def _write_waiting(self) -> None:
        while self._waiting:
            chunk = [self._waiting.popleft() for _ in range(min(_CHUNK_RECORDS, len(self._waiting)))]
            lines = b"".join(self._line(record) for record in chunk)
            try:
                self._files.append(lines)
            except OSError:
                self._waiting.extendleft(reversed(chunk))
                raise
            self.written += lines.count(b"\n")

    def _line(self, record: AnswerRecord | FeedbackRecord) -> bytes:
        try:
            if self._key and record.user is not None:
                record = record.model_copy(update={"user": self._hashed(record.user)})
            return record.model_dump_json().encode() + b"\n"
        except ValueError:  # a text that is no Unicode, say
            logger.exception("A record of the traffic cannot be written as JSON")
            self._drop(1)
            return b""

    def _hashed(self, user: str) -> str:
        return hmac.digest(self._key, user.encode(), "sha256").hex()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as fault:
            # The service goes on whatever the disk does; what waits is tried again.
            self.write_faults += 1
            if self._due("fault"):
                logger.error("The traffic cannot be written: %s; %d records wait", fault, len(self._waiting))

    def _say_dropped(self, *, at_once: bool = False) -> None:
        fresh = self.dropped - self._said_dropped
        if fresh and (self._due("dropped") or at_once):
            self._said_dropped = self.dropped
            logger.warning("%d records of the traffic were dropped", fresh)

    def _due(self, what: str) -> bool:
        now = time.monotonic()
        due = now - self._said_at[what] >= _WARN_SECONDS
        if due:
            self._said_at[what] = now
        return due
