"""The command line of the benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from benchmarks.harness.cli import exit_status
from benchmarks.harness.provenance import ROOT
from benchmarks.serving.load import Wrk
from benchmarks.serving.million import measure_million
from benchmarks.serving.model import ServedModels, build_served_models
from benchmarks.serving.page import write_page
from benchmarks.serving.results import keep
from benchmarks.serving.under_load import measure_bad_requests, measure_latency, measure_parity, measure_swaps

PARTS = ("latency", "swaps", "parity", "bad", "million")


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 2 if it could not start."""
    options = _parse_options(words)
    return exit_status(lambda: _measure_parts(options))


def _measure_parts(options: argparse.Namespace) -> Path:
    _measure(options)
    return write_page(options.workspace / "results", folder=options.out)


def _parse_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    workspace = ROOT / ".learn" / "benchmarks" / "serving"
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts; the page keeps the others")
    parser.add_argument("--seconds", type=float, default=20, help="of load for each row (%(default)s)")
    parser.add_argument("--minutes", type=float, default=10, help="of load with swaps (%(default)s)")
    parser.add_argument("--users", type=int, default=1_000, help="whose lists are compared (%(default)s)")
    parser.add_argument("--bad-requests", type=int, default=5_000, help="to be refused (%(default)s)")
    parser.add_argument("--items", type=int, default=1_000_000, help="of the large catalogue (%(default)s)")
    parser.add_argument("--workspace", type=Path, default=workspace, help="folder for models and results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the page")
    return parser.parse_args(words)


def _measure(options: argparse.Namespace) -> None:
    results = options.workspace / "results"
    wrk = Wrk.at_hand(options.workspace / "load") if {"latency", "swaps"} & set(options.only) else None

    @cache
    def models() -> ServedModels:
        return build_served_models(options.workspace)

    if "latency" in options.only and wrk:
        keep(measure_latency(models(), wrk, seconds=options.seconds), results)
    if "swaps" in options.only and wrk:
        keep(measure_swaps(models(), wrk, minutes=options.minutes), results)
    if "parity" in options.only:
        keep(measure_parity(models(), users=options.users), results)
    if "bad" in options.only:
        keep(measure_bad_requests(models(), wanted=options.bad_requests), results)
    if "million" in options.only:
        keep(measure_million(items=options.items), results)
