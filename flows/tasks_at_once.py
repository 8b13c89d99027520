"""How many tasks of a foreach share a machine's cores."""

from __future__ import annotations

import os
from pathlib import Path

_METAFLOW_DEFAULT = 16
_LIMIT = "--max-workers"


def tasks_at_once(tasks: int) -> int:
    """How many of a step's tasks run beside each other on this machine.

    In a pod or a batch job each task has a machine of its own. Otherwise Metaflow runs ``--max-workers`` at a time,
    which stands in the command of the process that started this one.

    Args:
        tasks: All tasks of the step.
    """
    return 1 if on_own_machine() else max(1, min(tasks, _most_workers()))


def on_own_machine() -> bool:
    """Whether this task has a pod or a batch job to itself."""
    return "METAFLOW_KUBERNETES_WORKLOAD" in os.environ or "AWS_BATCH_JOB_ID" in os.environ


def _most_workers() -> int:
    words = _command_of(os.getppid())
    following = dict(zip(words, [*words[1:], ""], strict=True))
    joined = dict(word.split("=", 1) for word in words if word.startswith(f"{_LIMIT}="))
    said = joined.get(_LIMIT) or following.get(_LIMIT) or os.environ.get("METAFLOW_RUN_MAX_WORKERS", "")
    return int(said) if said.isdigit() else _METAFLOW_DEFAULT


def _command_of(process: int) -> list[str]:
    """Words of a process's command; none where the system does not tell."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []
