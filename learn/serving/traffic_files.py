"""Files of a traffic log: begun, finished by size or age, and deleted when they are too many or too old."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from learn.config import TrafficSettings
from learn.data.traffic import FILE_PATTERN

logger = logging.getLogger("bentoml.learn")

_DAY_SECONDS = 86_400


class TrafficFiles:
    """Appends whole lines to the newest of a row of files; for one thread.

    Names are ``traffic-<UTC time>-<process>-<n>.jsonl``: they sort by time, and no two processes share one.

    Args:
        folder: Where they go; it is made where it is missing.
        settings: When a file is finished, and what is kept.

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
        """Write lines, each with its end, whole or not at all.

        Raises:
            OSError: The disk is full or closed; what was there before stays as it was.
        """
        if self._path is None:
            self._begin()
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            # Half a line would spoil the next one.
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
        """Bring the file to the disk and close it; the next line begins another one.

        Raises:
            OSError: The disk does not take it.
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
            # Containers that share a folder may all be process 1, hence never a file that is there.
            with suppress(FileExistsError):
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
                self._path, self._size, self._begun = path, 0, time.monotonic()
        self._sweep()

    def _sweep(self) -> None:
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
