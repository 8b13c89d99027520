"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.content.page import keep
from benchmarks.harness.cli import exit_status
from benchmarks.harness.page import Part
from benchmarks.harness.provenance import ROOT, find_real_data
from benchmarks.scale import growth
from benchmarks.scale.page import PARTS, write_pages


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 2 if it could not start."""
    options = _parse_options(words)
    return exit_status(lambda: _measure_all(options))


def _measure_all(options: argparse.Namespace) -> Path:
    for name in options.only:
        print(f"Measuring {name}", flush=True)
        keep(name, _measure_part(name, options), folder=options.workspace)
    return write_pages(options.out, workspace=options.workspace)


def _measure_part(name: str, options: argparse.Namespace) -> Part:
    workspace = options.workspace / name
    if name == "growth":
        return growth.measure(data=options.data, workspace=workspace, millions=options.millions)
    found: Part = importlib.import_module(f"benchmarks.scale.{name}").measure(data=options.data, workspace=workspace)
    return found


def _parse_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    there = [name for name in PARTS if (Path(__file__).parent / f"{name}.py").is_file()]
    workspace = ROOT / ".learn" / "benchmarks" / "scale"
    parser.add_argument(
        "--data", type=Path, default=find_real_data(), help="folder of the public data sets (%(default)s)"
    )
    parser.add_argument("--workspace", type=Path, default=workspace, help="folder for data and what each part found")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the pages (%(default)s)")
    parser.add_argument(
        "--only",
        nargs="*",
        choices=there,
        default=there,
        help="parts to measure; the page keeps the others as found last (all)",
    )
    parser.add_argument(
        "--millions",
        nargs="*",
        type=int,
        choices=list(growth.SHOPS),
        default=list(growth.SHOPS),
        help="sizes of the part `growth`, in millions of interactions; those measured before are taken (all)",
    )
    return parser.parse_args(words)
