"""What a long encoding pass says where there is no terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from learn.content import progress


def test_each_report_is_one_line_however_narrow_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    written = io.StringIO()
    with progress.EncodingProgress(1_000_000, console=Console(file=written, width=40)) as encoding:
        encoding.advance(100_000, 1_500_000, 30_000)
        encoding.advance(100_000, 1_000_000, 20_000)
    lines = written.getvalue().splitlines()
    assert len(lines) == 2
    for line, done in zip(lines, ("100,000", "200,000"), strict=True):
        pattern = rf"Encoded {done} of 1,000,000 texts, [\d,]+ texts/s, [\d,]+ tokens/s, 2\.0% padding, [\d,]+ s left"
        assert re.fullmatch(pattern, line)
