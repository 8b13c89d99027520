"""``monitoring.md`` for people and ``monitoring.json`` for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.monitoring.million import Million
from benchmarks.monitoring.rates import NOTHING, ROWS, SETS, WIDTHS, Cell, detection_rate, false_alarm_rate
from benchmarks.monitoring.shifts import SHIFTS
from benchmarks.quality.provenance import commit, machine, versions
from learn.data.staging import staged

_PAGE, _FIGURES = "monitoring.md", "monitoring.json"
_COMMAND = "make bench-monitoring"
_JUDGES = {"learn": "LEARN's verdict", "evidently": "Evidently's defaults"}


def write_page(cells: list[Cell], million: Million, *, folder: Path) -> Path:
    """Write the page and the figures; return the page.

    Raises:
        StorageError: The disk is full or closed.
    """
    record = {
        "figures": figures(cells, million),
        "machine": machine() | {"threads": 1},
        "versions": versions(),
        "commit": commit(),
        "seeds": list(range(max(cell.pairs for cell in cells))),
        "cells": [asdict(cell) for cell in cells],
        "million": asdict(million),
    }
    with staged(folder, names=(_FIGURES, _PAGE)) as stage:
        (stage / _FIGURES).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        (stage / _PAGE).write_text("\n\n".join(_parts(cells, million)) + "\n", encoding="utf-8")
    return folder / _PAGE


def figures(cells: list[Cell], million: Million) -> dict[str, float]:
    """Return the figures by name."""
    return {
        "false_alarm_rate": false_alarm_rate(cells, "learn"),
        "detection_rate": detection_rate(cells, "learn"),
        "evidently_default_false_alarm_rate": false_alarm_rate(cells, "evidently"),
        "evidently_default_detection_rate": detection_rate(cells, "evidently"),
        "report_million_rows_seconds": million.seconds,
        "report_million_rows_peak_bytes": million.peak_bytes,
        "report_bytes": million.report_bytes,
    }


def _parts(cells: list[Cell], million: Million) -> list[str]:
    found = machine()
    pairs = {judge: sum(c.pairs for c in cells if c.judge == judge and c.planted == NOTHING) for judge in _JUDGES}
    return [
        "# Monitoring",
        f"Made by `{_COMMAND}` on {found['processor']}, {found['cores']} cores, one thread.",
        "Windows are drawn from real requests of two shops: histories, titles, frozen text vectors (the encoder's 384 "
        "dimensions, or their first 64 principal components) and lists ranked by them. A category is the commonest "
        "word of the title, since neither shop has any. An alarm is any verdict on the whole window but `ok`, all "
        "columns together, with every setting at its default; of Evidently, any failing test of its preset on the "
        "columns, or of its default test on vectors.",
        f"## False alarms: two windows of one distribution ({pairs['learn']} pairs, Evidently {pairs['evidently']})",
        "The target is at most 5 %.",
        _table(cells, [NOTHING]),
        "## Planted shifts",
        "The target is at least 95 % found, in every cell. Beside many false alarms a high share found says little.",
        _table(cells, list(SHIFTS)),
        "## A log of a million rows",
        f"{million.log_bytes / 1e6:,.0f} MB of JSON lines, four answers to a click, of {_SHOP_WORDS}: read, compared, "
        f"judged and reported in {million.seconds:.0f} s ({million.cpu_seconds:.0f} s of processor), peak memory "
        f"{million.peak_bytes / 1e6:,.0f} MB, of which {million.loaded_bytes / 1e6:,.0f} MB are the libraries and the "
        f"model. The page has {million.report_bytes / 1e6:.1f} MB.",
    ]


_SHOP_WORDS = "150,000 users over two weeks"


def _table(cells: Sequence[Cell], planted: list[str]) -> str:
    heads = [f"{name}, n={rows:,}, d={width}" for name in SETS for rows in ROWS for width in WIDTHS]
    lines = [f"| planted | judge | {' | '.join(heads)} | all |", "|---|---|" + "---:|" * (len(heads) + 1)]
    for each in planted:
        for judge, name in _JUDGES.items():
            row = [cell for cell in cells if (cell.judge, cell.planted) == (judge, each)]
            placed = {(cell.data_set, cell.rows, cell.width): cell for cell in row}
            shares = [placed[data_set, n, d] for data_set in SETS for n in ROWS for d in WIDTHS]
            total = sum(cell.alarms for cell in row) / max(1, sum(cell.pairs for cell in row))
            shown = [f"{cell.alarms} of {cell.pairs}" for cell in shares]
            lines.append(f"| {each} | {name} | {' | '.join(shown)} | {total:.1%} |")
    return "\n".join(lines)
