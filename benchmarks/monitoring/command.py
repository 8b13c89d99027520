"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.cli import exit_status
from benchmarks.harness.provenance import ROOT, find_real_data
from benchmarks.monitoring.cells import CellStore
from benchmarks.monitoring.million import measure_million
from benchmarks.monitoring.page import keep_cells, keep_million, write_page
from benchmarks.monitoring.rates import Cell, Plan, measure_cells

PARTS = ("rates", "million")
_AT_ONCE_SECONDS = 1.0


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 2 if it could not start."""
    options = _parse_options(words)
    return exit_status(lambda: _measure_parts(options))


def _measure_parts(options: argparse.Namespace) -> Path:
    kept = CellStore(options.workspace / "kept")
    if "rates" in options.only:
        _judge(options, kept)
    if "million" in options.only:
        million = measure_million(
            folder=options.workspace / "million", data=options.data, workspace=options.prepared, kept=kept
        )
        keep_million(million, options.workspace)
        print(f"{million.rows:,} log rows: {million.seconds:.0f} s, {million.peak_bytes / 1e6:,.0f} MB", flush=True)
    return write_page(options.workspace, folder=options.out)


def _parse_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring", description=__doc__)
    benchmarks = ROOT / ".learn" / "benchmarks"
    # The quality benchmark's folder: tables and vectors are the same.
    prepared = benchmarks / "quality"
    parser.add_argument(
        "--data", type=Path, default=find_real_data(), help="folder of the public data sets (%(default)s)"
    )
    parser.add_argument("--workspace", type=Path, default=benchmarks / "monitoring", help="folder of what was measured")
    parser.add_argument("--prepared", type=Path, default=prepared, help="folder for tables and vectors (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the page")
    parser.add_argument("--pairs", type=int, default=100, help="in each cell, a quarter of them a shift (%(default)s)")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="parts; the page keeps the others")
    return parser.parse_args(words)


def _judge(options: argparse.Namespace, kept: CellStore) -> None:
    plan = Plan(options.pairs, options.data, options.prepared, kept)
    cells: list[Cell] = []
    # What an earlier run judged is loaded at once, and does not show how long the rest takes.
    judged, spent, last = 0, 0.0, time.perf_counter()
    for cell in measure_cells(plan):
        cells.append(cell)
        keep_cells(cells, options.workspace)
        took, last = time.perf_counter() - last, time.perf_counter()
        if took > _AT_ONCE_SECONDS:
            judged, spent = judged + 1, spent + took
        done, total = len(cells), plan.cells
        left = f"{spent * (total - done) / judged / 60:.0f} minutes left" if judged else "kept"
        print(
            f"{done}/{total} {cell.judge} {cell.data_set} n={cell.rows} d={cell.width} {cell.planted}: "
            f"{cell.alarms} of {cell.pairs}, {cell.cpu_seconds:.2f} s a pair, {left}",
            flush=True,
        )
