"""A whole run in which every step starts on an empty machine and S3, on the loopback, is all that they share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from benchmarks.harness.provenance import ROOT
from benchmarks.scale.remote import BUCKET, Cloud, run_on_empty_machines, start_cloud
from learn.registry.bundle import read_bundle

pytestmark = pytest.mark.slow

STEPS = ["start", "validate", "histories", "plan", "encode", "encode", "gather", "share_training", "towers"]
STEPS += ["package", "decide", "end"]
_READ = """
import json, sys
from metaflow import Run, namespace
namespace(None)
last = Run(f"TrainFlow/{sys.argv[1]}")["end"].task
print(json.dumps({"bento": last.data.bento, "handed": [str(file.path) for file in last.data.handed]}))
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with start_cloud(tmp_path_factory.mktemp("cloud")) as started:
        yield started


def said_by(words: list[str], here: Cloud, *, cwd: Path) -> str:
    """What a program says on a machine that has nothing of the run."""
    done = subprocess.run(words, cwd=cwd, env=here.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_step_runs_on_an_empty_machine_with_s3_alone(here: Cloud) -> None:
    run = run_on_empty_machines(here)
    assert run.ended_well, run.said
    # Of the two branches either may be first.
    assert [step for step in run.steps if step not in ("evaluate", "compare_windows")] == STEPS
    assert set(run.steps[9:11]) == {"evaluate", "compare_windows"}

    found = json.loads(said_by([sys.executable, "-c", _READ, run.run_id], here, cwd=ROOT).splitlines()[-1])
    handed = {Path(path).name for path in found["handed"]}
    assert {"index.html", "metrics.json", "validation.html", "drift.html", "evaluation.html"} <= handed
    assert {"manifest.json", "towers.safetensors", "vectors.npy"} <= handed
    assert found["bento"]["parity_identical"] + found["bento"]["parity_tied"] > 0
    kept = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert {each["Key"].split("/")[0] for each in kept} == {"metaflow", "dvc", "content", "run-files"}

    home = here.folder / "home"
    said_by([sys.executable, "-m", "learn", "runs", "fetch", run.run_id, "--to", str(home)], here, cwd=ROOT)
    assert read_bundle(home / "bundle").manifest.data_version == run.version
    assert (home / "reports" / "index.html").is_file()
