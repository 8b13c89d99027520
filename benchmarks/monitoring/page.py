"""``monitoring.md`` for people and ``monitoring.json`` for machines, of all parts that were measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.provenance import describe_machine, list_versions, read_commit
from benchmarks.monitoring.million import Million
from benchmarks.monitoring.rates import (
    JUDGES,
    NOTHING,
    ROWS,
    SETS,
    WIDTHS,
    Cell,
    compute_detection_rate,
    compute_false_alarm_rate,
)
from benchmarks.monitoring.shifts import SHIFTS
from benchmarks.replay.page import PICTURE, draw, format_sections
from benchmarks.replay.records import Replay, read_record
from learn.storage import atomic_files, write_atomic

_PAGE, _FIGURES = "monitoring.md", "monitoring.json"
ALL_CELLS = len(SETS) * len(ROWS) * len(WIDTHS) * len(JUDGES) * (1 + len(SHIFTS))
"""Cells of a whole table."""

_JUDGES = {"learn": "LEARN's verdict", "evidently": "Evidently's defaults"}


@dataclass(frozen=True)
class Parts:
    """What was measured; a part that was not is None.

    Attributes:
        cells: False alarms and planted shifts.
        million: The report on a million rows.
        replay: The replay of a shop.
    """

    cells: list[Cell] | None
    million: Million | None
    replay: Replay | None


def keep_cells(cells: list[Cell], workspace: Path) -> None:
    """Keep a table, or as much of it as there is, for the page.

    Raises:
        StorageError: The disk is full or not writable.
    """
    write_atomic(workspace / "rates.json", json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")


def keep_million(million: Million, workspace: Path) -> None:
    """Keep the report on a million rows for the page.

    Raises:
        StorageError: The disk is full or not writable.
    """
    write_atomic(workspace / "million.json", json.dumps(asdict(million), indent=1) + "\n")


def read_parts(workspace: Path) -> Parts:
    """Read what is kept in a workspace."""
    cells, million = _read(workspace / "rates.json"), _read(workspace / "million.json")
    return Parts(
        cells=None if cells is None else [Cell(**cell) for cell in cells],
        million=None if million is None else Million(**million),
        replay=read_record(Replay, workspace / "replay" / "result.json"),
    )


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def write_page(workspace: Path, *, folder: Path) -> Path:
    """Write the page, its picture and the figures of all parts that were measured; return the page.

    Raises:
        StorageError: The disk is full or not writable.
    """
    parts = read_parts(workspace)
    record = {
        "figures": collect_figures(parts),
        "machine": describe_machine() | {"threads": 1},
        "versions": list_versions(),
        "commit": read_commit(),
        "seeds": list(range(max((cell.pairs for cell in parts.cells or []), default=1))),
        "cells": [asdict(cell) for cell in parts.cells or []],
        "million": None if parts.million is None else asdict(parts.million),
        "replay": None if parts.replay is None else parts.replay.model_dump(mode="json"),
    }
    drawn = [] if parts.replay is None or not parts.replay.days else [PICTURE]
    with atomic_files(folder, names=(*drawn, _FIGURES, _PAGE)) as stage:
        if parts.replay is not None and drawn:
            (stage / PICTURE).write_text(draw(parts.replay), encoding="utf-8")
        (stage / _FIGURES).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        (stage / _PAGE).write_text("\n\n".join(_format_sections(parts)) + "\n", encoding="utf-8")
    return folder / _PAGE


def collect_figures(parts: Parts) -> dict[str, float]:
    """Return the figures by name, of the parts that there are."""
    found: dict[str, float] = {}
    # Rates over a part of the cells would be rates of something else.
    if parts.cells is not None and len(parts.cells) == ALL_CELLS:
        found |= {
            "false_alarm_rate": compute_false_alarm_rate(parts.cells, "learn"),
            "detection_rate": compute_detection_rate(parts.cells, "learn"),
            "evidently_default_false_alarm_rate": compute_false_alarm_rate(parts.cells, "evidently"),
            "evidently_default_detection_rate": compute_detection_rate(parts.cells, "evidently"),
        }
    if parts.million is not None:
        found |= {
            "report_million_rows_seconds": parts.million.seconds,
            "report_million_rows_peak_bytes": parts.million.peak_bytes,
            "report_bytes": parts.million.report_bytes,
        }
    return found | ({} if parts.replay is None else parts.replay.collect_figures())


def _format_sections(parts: Parts) -> list[str]:
    found = describe_machine()
    lines = [
        "# Monitoring",
        f"Made by `make bench-monitoring` and `make bench-replay` on {found['processor']}, {found['cores']} cores, one "
        "thread. Both go on where they were stopped.",
    ]
    if parts.cells is not None:
        lines += _format_rates(parts.cells)
    if parts.million is not None:
        lines += _format_million(parts.million)
    return lines + ([] if parts.replay is None else format_sections(parts.replay))


def _format_rates(cells: list[Cell]) -> list[str]:
    pairs = {judge: sum(c.pairs for c in cells if c.judge == judge and c.planted == NOTHING) for judge in _JUDGES}
    seconds = {
        judge: sum(c.cpu_seconds * c.pairs for c in cells if c.judge == judge)
        / max(1, sum(c.pairs for c in cells if c.judge == judge))
        for judge in _JUDGES
    }
    return [
        "Windows are drawn from real requests of two shops: histories, titles, frozen text vectors (the encoder's 384 "
        "dimensions, or their first 64 principal components) and lists ranked by them. A category is the commonest "
        "word of the title, since neither shop has any. An alarm is any verdict on the whole window but `ok`, all "
        "columns together, with every setting at its default; of Evidently, any failing test of those that its preset "
        "takes for the columns, or of its default test on vectors. Its tests alone are run, without the pictures.",
        *_format_unfinished(cells),
        f"A pair takes {seconds['learn']:.2f} s of processor, Evidently's tests {seconds['evidently']:.2f} s.",
        f"## False alarms: two windows of one distribution ({pairs['learn']} pairs, Evidently {pairs['evidently']})",
        "The target is at most 5 %.",
        _format_table(cells, [NOTHING]),
        "## Planted shifts",
        "The target is at least 95 % found, in every cell. Beside many false alarms a high share found says little.",
        _format_table(cells, list(SHIFTS)),
    ]


def _format_unfinished(cells: list[Cell]) -> list[str]:
    if len(cells) == ALL_CELLS:
        return []
    done = f"**Of {ALL_CELLS} cells {len(cells)} are measured so far**"
    return [f"{done}, the others are empty; `make bench-monitoring` goes on."]


def _format_million(million: Million) -> list[str]:
    return [
        "## A log of a million rows",
        f"{million.log_bytes / 1e6:,.0f} MB of JSON lines, four answers to a click, of {_SHOP_WORDS}: read, compared, "
        f"judged and reported in {million.seconds:.0f} s ({million.cpu_seconds:.0f} s of processor), peak memory "
        f"{million.peak_bytes / 1e6:,.0f} MB, of which {million.loaded_bytes / 1e6:,.0f} MB are the libraries and the "
        f"model. The page has {million.report_bytes / 1e6:.1f} MB.",
    ]


_SHOP_WORDS = "150,000 users over two weeks"


def _format_table(cells: Sequence[Cell], planted: list[str]) -> str:
    heads = [f"{name}, n={rows:,}, d={width}" for name in SETS for rows in ROWS for width in WIDTHS]
    lines = [f"| planted | judge | {' | '.join(heads)} | all |", "|---|---|" + "---:|" * (len(heads) + 1)]
    for each in planted:
        for judge, name in _JUDGES.items():
            row = [cell for cell in cells if (cell.judge, cell.planted) == (judge, each)]
            placed = {(cell.data_set, cell.rows, cell.width): cell for cell in row}
            shares = [placed.get((data_set, n, d)) for data_set in SETS for n in ROWS for d in WIDTHS]
            pairs = sum(cell.pairs for cell in row)
            shown = ["" if cell is None else f"{cell.alarms} of {cell.pairs}" for cell in shares]
            total = f"{sum(cell.alarms for cell in row) / pairs:.1%}" if pairs else ""
            lines.append(f"| {each} | {name} | {' | '.join(shown)} | {total} |")
    return "\n".join(lines)
