"""What the kills benchmark would notice: leftovers, half-written reports, and processes that outlive their run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.scale.kills import Kill, _read_kill, _stop_orphans, is_finished, read_step_seconds
from benchmarks.scale.small_run import Outcome, Place

LOG = """2026-11-21 19:55:31.022 [17/start/1 (pid 8)] Task is starting.
2026-11-21 19:55:33.022 [17/start/1 (pid 8)] Data version 77.dir (2 files, 105,715 bytes).
2026-11-21 19:55:41.522 [17/start/1 (pid 8)] Task finished successfully.
2026-11-21 19:55:42.000 [17/encode/2 (pid 9)] Task is starting.
2026-11-21 19:55:43.000 [17/encode/3 (pid 10)] Task is starting.
2026-11-21 19:55:44.000 [17/encode/2 (pid 9)] Task finished successfully.
2026-11-21 19:55:47.000 [17/encode/3 (pid 10)] Task finished successfully.
"""


def test_leftovers_and_half_written_reports_are_faults(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "17"
    report.mkdir(parents=True)
    for name in ("index.html", "evaluation.html", "drift.html"):
        (report / name).write_text("<html></html>\n", encoding="utf-8")
    (report / "validation.html").write_text("<html><body>half", encoding="utf-8")
    (report / "metrics.json").write_text("{}", encoding="utf-8")
    for name in (".learn/content/e/.part-1.arrow.ab.tmp", "tmp/learn-bento-x/file", "reports/17/.unfinished-x/page"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    faults = Place(tmp_path).read_outcome().faults
    assert "half-written: validation.html" in faults
    assert "0 bundles and 1 metrics.json instead of one" in faults
    left = {fault.removeprefix("left over: ") for fault in faults if fault.startswith("left over")}
    assert {".learn/content/e/.part-1.arrow.ab.tmp", "tmp/learn-bento-x", "reports/17/.unfinished-x"} <= left
    assert not [fault for fault in faults if "index.html" in fault or "drift.html" in fault]


def test_a_process_that_outlives_its_run_is_told_and_ended(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    place = Place(tmp_path)
    with subprocess.Popen(words, env=place.environment, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (fault,) = _stop_orphans(tmp_path, dying_seconds=0.2)
        assert fault.startswith("still running: ")
        assert process.wait(10) < 0
    assert _stop_orphans(tmp_path) == []


def test_the_seconds_of_a_step_span_all_its_tasks(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text(LOG, encoding="utf-8")
    assert read_step_seconds(log) == {"start": 10.5, "encode": 5.0}
    assert not is_finished(log)


def test_a_kill_is_taken_again_unless_the_undisturbed_run_was_another(tmp_path: Path) -> None:
    record, calm = tmp_path / "kill-00.json", Outcome("abc", "def", ())
    assert _read_kill(record, calm) is None
    kill = Kill(
        step="towers",
        share=0.5,
        running=("towers",),
        resumed=True,
        same_weights=True,
        same_metrics=True,
        faults=(),
        undisturbed_weights="abc",
    )
    record.write_text(kill.model_dump_json())
    assert _read_kill(record, calm) == kill
    assert kill.equal
    assert _read_kill(record, Outcome("another", "def", ())) is None
