"""What is installed is what is locked, its licences are listed, and the workflow is the gate with least privilege."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["check_lock"], ["list_licences", "--check"]], ids=" ".join)
def test_the_files_of_the_lock_are_current(words: list[str]) -> None:
    script = ROOT / "scripts" / words[0]
    done = subprocess.run([sys.executable, script, *words[1:]], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_package_that_no_file_pins_is_told(tmp_path: Path) -> None:
    for folder in ("scripts", "docs"):
        (tmp_path / folder).mkdir()
    for name in ("scripts/check_lock", "scripts/installed_packages.py", "pyproject.toml", "requirements.lock"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "constraints.txt").write_text("".join(line for line in lines if not line.startswith("polars==")))
    done = subprocess.run(
        [sys.executable, tmp_path / "scripts" / "check_lock"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.search(r"^polars \S+ is installed, and not in constraints\.txt$", done.stdout, re.MULTILINE)


def test_every_package_of_the_lock_has_a_hash_and_torch_is_left_out() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 150
    assert not [entry for entry in entries if "--hash=sha256:" not in entry]
    assert not re.search(r"^(torch|triton|cuda|nvidia-(?!ml-py))", text, re.MULTILINE)


def test_the_workflow_runs_the_gate_and_may_only_read() -> None:
    workflow = yaml.safe_load(WORKFLOW)
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert "permissions" not in job
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", name) for name in used), "actions are named by commit"
    assert "secrets." not in WORKFLOW
