"""Count files, imports and names of the code, before and after: python -m benchmarks.house --help."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.cli import exit_status
from benchmarks.harness.provenance import ROOT, read_commit
from benchmarks.house.counts import House, count_house
from benchmarks.house.page import write_page
from benchmarks.house.sources import extract_tree, resolve_commit

BEFORE = "9b14c24"
"""The last commit before the modules moved into their rooms."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 2 if it could not run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.house", description=__doc__)
    parser.add_argument("--before", default=BEFORE, help="commit to compare with (%(default)s)")
    parser.add_argument("--commit", help="commit to count (default: the tracked files as they are now)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the page")
    options = parser.parse_args(words)
    return exit_status(lambda: _compare(options.before, options.commit, options.out))


def _compare(before: str, after: str | None, out: Path) -> Path:
    return write_page(
        out,
        before=_count(before),
        before_commit=resolve_commit(ROOT, before),
        after=_count(after),
        after_commit=resolve_commit(ROOT, after) if after else read_commit(),
    )


def _count(revision: str | None) -> House:
    with tempfile.TemporaryDirectory() as folder:
        extract_tree(ROOT, revision, Path(folder))
        return count_house(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
