"""Progress of long work: a bar on a terminal, else a plain line every few seconds, with rate and remaining time."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from learn.errors import DataError

LINE_SECONDS = 10.0
"""Time between two lines: short enough to see progress, long enough that a log of hours stays readable."""
_MIB = 2**20


class ProgressDisplay:
    """The progress of one task; use it in a ``with`` block.

    Args:
        task: Name of the work, shown before the bar.
        total: Units of work.
        console: Where to show it; standard error by default.
        line_seconds: Time between two lines if there is no terminal.
        transient: Whether the bar disappears at the end.
        counts: Column of the bar that shows the progress; a percentage by default.
    """

    def __init__(
        self,
        task: str,
        *,
        total: float,
        console: Console | None = None,
        line_seconds: float = LINE_SECONDS,
        transient: bool = False,
        counts: ProgressColumn | None = None,
    ) -> None:
        self._total = total
        self._line_seconds = line_seconds
        self._console = Console(stderr=True) if console is None else console
        self._begun = self._printed = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %,") if counts is None else counts,
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=transient,
        )
        self._task = self._bar.add_task(task, total=total, rate="")

    @property
    def seconds(self) -> float:
        """Time since the start, never 0."""
        return max(time.monotonic() - self._begun, 1e-9)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, done: float, *, rate: str, line: str) -> None:
        """Show how much is done.

        Args:
            done: Units done so far, more than 0 if a line is due.
            rate: Speed as text, for the bar.
            line: Progress and speed as a line; the remaining time is appended.
        """
        self._bar.update(self._task, completed=done, rate=rate)
        if not self._console.is_terminal and time.monotonic() - self._printed >= self._line_seconds:
            self._printed = time.monotonic()
            left = self.seconds / max(done, 1e-9) * (self._total - done)
            # One line however narrow the console is: logs are searched by line.
            self._console.print(f"{line}, {left:,.0f} s left", highlight=False, soft_wrap=True)


class _CountedFile(io.RawIOBase):
    """A file that shows how much of it was read."""

    def __init__(self, file: BinaryIO, display: ProgressDisplay, path: Path, size_bytes: int) -> None:
        self._file = file
        self._display = display
        self._name = path.name
        self._size_bytes = size_bytes
        self._read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        count = cast("io.RawIOBase", self._file).readinto(buffer) or 0  # type: ignore[arg-type]  # any buffer
        self._read_bytes += count
        rate = f"{self._read_bytes / _MIB / self._display.seconds:.1f} MiB/s"
        done = f"{self._name}: {self._read_bytes / _MIB:.0f} of {self._size_bytes / _MIB:.0f} MiB"
        self._display.update(self._read_bytes, rate=rate, line=f"{done}, {rate}")
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def open_with_progress(
    path: Path, *, console: Console | None = None, line_seconds: float = LINE_SECONDS
) -> Iterator[BinaryIO]:
    """Open a file for reading, and show the progress, the rate and the remaining time.

    Args:
        path: The file.
        console: Where to show it; standard error by default.
        line_seconds: Time between two lines if there is no terminal.

    Raises:
        DataError: The file is missing, empty or may not be read.
    """
    try:
        size_bytes = path.stat().st_size
        file = path.open("rb", buffering=0)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as fault:
        raise DataError("The file cannot be opened.", where=path, fix="check its path and its permissions") from fault
    with file:
        if size_bytes == 0:
            raise DataError("The file is empty (0 bytes).", where=path, fix="copy or download it again")
        with ProgressDisplay(
            path.name,
            total=size_bytes,
            console=console,
            line_seconds=line_seconds,
            counts=DownloadColumn(binary_units=True),
        ) as display:
            yield cast("BinaryIO", _CountedFile(cast("BinaryIO", file), display, path, size_bytes))
