"""What a flow takes along to a cluster, and what it requests there, read from what Metaflow itself makes of it."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
from hera.workflows.models import WorkflowTemplate
from moto.server import ThreadedMotoServer
from pydantic import ValidationError

from learn.config.machines import Machine, MachineSettings, Work
from learn.errors import SettingsError

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "configs" / "machines" / "cluster.toml"
IMAGE = "registry.example/learn:1"
GPU_STEPS = {"encode", "towers", "train"}
WORK: dict[str, Work] = {
    **dict.fromkeys(("start", "plan", "decide", "tell", "end"), "light"),
    **dict.fromkeys(("share-training", "gather-trainers", "dismiss-trainers"), "light"),
    "encode": "encode",
    "towers": "towers",
    "train": "towers",
}
STEPS = {
    "train": {"start", "validate", "histories", "plan", "encode", "gather", "towers", "evaluate", "compare-windows"}
    | {"share-training", "gather-trainers", "dismiss-trainers", "package", "decide", "end"},
    "monitor": {"start", "read", "compare", "tell", "train", "end"},
}

# --- Settings and image -----------------------------------------------------------------------------------


def test_the_file_for_a_cluster_is_read_and_asks_for_retries() -> None:
    settings = MachineSettings.from_toml(CLUSTER.read_text(encoding="utf-8"))
    assert settings.retries > 0
    assert settings.timeout_minutes > 0
    assert settings.find_machine("encode").gpu == settings.find_machine("towers").gpu == 1
    assert settings.find_machine("light") == Machine()


def test_one_machine_retries_nothing() -> None:
    assert MachineSettings().retries == MachineSettings().timeout_minutes == 0


@pytest.mark.parametrize("text", ["[towers]\ngpus = 1", "[tower]\ngpu = 1", "retries = -1", "retries ="])
def test_a_wrong_file_of_machines_is_one_error(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        MachineSettings.from_toml(text, where="file of machines")
    assert "machines" in str(caught.value)


def test_every_setting_of_the_machines_has_its_docstring() -> None:
    for section in (Machine, MachineSettings):
        assert not [name for name, setting in section.model_fields.items() if not setting.description]


def test_the_image_is_made_of_the_lock_and_the_torch_that_the_tests_run_with() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^COPY (\S+)", text, re.MULTILINE) == ["requirements.lock"]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in ignored if not line.startswith("#")] == ["*", "!requirements.lock"]
    assert "--require-hashes --no-deps --requirement /tmp/requirements.lock" in text
    named = re.search(r"^ARG TORCH=(\S+)$", text, re.MULTILINE)
    assert named is not None
    assert named[1] == torch.__version__.partition("+")[0]
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert "FROM python:3.11-" in text
    assert requires.startswith(">=3.11")
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["learn"]
    # What each pod would otherwise fetch is in the lock.
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "METAFLOW_SKIP_INSTALL_DEPENDENCIES=1" in text
    assert all(re.search(rf"^{name}==", lock, re.MULTILINE) for name in ("boto3", "requests", "s3fs", "metaflow"))


# --- The code package -------------------------------------------------------------------------------------


def flow_command(name: str, *words: str) -> list[str]:
    return [sys.executable, str(ROOT / "flows" / f"{name}_flow.py"), "--no-pylint", "--quiet", *words]


def environment_of(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "AWS_", "PYTHON"))}
    return {**kept, "OMP_NUM_THREADS": "1", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder), **more}


def unpacked(name: str, folder: Path) -> Path:
    """Save a flow's code package as Metaflow would send it, and unpack it as a pod does."""
    done = subprocess.run(
        flow_command(name, "package", "save", str(folder / "code.tgz")),
        cwd=folder,
        env=environment_of(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(folder / "code.tgz") as archive:
        archive.extractall(folder / "pod", filter="data")
    return folder / "pod"


def files_below(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found}


def imports_of_steps(flow: Path) -> list[str]:
    """Import statements in the bodies of a flow's steps: what only runs where the step does."""
    tree = ast.parse(flow.read_text(encoding="utf-8"))
    steps = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [ast.unparse(node) for step in steps for node in ast.walk(step) if isinstance(node, ast.ImportFrom)]


_WHERE = """
import json, sys
from pathlib import Path
from learn.environment import configure_process
configure_process()
exec(sys.argv[1])
from learn.serving.package import _RECIPE
ours = [module for name, module in sys.modules.items() if name.split(".")[0] in ("learn", "flows")]
files = {str(Path(module.__file__).resolve()) for module in ours if getattr(module, "__file__", None)}
print(json.dumps({"files": sorted(files), "recipe": str(_RECIPE), "there": _RECIPE.is_file()}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "monitor"])
def test_the_code_package_holds_all_that_a_step_reads_and_runs_from_an_empty_folder(name: str, tmp_path: Path) -> None:
    pod = unpacked(name, tmp_path)
    for room in ("learn", "flows"):
        assert files_below(pod / room) == files_below(ROOT / room)
    imports = imports_of_steps(pod / f"{name}_flow.py")
    assert len(imports) > 5
    done = subprocess.run(
        [sys.executable, "-c", _WHERE, "\n".join(imports)],
        cwd=pod,
        env=environment_of(tmp_path, PYTHONPATH=str(pod / ".mf_code")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["recipe"].startswith(str(pod))
    assert found["there"]
    assert len(found["files"]) > 20
    assert not [file for file in found["files"] if not file.startswith(str(pod))], "code of elsewhere was imported"


# --- The manifest for Argo Workflows ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    """Environment of a bucket on a server that speaks S3, on the loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="tests",
        aws_secret_access_key="tests",  # noqa: S106  # the server on the loopback takes any
    )
    client.create_bucket(Bucket="flows")
    yield {
        **keys,
        "METAFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "METAFLOW_DATASTORE_SYSROOT_S3": "s3://flows/metaflow",
        "METAFLOW_KUBERNETES_CONTAINER_IMAGE": IMAGE,
        "METAFLOW_KUBERNETES_PERSISTENT_VOLUME_CLAIMS": '{"learn": "/mnt/learn"}',
    }
    server.stop()


def manifest(name: str, bucket: dict[str, str], folder: Path, *, machines: Path = CLUSTER) -> dict[str, Any]:
    words = ["--datastore=s3", "--config", "machines", str(machines), "argo-workflows", "create", "--only-json"]
    done = subprocess.run(
        flow_command(name, *words),
        cwd=folder,
        env=environment_of(folder, **bucket),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


def unknown_to_argo(made: dict[str, Any]) -> Iterator[str]:
    """Yield each field of a manifest that Argo's published schema does not have; what it has is checked by type."""
    read = WorkflowTemplate.model_validate(made).model_dump(mode="json", by_alias=True, exclude_none=True)
    yield from _left_out(made, read, "manifest")


def _left_out(made: Any, read: Any, where: str) -> Iterator[str]:
    if isinstance(made, dict):
        for name, value in made.items():
            if name in read:
                yield from _left_out(value, read[name], f"{where}.{name}")
            elif value is not None:
                yield f"{where}.{name}"
    elif isinstance(made, list):
        for number, (value, kept) in enumerate(zip(made, read, strict=True)):
            yield from _left_out(value, kept, f"{where}[{number}]")


def test_what_argo_does_not_know_is_found() -> None:
    template = {"name": "start", "container": {"image": "learn", "resource": {}}, "retryStrategy": {"limit": "2"}}
    made = {"metadata": {"name": "flow"}, "spec": {"entrypoint": "start", "templates": [template]}}
    assert list(unknown_to_argo(made)) == ["manifest.spec.templates[0].container.resource"]
    template["retryStrategy"] = {"limit": ["two"]}
    with pytest.raises(ValidationError, match=r"retryStrategy\.limit"):
        list(unknown_to_argo(made))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "monitor"])
def test_the_manifest_asks_for_what_the_file_of_machines_says(
    name: str, bucket: dict[str, str], tmp_path: Path
) -> None:
    made = manifest(name, bucket, tmp_path)
    assert made["kind"] == "WorkflowTemplate"
    assert list(unknown_to_argo(made)) == []
    settings = MachineSettings.from_toml(CLUSTER.read_text(encoding="utf-8"))
    steps = {each["name"]: each for each in made["spec"]["templates"] if each["name"] in STEPS[name]}
    assert set(steps) == STEPS[name]
    for step, template in steps.items():
        container = template["container"]
        assert container["image"] == IMAGE
        asked, limits = container["resources"]["requests"], container["resources"]["limits"]
        machine = settings.find_machine(WORK.get(step, "tables"))
        assert float(asked["cpu"]) == machine.cpu
        assert asked["memory"] == f"{machine.memory_mb:.1f}M"
        assert asked["ephemeral-storage"] == f"{machine.disk_mb:.1f}M"
        assert limits == ({"nvidia.com/gpu": "1"} if step in GPU_STEPS else {})
        assert template["retryStrategy"]["limit"] == settings.retries
        assert template["retryStrategy"]["backoff"] == {"duration": f"{settings.minutes_between_retries}m"}
        assert template["activeDeadlineSeconds"] == settings.timeout_minutes * 60
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        assert mounts["learn"] == "/mnt/learn"
        (said,) = [each for each in container["env"] if each["name"] == "METAFLOW_FLOW_CONFIG_VALUE"]
        # The values themselves are in the code package.
        assert json.loads(said["value"]) == {"machines": "kv.machines", "settings": "kv.settings"}
        assert f"python {name}_flow.py" in " ".join(container["command"])


@pytest.mark.slow
def test_a_deployed_training_waits_for_the_event_that_the_file_of_machines_names(
    bucket: dict[str, str], tmp_path: Path
) -> None:
    assert "metaflow/triggers" not in manifest("train", bucket, tmp_path)["metadata"]["annotations"]
    machines = tmp_path / "machines.toml"
    machines.write_text('retrain_event = "retrain-shop"\n', encoding="utf-8")
    events = {"METAFLOW_ARGO_EVENTS_EVENT": "flows", "METAFLOW_ARGO_EVENTS_EVENT_SOURCE": "flows"}
    events |= {"METAFLOW_ARGO_EVENTS_SERVICE_ACCOUNT": "flows", "METAFLOW_ARGO_EVENTS_WEBHOOK_URL": "http://events:1"}
    made = manifest("train", bucket | events, tmp_path, machines=machines)
    (waits_for,) = json.loads(made["metadata"]["annotations"]["metaflow/triggers"])
    # That the flow has the parameters that come with the event, Metaflow has seen to.
    assert (waits_for["name"], waits_for["type"]) == ("retrain-shop", "event")
