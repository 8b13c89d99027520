"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.content.page import keep, write_page
from benchmarks.harness.cli import exit_status
from benchmarks.harness.page import Part
from benchmarks.harness.provenance import ROOT, find_real_data

PARTS = ("throughput", "quality_of_modes", "million", "read_back", "changed_catalogue", "killed_pass")
"""Modules of this package, each with a ``measure``; in the page's order."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 2 if it could not start."""
    options = _parse_options(words)
    return exit_status(lambda: _measure_part(options))


def _measure_part(options: argparse.Namespace) -> Path:
    for name in options.only:
        print(f"Measuring {name}", flush=True)
        module = importlib.import_module(f"benchmarks.content.{name}")
        part: Part = module.measure(data=options.data, workspace=options.workspace / name)
        keep(name, part, folder=options.workspace)
    return write_page(PARTS, folder=options.out, workspace=options.workspace)


def _parse_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.content", description=__doc__)
    workspace = ROOT / ".learn" / "benchmarks" / "content"
    parser.add_argument(
        "--data", type=Path, default=find_real_data(), help="folder of the public data sets (%(default)s)"
    )
    parser.add_argument("--workspace", type=Path, default=workspace, help="folder for stores and what each part found")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the page")
    parser.add_argument(
        "--only",
        nargs="*",
        choices=PARTS,
        default=PARTS,
        help="parts to measure; the page keeps the others as found last",
    )
    return parser.parse_args(words)
