"""A whole run in which every step starts on an empty machine and S3, on the loopback, is all that the steps share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.cli import BenchmarkError
from benchmarks.harness.page import Part
from benchmarks.harness.provenance import ROOT
from benchmarks.scale.small_run import prepare
from learn.config import DataSettings
from learn.data import record_version

BUCKET = "shop"
_HOOK = Path(__file__).resolve().parent / "empty_machine"
_KEYS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
_SHOWN_LINES = 30
_SETTINGS = f"""
[places]
run_files = "s3://{BUCKET}/run-files"
data_remote = "s3://{BUCKET}/dvc"
"""


@dataclass(frozen=True)
class RemoteRun:
    """A run that has ended.

    Attributes:
        ended_well: Whether it finished.
        said: All that it printed.
        steps: Tasks that started on an empty machine, in order.
        run_id: Metaflow's; empty where it did not start.
        version: Of the data.
    """

    ended_well: bool
    said: str
    steps: tuple[str, ...]
    run_id: str
    version: str


@dataclass(frozen=True)
class Cloud:
    """What outlives the machines.

    Attributes:
        folder: Metaflow's notes of its runs, the encoder (which an image would hold) and the machine's disk.
        endpoint: Of the server that speaks S3.
    """

    folder: Path
    endpoint: str

    @property
    def access(self) -> dict[str, str]:
        """Variables by which everything finds the bucket."""
        return {
            **_KEYS,
            "AWS_ENDPOINT_URL": self.endpoint,
            "METAFLOW_S3_ENDPOINT_URL": self.endpoint,
            "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{BUCKET}/metaflow",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.folder / "metadata"),
            "METAFLOW_HOME": str(self.folder / "metaflow_home"),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a run: :attr:`access`, and an empty machine for each step."""
        given = {name: text for name, text in os.environ.items() if not name.startswith(("METAFLOW_", "DVC_", "AWS_"))}
        disk = self.folder / "machine"
        return {
            **given,
            **self.access,
            "OMP_NUM_THREADS": "1",
            "BENTOML_HOME": str(disk / "bentoml"),
            "DVC_SITE_CACHE_DIR": str(disk / "dvc_site"),
            "LEARN_MACHINE": str(disk),
            "LEARN_MACHINE_STEPS": str(self.folder / "steps.txt"),
            "PYTHONPATH": str(_HOOK),
        }


@contextmanager
def start_cloud(folder: Path) -> Iterator[Cloud]:
    """Start a server that speaks S3 on the loopback, with an empty bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        here = Cloud(folder, f"http://{host}:{port}")
        with _set_environment(here.access):
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            yield here
    finally:
        server.stop()


@contextmanager
def _set_environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_on_empty_machines(here: Cloud) -> RemoteRun:
    """Put a small shop into DVC's remote in the bucket, forget it here, and run the train flow on it."""
    version = _push_data(here)
    started_from = here.folder / "started_from"
    started_from.mkdir()
    flow = [sys.executable, str(ROOT / "flows" / "train_flow.py"), "--no-pylint", "--datastore=s3"]
    flow += ["--config", "settings", str(here.folder / "settings.toml"), "run", "--data-version", version]
    flow += ["--max-workers", "1", "--run-id-file", str(here.folder / "run_id")]
    done = subprocess.run(flow, cwd=started_from, env=here.environment, capture_output=True, text=True, check=False)
    return RemoteRun(
        ended_well=done.returncode == 0 and not any(started_from.iterdir()),
        said=done.stdout + done.stderr,
        steps=tuple(_read(here.folder / "steps.txt").split()),
        run_id=_read(here.folder / "run_id").strip(),
        version=version,
    )


def _push_data(here: Cloud) -> str:
    laptop = here.folder / "laptop"
    laptop.mkdir()
    prepare(laptop)
    recorded = record_version(laptop / "data", root=laptop, settings=DataSettings(), remote=f"s3://{BUCKET}/dvc")
    shutil.move(laptop / "encoder", here.folder / "encoder")
    text = (laptop / "settings.toml").read_text(encoding="utf-8")
    text = text.replace(str(laptop / "encoder"), str(here.folder / "encoder"))
    text = text.replace("[content]", f'[content]\nstore = "s3://{BUCKET}/content"')
    (here.folder / "settings.toml").write_text(text + _SETTINGS, encoding="utf-8")
    shutil.rmtree(laptop)
    return recorded.version


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def measure(*, data: Path, workspace: Path) -> Part:  # noqa: ARG001 - the shop is synthetic, and no machine is in a checkout
    """Return the section of the page."""
    # Outside of any checkout, whose DVC repository and cache an empty machine would find.
    with tempfile.TemporaryDirectory(prefix="learn-remote-") as folder, start_cloud(Path(folder).resolve()) as here:
        run = run_on_empty_machines(here)
    if not run.ended_well:
        said = "\n".join(run.said.splitlines()[-_SHOWN_LINES:])
        raise BenchmarkError(
            f"The run did not finish:\n{said}",
            where="python -m benchmarks.scale --only remote",
            fix="fix what its message names",
        )
    proved = sorted(set(run.steps), key=run.steps.index)
    return Part(
        name="Steps on machines of their own",
        figures={"remote_steps_proved": float(len(proved))},
        header=("Step", "Tasks"),
        rows=tuple((step, str(run.steps.count(step))) for step in proved),
        notes=(
            "One whole run of the train flow on a small shop. Each task starts on an emptied disk; Metaflow's "
            "artifacts, DVC's remote, the content store and the files between steps lie in a bucket of a server on "
            "the loopback.",
        ),
    )
