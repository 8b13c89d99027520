"""The command line of the benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.daily_retrain.days import open_shop
from benchmarks.daily_retrain.measure import Morning, mornings
from benchmarks.daily_retrain.page import Setup, write_page
from benchmarks.ending import exit_status
from benchmarks.quality.provenance import ROOT, real_data
from learn.config import Settings


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 2 where it could not be begun."""
    options = _options(words)
    return exit_status(lambda: _measured(options))


def _measured(options: argparse.Namespace) -> Path:
    found, setup = _benchmark(options)
    return write_page(found, setup, folder=options.out)


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.daily_retrain", description=__doc__)
    workspace = ROOT / ".learn" / "benchmarks" / "daily_retrain"
    parser.add_argument("--data", type=Path, default=real_data(), help="folder of the public data sets (%(default)s)")
    parser.add_argument("--workspace", type=Path, default=workspace, help="folder for tables, vectors and weights")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the page")
    parser.add_argument("--shop", choices=["online_retail", "games"], default="online_retail", help="data set")
    parser.add_argument("--until", type=datetime.fromisoformat, help="date from which on the data is not looked at")
    parser.add_argument("--days", type=int, default=3, help="retrainings after the first training")
    parser.add_argument("--every", type=float, default=1, help="days between two of them")
    parser.add_argument("--window-days", type=float, default=60, help="older interactions are left out; 0: none")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="each makes a chain of days of its own")
    # People buy the same again in this shop.
    unmasked = ROOT / "configs" / "unmasked.toml"
    parser.add_argument("--settings", type=Path, default=unmasked, help="settings file (%(default)s)")
    return parser.parse_args(words)


def _benchmark(options: argparse.Namespace) -> tuple[list[Morning], Setup]:
    text = options.settings.read_text(encoding="utf-8")
    settings = Settings.from_toml(text, where=str(options.settings))
    shop = open_shop(options.shop, data=options.data, workspace=options.workspace, until=options.until)
    found = [
        morning
        for seed in options.seeds
        for morning in mornings(
            shop,
            days=options.days,
            every=options.every,
            window_days=options.window_days,
            seed=seed,
            settings=settings,
            workspace=options.workspace / f"{options.shop}-seed-{seed}",
        )
    ]
    asked = Setup(options.shop, options.until, options.days, options.every, options.window_days, options.seeds, text)
    return found, asked
