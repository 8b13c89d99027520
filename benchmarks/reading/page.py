"""The page of the reader: cases by kind and their outcomes, speed and memory, and the figures as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.harness.provenance import describe_machine, list_versions, read_commit, shorten_commit
from benchmarks.reading.outcomes import VERDICTS, Outcome, count_verdicts, read_outcomes
from benchmarks.reading.speed import Speed, read_speed
from learn.errors import explain_storage_faults

_HEAD = """# Reading

Written by `make bench-reading`: inputs as people have them, each made by the benchmark, and what comes out of
`learn data check`; then how fast tables are loaded and validated. *Before* is the last version whose reader took every
file to be what its name says.

A case is *right* if every count and value is what it must be, *refused* if it may be refused and the message names the
fault, and *wrong* otherwise, a traceback included.
"""


def write_page(folder: Path, *, workspace: Path) -> Path:
    """Write ``reading.md`` for people and ``reading.json`` for machines of what each part found last.

    Raises:
        StorageError: The disk is full or not writable.
    """
    before, now, speeds = read_outcomes(workspace, "before"), read_outcomes(workspace, "now"), read_speed(workspace)
    figures: dict[str, float] = {"cases": len(now)}
    figures |= {f"cases_{verdict}": count for verdict, count in count_verdicts(now).items()}
    largest = max((speed for speed in speeds if speed.version == "now"), key=lambda speed: speed.millions, default=None)
    if largest is not None:
        figures["rows_per_second"] = round(largest.rows / largest.seconds)
        figures[f"peak_bytes_{largest.millions}m"] = largest.peak_bytes
    record = {
        "figures": figures,
        "machine": describe_machine(),
        "versions": list_versions(),
        "commit": read_commit(),
        "seeds": [0],
    }
    page = folder / "reading.md"
    with explain_storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        page.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        page.write_text(_format_page(before, now, speeds), encoding="utf-8")
    return page


def _format_page(before: list[Outcome], now: list[Outcome], speeds: list[Speed]) -> str:
    machine = describe_machine()
    about = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB"
    parts = [_HEAD, _format_cases(before, now), _format_wrong(now), _format_speeds(speeds)]
    return "\n".join([*parts, f"{about}; commit {shorten_commit(read_commit())}."]) + "\n"


def _format_cases(before: list[Outcome], now: list[Outcome]) -> str:
    heads = ["kind", "cases", *(f"{verdict}, {when}" for when in ("before", "now") for verdict in VERDICTS)]
    lines = ["## Cases", "", f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for kind in [*dict.fromkeys(outcome.kind for outcome in now), ""]:
        of_kind = [[one for one in outcomes if kind in {"", one.kind}] for outcomes in (before, now)]
        cells = [count for outcomes in of_kind for count in count_verdicts(outcomes).values()]
        lines.append(f"| {kind or '**all**'} | {len(of_kind[1])} | {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


def _format_wrong(now: list[Outcome]) -> str:
    wrong = [outcome for outcome in now if outcome.verdict == "wrong"]
    listed = [f"- `{one.case}`: {one.about}: {one.said}" for one in wrong] or ["None."]
    return "\n".join(["## Wrong now", "", *listed, ""])


def _format_speeds(speeds: list[Speed]) -> str:
    lines = [
        "## Load and validate",
        "",
        "| interactions | million rows | version | rows a second | seconds | CPU seconds | peak MB |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {one.format} | {one.millions} | {one.version} | {one.rows / one.seconds:,.0f} | {one.seconds:.1f} | "
        f"{one.cpu_seconds:.1f} | {one.peak_bytes / 1e6:,.0f} |"
        for one in speeds
    ]
    note = "Each in its own process, one after the other, the order alternating; the start of Python is not counted."
    return "\n".join([*lines, "", note, ""])
