"""Read data as people have it, now and before: python -m benchmarks.reading --help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.cli import exit_status
from benchmarks.harness.provenance import ROOT
from benchmarks.reading.outcomes import measure_cases
from benchmarks.reading.page import write_page
from benchmarks.reading.speed import measure_speed

PARTS = ("cases", "speed")
BEFORE = "6908985"
"""The last commit before the reader was made to read every dialect, id and clock."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 2 if it could not run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading", description=__doc__)
    workspace = ROOT / ".learn" / "benchmarks" / "reading"
    parser.add_argument("--before", default=BEFORE, help="commit to compare with (%(default)s)")
    parser.add_argument("--millions", type=int, default=50, help="interactions of the large shop (%(default)s)")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="parts; the page keeps the others")
    parser.add_argument("--workspace", type=Path, default=workspace, help="folder for shops and what each part found")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the page")
    options = parser.parse_args(words)
    return exit_status(lambda: _measure(options))


def _measure(options: argparse.Namespace) -> Path:
    if "cases" in options.only:
        measure_cases(options.workspace, before=options.before)
    if "speed" in options.only:
        measure_speed(options.workspace, before=options.before, millions=options.millions)
    return write_page(options.out, workspace=options.workspace)


if __name__ == "__main__":
    sys.exit(main())
