"""The environment that the libraries read: quiet unless somebody chose otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from learn.environment import configure_process

NAMES = ("SUDO_USER", "USERNAME", "USER", "LOGNAME", "METAFLOW_USER")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    # `settle` writes to the real environment: every name it may set is put back by the fixture that knows it first.
    monkeypatch.setattr(os, "environ", {})
    return monkeypatch


def test_no_library_reports_home(nobody: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - an empty environment
    configure_process()
    for name in ("DVC_NO_ANALYTICS", "DO_NOT_TRACK", "BENTOML_DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY"):
        assert os.environ[name] in {"1", "True"}
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_what_is_set_stays(nobody: pytest.MonkeyPatch) -> None:
    nobody.setitem(os.environ, "GX_ANALYTICS_ENABLED", "true")
    nobody.setitem(os.environ, "METAFLOW_USER", "ada")
    configure_process()
    assert os.environ["GX_ANALYTICS_ENABLED"] == "true"
    assert os.environ["METAFLOW_USER"] == "ada"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "learn"), ({"USER": "root"}, "learn"), ({"USER": ""}, "learn"), ({"USER": "ada"}, None)],
)
def test_metaflow_has_a_user_wherever_it_runs(
    nobody: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    for name, value in given.items():
        nobody.setitem(os.environ, name, value)
    configure_process()
    assert os.environ.get("METAFLOW_USER") == expected


def test_settling_loads_no_library() -> None:
    code = (
        "import sys; from learn.environment import configure_process; configure_process();"
        "print(sorted({'torch', 'polars', 'dvc'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_python_that_processes_of_a_step_are_started_with_is_this_one(nobody: pytest.MonkeyPatch) -> None:
    nobody.setitem(os.environ, "PATH", "/usr/bin")
    configure_process()
    configure_process()
    assert os.environ["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_products_of_many_shapes_do_not_pile_up() -> None:
    code = """
from learn.environment import configure_process
configure_process()
import torch

def held_bytes():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

if torch.cpu.get_capabilities().get("avx512_bf16"):
    torch.set_num_threads(1)
    rows, columns = torch.randn(900, 384).bfloat16(), torch.randn(384, 768).bfloat16()
    rows @ columns
    before = held_bytes()
    for length in range(100, 700):
        rows[:length] @ columns
    print(held_bytes() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if not done.stdout:
        pytest.skip("the processor has no bfloat16")
    # 600 kernels kept would be 400 MB.
    assert int(done.stdout) < 150_000_000


def test_a_name_that_only_logname_gives_is_taken(nobody: pytest.MonkeyPatch) -> None:
    nobody.setitem(os.environ, "LOGNAME", "ada")
    configure_process()
    assert os.environ["METAFLOW_USER"] == "ada"


@pytest.mark.parametrize("home", ["", "/nowhere/at/all"])
def test_a_home_that_is_not_there_is_replaced(nobody: pytest.MonkeyPatch, tmp_path: Path, home: str) -> None:
    nobody.chdir(tmp_path)
    if home:
        nobody.setitem(os.environ, "HOME", home)
    else:
        # No account either, as of a user id that OpenShift gives.
        nobody.setattr("os.getuid", lambda: 54_321)
    configure_process()
    assert os.environ["HOME"] == str(tmp_path / ".learn" / "home")
    assert os.environ["BENTOML_HOME"].startswith(os.environ["HOME"])
    assert [*tmp_path.iterdir()] == []


def test_a_home_that_is_there_stays(nobody: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nobody.setitem(os.environ, "HOME", str(tmp_path))
    configure_process()
    assert os.environ["HOME"] == str(tmp_path)
    assert "BENTOML_HOME" not in os.environ
