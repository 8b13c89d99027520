"""A model of a real shop for the report on a million rows; its weights are fresh, since only the work is measured.

The report on a log of a million rows: time and peak memory, in its own process.

``python -m benchmarks.monitoring.million FOLDER DATA WORKSPACE`` prints figures, and with ``--write`` makes the log.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.harness.provenance import ROOT
from benchmarks.monitoring.cells import CellStore, hash_code
from benchmarks.quality.datasets import SOURCES, hash_data, prepare
from learn.config import Settings
from learn.data import Histories
from learn.model import Towers, TowerScorer, compute_id_rows
from learn.monitoring import KnownHistories, MonitoredModel, Profile, make_profile, rank_known

_LOGGED_ITEMS = 20
_REQUESTS = 5_000


def build_million_model(
    *, data: Path, workspace: Path
) -> tuple[Profile, MonitoredModel, list[dict[str, object]], Settings]:
    """Return a profile, its model, real requests with the model's answers as the service logs them, and the settings.

    Raises:
        DataError: The data set is not there.
    """
    prepared = prepare(SOURCES[SHOP], data=data, workspace=workspace)
    histories, settings = prepared.histories, Settings.from_mapping({"towers": {"cooccurrence_rank": 0}})
    torch.manual_seed(0)
    ids = compute_id_rows(histories)
    content = prepared.content
    towers = Towers(settings.towers, content_dimension=content.shape[1], id_count=int((ids >= 0).sum()))
    items = pl.DataFrame({"item_id": histories.item_ids, "title": prepared.titles})
    model = MonitoredModel("million", "", items, TowerScorer(towers, content=content, ids=ids))
    return (
        make_profile(histories, model, settings=settings),
        model,
        _build_requests(prepared.histories, model),
        settings,
    )


def _build_requests(histories: Histories, model: MonitoredModel) -> list[dict[str, object]]:
    rng = np.random.default_rng(1)
    windows, stops = np.asarray(histories.train_stops), np.asarray(histories.offsets[1:])
    starts = np.asarray(histories.offsets[:-1])
    users = rng.choice(np.flatnonzero((stops > windows) & (windows > starts)), _REQUESTS)
    at = rng.integers(windows[users], stops[users])
    lengths = np.minimum(at - starts[users], _LOGGED_ITEMS)
    flat = np.concatenate([histories.items[end - length : end] for end, length in zip(at, lengths, strict=True)])
    known = KnownHistories.from_flat(flat.astype(np.int32), lengths)
    lists, scores = rank_known(known, model.scorer, k=10)
    ids = np.asarray(histories.item_ids)
    return [
        {
            "kind": "answer",
            "history": ids[flat[known.starts[row] : known.stops[row]]].tolist(),
            "history_length": int(at[row] - starts[users[row]]),
            "items": ids[lists[row]].tolist(),
            "scores": [round(float(score), 6) for score in scores[row]],
            "k": 10,
            "latency_milliseconds": 2.0,
        }
        for row in range(_REQUESTS)
    ]


SHOP = "online_retail"
ROWS = 1_000_000
_FEEDBACK_EVERY = 5
_USERS = 150_000
_DAYS = 14
_FILE_ROWS = 250_000
_PATTERNS = 5_000


@dataclass(frozen=True)
class Million:
    """What the report on the log took.

    Attributes:
        rows: Lines of the log.
        log_bytes: Of its files.
        seconds: From the log to report and verdict, the libraries loaded before.
        cpu_seconds: The same, of the processor.
        peak_bytes: Most memory of the process.
        loaded_bytes: Of it, before the log was touched: libraries and the model.
        report_bytes: Of the page.
        verdict: On this log.
    """

    rows: int
    log_bytes: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    loaded_bytes: int
    report_bytes: int
    verdict: str


def measure_million(*, folder: Path, data: Path, workspace: Path, kept: CellStore) -> Million:
    """Measure in a fresh process, whose peak memory is only this work's; an earlier measurement is reused.

    Raises:
        DataError: The data set is not there.
        StorageError: The disk is full or not writable.
        subprocess.CalledProcessError: It failed; what it said was shown.
    """
    made_of: dict[str, str | int] = {
        "rows": ROWS,
        "data": hash_data(SOURCES[SHOP], data=data),
        "code": hash_code(_list_code()),
    }
    found = kept.read(**made_of)
    if found is not None:
        return Million(**found["million"])
    command = [sys.executable, "-m", "benchmarks.monitoring.million", str(folder), str(data), str(workspace)]
    written = [*command, "--write"]
    subprocess.run(written, check=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    million = Million(**json.loads(done.stdout.splitlines()[-1]))
    kept.write({"million": asdict(million)}, **made_of)
    return million


def _list_code() -> list[Path]:
    # Reading, comparing, judging and drawing: all of the room.
    own = [Path("benchmarks/monitoring", name) for name in ("million.py",)]
    return [*own, *(file.relative_to(ROOT) for file in (ROOT / "learn" / "monitoring").glob("*.py"))]


def _main(words: list[str]) -> None:
    folder, data, workspace = (Path(word) for word in words[:3])

    profile, model, requests, settings = build_million_model(data=data, workspace=workspace)
    if "--write" in words:
        _write_log(folder / "log", requests, version=model.version)
        return
    from benchmarks.harness.provenance import read_peak_memory_bytes
    from learn.monitoring import monitor as watch
    from learn.monitoring import read_source

    loaded, begun, cpu = read_peak_memory_bytes(), time.perf_counter(), time.process_time()
    read = read_source(folder / "log", folder / "read", settings=settings)
    found = watch(read, profile, model, run_id="million", reports=folder / "reports", settings=settings)
    million = Million(
        rows=ROWS,
        log_bytes=sum(file.stat().st_size for file in (folder / "log").iterdir()),
        seconds=time.perf_counter() - begun,
        cpu_seconds=time.process_time() - cpu,
        peak_bytes=read_peak_memory_bytes(),
        loaded_bytes=loaded,
        report_bytes=found.report.stat().st_size,
        verdict=found.verdict.level,
    )
    print(json.dumps(asdict(million)))


def _write_log(folder: Path, requests: list[dict[str, object]], *, version: str) -> None:
    """Write what a service would have logged: real requests over and over, under new names at new times."""
    done = folder / f"traffic-{ROWS // _FILE_ROWS:06}.jsonl"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(0)  # noqa: S311 - a benchmark's draw is no secret
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    bodies = [json.dumps(each)[1:] for each in requests[:_PATTERNS]]
    for part in range(ROWS // _FILE_ROWS):
        file = folder / f"traffic-{part + 1:06}.jsonl"
        with file.with_suffix(".unfinished").open("w", encoding="utf-8") as log:
            for row in range(part * _FILE_ROWS, (part + 1) * _FILE_ROWS):
                moment = (begin + timedelta(days=_DAYS * row / ROWS)).isoformat()
                pattern = (row - row // _FEEDBACK_EVERY) % len(bodies)
                if row % _FEEDBACK_EVERY < _FEEDBACK_EVERY - 1:
                    named = f'"recommendation_id": "r{row}", "user": "u{draw.randrange(_USERS)}"'
                    log.write(f'{{"time": "{moment}", {named}, "model_version": "{version}", {bodies[pattern]}\n')
                else:
                    # Somebody clicks in the answer before: its name, and one of its items.
                    items = requests[pattern - 1]["items"]
                    item = json.dumps(draw.choice(items) if isinstance(items, list) else "")
                    named = f'"recommendation_id": "r{row - 1}", "item_id": {item}, "event": "clicked"'
                    log.write(f'{{"kind": "feedback", "time": "{moment}", {named}}}\n')
        file.with_suffix(".unfinished").rename(file)


if __name__ == "__main__":
    _main(sys.argv[1:])
