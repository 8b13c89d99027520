"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import signal
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.harness.provenance import ROOT, find_real_data
from benchmarks.quality.jobs import SEEDS, Job, compute_digests, plan
from benchmarks.quality.results import Results
from benchmarks.quality.runner import run, select_jobs
from learn.errors import DataError, LearnError, SettingsError

_WORKSPACE = ROOT / ".learn" / "benchmarks" / "quality"
_PAGE_FOLDER = ROOT / "docs" / "benchmarks"
_KEPT = "quality-results"


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 1 if a job failed, 2 if nothing could start."""
    options = _parse_options(words)
    # A terminated benchmark ends the way an interrupted one does: no job of it works on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return _benchmark(options)
    except LearnError as error:
        print(f"{error.headline}\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. The same command continues from here.", file=sys.stderr)
        return 128 + signal.SIGINT


def _parse_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=find_real_data(), help="folder of the public data sets (%(default)s)"
    )
    parser.add_argument("--workspace", type=Path, default=_WORKSPACE, help="folder for results and weights")
    parser.add_argument("--out", type=Path, help="folder of the page; docs/benchmarks, unless --set is given")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="of the rows that are means")
    parser.add_argument("--only", nargs="+", default=[], metavar="PATTERN", help="do only these jobs")
    parser.add_argument("--again", nargs="+", default=[], metavar="PATTERN", help="do these jobs again")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="a setting of every job, for a try")
    parser.add_argument("--list", action="store_true", help="show the jobs and do nothing")
    parser.add_argument("--page-only", action="store_true", help="write the page from the results that are there")
    return parser.parse_args(words)


def _benchmark(options: argparse.Namespace) -> int:
    planned = plan(seeds=options.seeds, overrides=_parse_overrides(options.set))
    jobs = select_jobs(planned, options.only)
    known = compute_digests(jobs, data=options.data)
    folder = options.out or (options.workspace / "try" if options.set else _PAGE_FOLDER)
    results = Results(options.workspace, kept=folder / _KEPT)
    if options.list:
        _show(jobs, known, results)
        return 0
    failed = []
    if not options.page_only:
        failed = run(jobs, digests=known, data=options.data, results=results, again=options.again)
    # Here and no earlier: matplotlib takes a while to load.
    from benchmarks.quality.page import write_page

    page = write_page(
        planned, digests=_read_known_values(planned, options.data), results=results, folder=folder, tried=options.set
    )
    print(f"Page: {page}")
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _read_known_values(jobs: Sequence[Job], data: Path) -> dict[str, str]:
    """Return the hash of each case whose data set is there: the page names the others as not measured."""
    found: dict[str, str] = {}
    for job in jobs:
        if job.case not in found:
            with suppress(DataError):
                found |= compute_digests([job], data=data)
    return found


def _parse_overrides(words: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for word in words:
        try:
            found |= _flatten(tomllib.loads(word))
        except tomllib.TOMLDecodeError as fault:
            fix = "write it as in a settings file, e.g. training.epochs=1"
            raise SettingsError(f"This is no setting: {fault}.", where=f"--set {word}", fix=fix) from fault
    return found


def _flatten(values: Mapping[str, Any]) -> dict[str, object]:
    return dict(_iterate_leaves(values, ()))


def _iterate_leaves(values: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _iterate_leaves(value, (*above, name))
        else:
            yield "__".join((*above, name)), value


def _show(jobs: Sequence[Job], known: Mapping[str, str], results: Results) -> None:
    earlier = {record["name"]: record for record in results.list_earlier()}
    for job in jobs:
        inputs, key = job.list_inputs(known[job.case]), job.compute_key(known[job.case])
        state = "done" if results.has(key) else "to do"
        if state == "to do" and job.name in earlier:
            changed = dict(_iterate_changes(earlier[job.name]["inputs"], inputs, ()))
            state = "to do: since the last time changed " + ", ".join(
                f"{name} ({how})" for name, how in changed.items()
            )
        print(f"{job.name}  {state}")


def _iterate_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _iterate_changes(before, after, (*above, name))
        elif before != after:
            yield ".".join((*above, name)), f"{before} -> {after}"
