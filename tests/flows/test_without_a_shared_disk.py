"""A whole run in which every step starts on an empty machine and S3, on the loopback, is all that they share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from benchmarks.scale.small_run import prepare
from learn.config import DataSettings
from learn.data.versioning import record_version
from learn.serving.bundle import read_bundle

pytestmark = pytest.mark.slow

FLOW = Path(__file__).resolve().parents[2] / "flows" / "train_flow.py"
HERE = Path(__file__).resolve().parent
BUCKET = "shop"
SETTINGS = f"""
[places]
run_files = "s3://{BUCKET}/run-files"
data_remote = "s3://{BUCKET}/dvc"
"""
STEPS = ["start", "validate", "histories", "plan", "encode", "encode", "gather", "share_training", "towers"]
STEPS += ["evaluate", "compare_windows", "package", "decide", "end"]
_READ = """
import json, sys
from metaflow import Run, namespace
namespace(None)
last = Run(f"TrainFlow/{sys.argv[1]}")["end"].task
names = ("bundle", "bento", "metrics")
handed = {str(file.path): list(file.pieces) for file in last.data.handed}
print(json.dumps({name: getattr(last.data, name) for name in names} | {"handed": handed}))
"""


@dataclass(frozen=True)
class Cloud:
    """What outlives the machines: the bucket, and Metaflow's notes of the runs."""

    folder: Path
    environment: dict[str, str]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("cloud")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}
    disk = folder / "machine"
    given = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "DVC_", "AWS_"))}
    environment = {
        **given,
        **keys,
        "AWS_ENDPOINT_URL": endpoint,
        "METAFLOW_S3_ENDPOINT_URL": endpoint,
        "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{BUCKET}/metaflow",
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder / "metadata"),
        "METAFLOW_HOME": str(folder / "metaflow_home"),
        "OMP_NUM_THREADS": "1",
        "BENTOML_HOME": str(disk / "bentoml"),
        "DVC_SITE_CACHE_DIR": str(disk / "dvc_site"),
        "LEARN_TEST_MACHINE": str(disk),
        "LEARN_TEST_STEPS": str(folder / "steps.txt"),
        "PYTHONPATH": str(HERE / "empty_machine"),
    }
    with pytest.MonkeyPatch.context() as patched:
        for name in (*keys, "AWS_ENDPOINT_URL"):
            patched.setenv(name, environment[name])
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield Cloud(folder, environment)
    server.stop()


@pytest.fixture(scope="module")
def version(cloud: Cloud) -> str:
    """Of the data, which lies in DVC's remote alone."""
    laptop = cloud.folder / "laptop"
    laptop.mkdir()
    place = prepare(laptop)
    recorded = record_version(laptop / "data", root=laptop, settings=DataSettings(), remote=f"s3://{BUCKET}/dvc")
    assert recorded.pushed_to is not None
    shutil.move(laptop / "encoder", cloud.folder / "encoder")
    text = (place.folder / "settings.toml").read_text(encoding="utf-8")
    text = text.replace(str(laptop / "encoder"), str(cloud.folder / "encoder"))
    text = text.replace("[content]", f'[content]\nstore = "s3://{BUCKET}/content"') + SETTINGS
    (cloud.folder / "settings.toml").write_text(text, encoding="utf-8")
    shutil.rmtree(laptop)
    return recorded.version


def test_every_step_runs_on_an_empty_machine_with_s3_alone(cloud: Cloud, version: str) -> None:
    words = ["--no-pylint", "--datastore=s3", "--config", "settings", str(cloud.folder / "settings.toml")]
    words += ["run", "--data-version", version, "--max-workers", "1", "--run-id-file", str(cloud.folder / "run_id")]
    (cloud.folder / "started_from").mkdir()
    done = subprocess.run(
        [sys.executable, str(FLOW), *words],
        cwd=cloud.folder / "started_from",
        env=cloud.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (cloud.folder / "steps.txt").read_text(encoding="utf-8").split() == STEPS
    assert not list((cloud.folder / "started_from").iterdir())
    read = subprocess.run(
        [sys.executable, "-c", _READ, (cloud.folder / "run_id").read_text(encoding="utf-8")],
        cwd=cloud.folder,
        env={**cloud.environment, "METAFLOW_DEFAULT_DATASTORE": "s3"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(read.stdout.splitlines()[-1])
    handed = {Path(path).name for path in found["handed"]}
    assert {"index.html", "metrics.json", "validation.html", "drift.html", "evaluation.html"} <= handed
    assert {"manifest.json", "towers.safetensors", "vectors.npy"} <= handed
    assert found["bento"]["parity_identical"] + found["bento"]["parity_tied"] > 0
    home = cloud.folder / "home"
    fetched = subprocess.run(
        [sys.executable, "-m", "flows.fetch", (cloud.folder / "run_id").read_text(encoding="utf-8"), "--to", str(home)],
        cwd=FLOW.parents[1],
        env=cloud.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert fetched.returncode == 0, fetched.stderr
    assert read_bundle(home / "bundle").manifest.data_version == version
    assert (home / "reports" / "index.html").is_file()
    kept = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert {each["Key"].split("/")[0] for each in kept} == {"metaflow", "dvc", "content", "run-files"}
