"""The command line of the benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.daily_retrain.days import open_shop
from benchmarks.daily_retrain.measure import iterate_mornings
from benchmarks.daily_retrain.page import PAGE, read_page, write_page
from benchmarks.daily_retrain.records import Run, Setup
from benchmarks.harness.cli import exit_status
from benchmarks.harness.provenance import ROOT, describe_machine, find_real_data, list_versions, read_commit


def list_setups() -> dict[str, Setup]:
    """Return what is asked of each shop.

    *Video Games* ends in its busiest year: later on it thins out to ten interactions a day, in which nothing is new.
    *Online Retail* is for the other kind, a window of two months that moves on and people who buy the same again.
    """
    unmasked = (ROOT / "configs" / "unmasked.toml").read_text(encoding="utf-8")
    return {
        "games": Setup(shop="games", until=datetime(2016, 7, 1), days=2, window_days=0, settings=""),
        "online_retail": Setup(shop="online_retail", days=3, window_days=60, settings=unmasked),
    }


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 2 if it could not start."""
    options = _parse_options(words)
    return exit_status(lambda: _measure_setup(options))


def _parse_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.daily_retrain", description=__doc__)
    workspace = ROOT / ".learn" / "benchmarks" / "daily_retrain"
    parser.add_argument(
        "--data", type=Path, default=find_real_data(), help="folder of the public data sets (%(default)s)"
    )
    parser.add_argument("--workspace", type=Path, default=workspace, help="folder for tables, vectors and weights")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the page")
    parser.add_argument("--only", nargs="+", choices=sorted(list_setups()), help="only these shops; the others stay")
    return parser.parse_args(words)


def _measure_setup(options: argparse.Namespace) -> Path:
    folder: Path = options.out
    page, asked = read_page(folder), list_setups()
    for name in options.only or asked:
        page.runs[name] = _run(asked[name], data=options.data, workspace=options.workspace)
        # After each: a benchmark that is stopped has lost one shop.
        write_page(page, planned=asked, folder=folder)
    return folder / PAGE


def _run(setup: Setup, *, data: Path, workspace: Path) -> Run:
    shop = open_shop(setup.shop, data=data, workspace=workspace, until=setup.until)
    code = read_commit()
    found = [
        morning
        for seed in setup.seeds
        for morning in iterate_mornings(shop, setup, seed=seed, workspace=workspace / f"{setup.shop}-seed-{seed}")
    ]
    return Run(
        setup=setup,
        mornings=tuple(found),
        machine=describe_machine() | {"threads": 1},
        versions=list_versions(),
        commit=code,
    )
