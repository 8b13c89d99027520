from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# What Metaflow does: the process that carries the limit in its command starts another one for the task.
PARENT = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)"
TASK = "from flows.cluster import count_parallel_tasks; print(count_parallel_tasks(40))"


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system does not tell a process's command")
@pytest.mark.parametrize(
    ("words", "environment", "at_once"),
    [
        (["run", "--max-workers", "2"], {}, 2),
        # Each starts two processes that import Metaflow.
        pytest.param(["run"], {}, 16, marks=pytest.mark.slow),
        pytest.param(["run", "--max-workers=64", "--seed", "1"], {}, 40, marks=pytest.mark.slow),
        pytest.param(["run"], {"METAFLOW_RUN_MAX_WORKERS": "3"}, 3, marks=pytest.mark.slow),
        (["run", "--max-workers", "2"], {"METAFLOW_KUBERNETES_WORKLOAD": "1"}, 1),
    ],
)
def test_tasks_share_the_cores_with_those_that_run_beside_them(
    words: list[str], environment: dict[str, str], at_once: int
) -> None:
    command = [sys.executable, "-c", PARENT, TASK, *words]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, env=os.environ | environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(at_once)]
