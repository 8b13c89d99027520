"""How far a long reading is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from learn.errors import DataError

_LINE_EVERY_SECONDS = 10.0
_MIB = 2**20


class _Watched(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        count = cast("io.RawIOBase", self._file).readinto(buffer) or 0  # type: ignore[arg-type]  # any buffer
        self.read_bytes += count
        return self._report(count)

    def _report(self, count: int) -> int:
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Bar(_Watched):
    def __init__(self, file: BinaryIO, progress: Progress, task: int) -> None:
        super().__init__(file)
        self._progress = progress
        self._task = task

    def _report(self, count: int) -> int:
        self._progress.update(self._task, completed=self.read_bytes)  # type: ignore[arg-type]  # TaskID is an int
        return count


class _Lines(_Watched):
    def __init__(self, file: BinaryIO, console: Console, path: Path) -> None:
        super().__init__(file)
        self._console = console
        self._path = path
        self._total = path.stat().st_size
        self._start = self._last = time.monotonic()

    def _report(self, count: int) -> int:
        now = time.monotonic()
        if now - self._last >= _LINE_EVERY_SECONDS:
            self._last = now
            rate = self.read_bytes / (now - self._start)
            left = (self._total - self.read_bytes) / rate
            self._console.print(
                f"{self._path.name}: {self.read_bytes / _MIB:.0f} of {self._total / _MIB:.0f} MiB, "
                f"{rate / _MIB:.1f} MiB/s, {left:.0f} s left",
                highlight=False,
                soft_wrap=True,
            )
        return count


@contextmanager
def open_with_progress(path: Path, *, console: Console) -> Iterator[BinaryIO]:
    """Open a file for reading and show how much of it is read, at what rate, and the time left.

    Raises:
        DataError: The file is missing, empty or may not be read.
    """
    try:
        size = path.stat().st_size
        file = path.open("rb", buffering=0)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as fault:
        raise DataError("The file cannot be opened.", where=path, fix="check its path and its rights") from fault
    with file:
        if size == 0:
            raise DataError("The file is empty (0 bytes).", where=path, fix="copy or download it again")
        if not console.is_terminal:
            yield cast("BinaryIO", _Lines(cast("BinaryIO", file), console, path))
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(path.name, total=size)
            yield cast("BinaryIO", _Bar(cast("BinaryIO", file), progress, task))
