"""What long work says: a bar on a terminal, whole lines elsewhere."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from learn.content import EncodingProgress
from learn.errors import DataError
from learn.progress import ProgressDisplay, open_with_progress


def test_without_a_terminal_each_report_is_one_line_however_narrow_the_console() -> None:
    written = io.StringIO()
    console = Console(file=written, width=40)
    with EncodingProgress(1_000_000, console=console, line_seconds=0.0) as encoding:
        encoding.advance(100_000, 1_500_000, 30_000)
        encoding.advance(100_000, 1_000_000, 20_000)
    lines = written.getvalue().splitlines()
    assert len(lines) == 2
    for line, done in zip(lines, ("100,000", "200,000"), strict=True):
        pattern = rf"Encoded {done} of 1,000,000 texts, [\d,]+ texts/s, [\d,]+ tokens/s, 2\.0% padding, [\d,]+ s left"
        assert re.fullmatch(pattern, line)


def test_lines_come_no_faster_than_they_may() -> None:
    written = io.StringIO()
    with ProgressDisplay("Work", total=10, console=Console(file=written), line_seconds=3_600) as display:
        for done in range(1, 11):
            display.update(done, rate="fast", line=f"{done} of 10")
    assert written.getvalue() == ""


def test_on_a_terminal_it_is_a_bar_with_the_rate() -> None:
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=100)
    with ProgressDisplay("Work", total=10, console=terminal, line_seconds=0.0) as display:
        display.update(5, rate="7 a second", line="5 of 10")
    assert "Work" in written.getvalue()
    assert "50 %, 7 a second" in written.getvalue()
    assert "s left" not in written.getvalue()


def test_an_encoding_pass_counts_texts_on_a_terminal() -> None:
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=160)
    with EncodingProgress(1_000, console=terminal) as encoding:
        encoding.advance(250, 3_000, 1_000)
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", written.getvalue())
    assert re.search(r" 250/1000 [\d,]+ texts/s, [\d,]+ tokens/s, 25\.0% padding", shown)


def test_a_file_on_a_terminal_counts_mebibytes(tmp_path: Path) -> None:
    path, written = tmp_path / "file", io.StringIO()
    path.write_bytes(b"x" * 3 * 2**20)
    terminal = Console(file=written, force_terminal=True, width=160)
    with open_with_progress(path, console=terminal) as raw:
        raw.read()
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", written.getvalue())
    assert re.search(r"file .* 3\.0/3\.0 MiB [\d.]+ MiB/s", shown)


def test_a_file_says_how_much_of_it_is_read(tmp_path: Path) -> None:
    path, written = tmp_path / "file", io.StringIO()
    path.write_bytes(b"x" * 3_000_000)
    with open_with_progress(path, console=Console(file=written), line_seconds=0.0) as raw:
        assert sum(len(part) for part in iter(lambda: raw.read(1_000_000), b"")) == 3_000_000
    lines = written.getvalue().splitlines()
    assert re.fullmatch(r"file: 1 of 3 MiB, [\d.]+ MiB/s, \d+ s left", lines[0])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, said in (("empty", "is empty"), ("missing", "cannot be opened")):
        with pytest.raises(DataError, match=said), open_with_progress(tmp_path / name):
            pass
