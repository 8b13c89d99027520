"""A million short texts through a tiny encoder: memory must not grow with the number of items.

    python -m benchmarks.content.million --workspace FOLDER --items 100000

runs one size and prints what it took.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.content.one_pass import Pass, build_command, run_pass
from benchmarks.content.tiny_encoder import save_tiny_bert, write_titles
from benchmarks.harness.page import Part

SIZES = (100_000, 300_000, 1_000_000)


def measure(*, data: Path, workspace: Path, sizes: Sequence[int] = SIZES) -> Part:  # noqa: ARG001 - titles are synthetic
    """Plan, encode and gather catalogues of growing size, each in its own process; the data is synthetic."""
    encoder = save_tiny_bert(workspace / "encoder")
    runs = [(size, *_measure_pass(workspace / str(size), size, encoder)) for size in sizes]
    largest, smallest = runs[-1][1], runs[0][1]
    growth = largest.peak_bytes / smallest.peak_bytes - 1
    return Part(
        name="A million texts",
        figures={"million_peak_bytes": float(largest.peak_bytes), "million_peak_growth": growth},
        header=("Items", "Peak memory", "Plan", "Encode", "Gather", "Whole process"),
        rows=tuple(_format_row(size, found, seconds) for size, found, seconds in runs),
        notes=(
            "Made-up titles of 3 to 9 words through a BERT of one layer, 32 wide, with random weights, so that the "
            "encoder costs little and the rest shows. Peak memory is the largest resident memory of the whole process, "
            "planning, encoding, gathering and libraries. "
            f"From {runs[0][0]:,} to {runs[-1][0]:,} items it changes by {growth:+.1%}.",
        ),
    )


def _measure_pass(folder: Path, size: int, encoder: Path) -> tuple[Pass, float]:
    shutil.rmtree(folder, ignore_errors=True)
    items = write_titles(folder / "items.parquet", size)
    found = run_pass(build_command(items, folder / "store", folder / "out", encoder=str(encoder)))
    shutil.rmtree(folder)
    return found


def _format_row(size: int, found: Pass, seconds: float) -> tuple[str, ...]:
    stages = (found.plan_seconds, found.encode_seconds, found.collect_seconds, seconds)
    return f"{size:,}", f"{found.peak_bytes / 2**20:,.0f} MiB", *(f"{stage:,.1f} s" for stage in stages)


def main() -> None:
    """Run chosen sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--items", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args()
    part = measure(data=options.workspace, workspace=options.workspace, sizes=options.items)
    for row in (part.header, *part.rows):
        print("  ".join(cell.rjust(14) for cell in row))
    print(part.figures)


if __name__ == "__main__":
    main()
