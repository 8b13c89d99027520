"""The command line of the replay."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from benchmarks.harness.cli import exit_status
from benchmarks.harness.provenance import ROOT, find_real_data
from benchmarks.monitoring.page import write_page
from benchmarks.replay.loop import Plan, replay
from benchmarks.replay.records import Day, Replay, keep
from benchmarks.replay.shop import open_shop
from benchmarks.replay.workplace import Workplace

RESULT = "result.json"


def main(words: Sequence[str] | None = None) -> int:
    """Replay, and draw the page again; the exit status is 2 where something failed."""
    options = _parse_options(words)
    return exit_status(lambda: _replay_days(options))


def _replay_days(options: argparse.Namespace) -> Path:
    begin = date.fromisoformat(options.begin)
    event = begin + timedelta(days=options.days // 2)
    shop = open_shop(options.data, begin=begin - timedelta(days=options.history_days), event=event)
    place = Workplace(options.workspace.absolute() / "replay")
    said = 0
    for found in replay(Plan(shop, place, begin, options.days, event)):
        keep(found, place.folder / RESULT)
        said = _say(found, said, days=options.days)
    return write_page(options.workspace, folder=options.out)


def _parse_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    workspace = ROOT / ".learn" / "benchmarks" / "monitoring"
    parser.add_argument(
        "--data", type=Path, default=find_real_data(), help="folder of the public data sets (%(default)s)"
    )
    parser.add_argument("--workspace", type=Path, default=workspace, help="folder of what was done already")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the page")
    parser.add_argument("--begin", default="2011-09-19", help="first day that is lived through (%(default)s)")
    parser.add_argument("--days", type=int, default=14, help="how many (%(default)s)")
    parser.add_argument("--history-days", type=int, default=120, help="days of data before them (%(default)s)")
    return parser.parse_args(words)


def _say(found: Replay, said: int, *, days: int) -> int:
    if not found.days and not said:
        print(f"First model {found.first.version}: {found.first.seconds:.0f} s", flush=True)
    for day in found.days[said:]:
        print(_format_line(day, days), flush=True)
    for name in ("refusal", "way_back", "repeated"):
        record = getattr(found, name)
        if record is not None:
            print(f"{name}: {record.model_dump_json()}", flush=True)
    return len(found.days)


def _format_line(day: Day, days: int) -> str:
    rate = "none" if day.hit_rate is None else f"{day.hit_rate[0]:.3f}"
    again = "" if day.retraining is None else f"; {day.retraining.said}"
    return (
        f"{day.day} of {days} days: {day.lists} lists, hit rate {rate}, drift {day.drift:.2f} ({day.drifted}), unknown "
        f"{day.unknown_share:.1%}, {day.verdict}, {day.seconds:.0f} s{again}"
    )
