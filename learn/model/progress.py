"""Progress of an epoch: a bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from learn.model.batches import Batch

# Most epochs are over by then: a line of the epoch's own tells them.
_LINE_SECONDS = 30.0


def with_progress(
    batches: Iterable[Batch],
    *,
    positions: int,
    epoch: int,
    console: Console | None = None,
    line_seconds: float = _LINE_SECONDS,
) -> Iterator[Batch]:
    """Pass the batches of an epoch on, and show positions per second and the time left.

    Args:
        batches: All batches of the epoch.
        positions: Their real positions together.
        epoch: Its number, for the words.
        console: Where to show it; standard error by default.
        line_seconds: Time between two lines if there is no terminal.
    """
    console = Console(stderr=True) if console is None else console
    bar = Progress(
        TextColumn(f"Epoch {epoch}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %, {task.fields[rate]:,.0f} positions/s"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    task = bar.add_task("epoch", total=positions, rate=0.0)
    started = said = time.monotonic()
    done = 0
    with bar:
        for batch in batches:
            yield batch
            done += int(batch.real.sum())
            rate = done / max(time.monotonic() - started, 1e-9)
            bar.update(task, completed=done, rate=rate)
            if not console.is_terminal and time.monotonic() - said >= line_seconds:
                said = time.monotonic()
                left = (positions - done) / rate
                line = f"Epoch {epoch}: {done:,} of {positions:,} positions, {rate:,.0f} a second, {left:,.0f} s left"
                console.print(line, highlight=False, soft_wrap=True)
