"""Jobs in processes of their own: what is done stays done, and a killed one continues."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from benchmarks.harness.provenance import ROOT
from benchmarks.quality.jobs import Job, compute_digests, plan
from benchmarks.quality.results import Results
from benchmarks.quality.runner import run
from benchmarks.quality.work import do
from tests.benchmarks.synthetic_data import write_made_up_set

EPOCHS = 60
SMALL = {"towers__dimension": 24, "training__epochs": EPOCHS, "training__patience": EPOCHS}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    write_made_up_set(folder / "data" / "scientific")
    return folder


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    by_name = {job.name: job for job in plan(overrides=SMALL)}
    return [by_name["scientific/baselines/masked/0"], by_name["scientific/towers/masked/0"]]


def kill_after_an_epoch(job: Job, place: Path) -> None:
    """Start a job as the runner does, and kill it in the midst of its training."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.quality.work"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    assert process.stdin
    assert process.stdout
    order = {"job": job.to_dict(), "data": str(place / "data"), "workspace": str(place / "work")}
    process.stdin.write(json.dumps(order))
    process.stdin.close()
    seen = next(line for line in process.stdout if "Epoch 2/" in line)
    process.kill()
    process.wait()
    assert str(EPOCHS) in seen


@pytest.mark.slow
def test_a_killed_benchmark_goes_on_where_it_was(
    place: Path, jobs: list[Job], capfd: pytest.CaptureFixture[str]
) -> None:
    baselines, towers = jobs
    results, known = Results(place / "work"), compute_digests(jobs, data=place / "data")
    do(baselines, data=place / "data", workspace=place / "work")
    kill_after_an_epoch(towers, place)
    key = towers.compute_key(known["scientific"])
    assert not results.has(key)
    capfd.readouterr()
    assert run(jobs, digests=known, data=place / "data", results=results) == []
    said = capfd.readouterr().out
    assert "baselines/masked/0: done before" in said
    assert "Continuing an interrupted training after epoch" in said
    assert len(results.read(key)["training"]["curve"]) == EPOCHS

    # Of one result, and of one alone.
    assert run(jobs, digests=known, data=place / "data", results=results) == []
    assert capfd.readouterr().out.count("done before") == 2
    results.forget(key)
    assert not results.has(key)
    assert results.has(baselines.compute_key(known["scientific"]))
    assert not results.find_training(key).exists()


def test_a_result_holds_every_users_rank_and_its_cost(place: Path, jobs: list[Job]) -> None:
    baselines, workspace = jobs[0], place / "work"
    do(baselines, data=place / "data", workspace=workspace)
    key = baselines.compute_key(compute_digests(jobs, data=place / "data")["scientific"])
    record, ranks = Results(workspace).read(key), Results(workspace).read_ranks(key)
    assert record["peak_memory_bytes"] > 0
    assert record["seconds"]["fit"] > 0
    test = ranks.filter((pl.col("part") == "test") & (pl.col("model") == "ease"))
    assert len(test) == record["metrics"]["examples"]["test"] == 40
    hits = float((test["masked"] <= 10).mean())  # type: ignore[arg-type]  # polars types a mean by every column's
    assert hits == pytest.approx(record["metrics"]["test"]["ease"]["masked"]["recall@10"], abs=1e-6)
    kinds = test.select("head_items", "tail_items", "cold_items").sum_horizontal()
    assert set(kinds) == {1}


def test_a_job_that_cannot_be_done_is_said_and_the_others_go_on(
    place: Path, tmp_path: Path, jobs: list[Job], capfd: pytest.CaptureFixture[str]
) -> None:
    known = compute_digests(jobs, data=place / "data")
    # No data there: every job fails by itself, and says so without a traceback.
    failed = run(jobs[:1], digests=known, data=tmp_path, results=Results(tmp_path / "work"))
    said = capfd.readouterr()
    assert failed == ["scientific/baselines/masked/0"]
    assert "is not there" in said.err
    assert "Traceback" not in said.err
