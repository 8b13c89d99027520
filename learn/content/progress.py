"""Progress of an encoding pass: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_SECONDS = 10.0


class EncodingProgress:
    """Shows texts per second, tokens per second, the share of padding and the time left.

    Args:
        total: Texts to encode.
        console: Where to show it; standard error by default.
    """

    def __init__(self, total: int, *, console: Console | None = None) -> None:
        self._total = total
        self._console = Console(stderr=True) if console is None else console
        self._started = self._said = time.monotonic()
        self.texts = 0
        self.tokens = 0
        self.padding = 0
        self._bar = Progress(
            TextColumn("Encoding"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rates]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("encoding", total=total, rates="")

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._started

    def __enter__(self) -> EncodingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, texts: int, tokens: int, padding: int = 0) -> None:
        """Count a finished batch of so many texts and tokens, with so many tokens of padding next to them."""
        self.texts += texts
        self.tokens += tokens
        self.padding += padding
        self._bar.update(self._task, completed=self.texts, rates=self._rates())
        if not self._console.is_terminal and time.monotonic() - self._said >= _LINE_SECONDS:
            self._said = time.monotonic()
            left = self.seconds / self.texts * (self._total - self.texts)
            line = f"Encoded {self.texts:,} of {self._total:,} texts, {self._rates()}, {left:,.0f} s left"
            self._console.print(line, highlight=False, soft_wrap=True)

    def _rates(self) -> str:
        seconds = max(self.seconds, 1e-9)
        share = self.padding / max(1, self.tokens + self.padding)
        return f"{self.texts / seconds:,.0f} texts/s, {self.tokens / seconds:,.0f} tokens/s, {share:.1%} padding"
