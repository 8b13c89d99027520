"""The processes of a `@parallel` step as a group that trains together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from metaflow.metaflow_current import current

from flows.tasks_at_once import on_own_machine
from learn.alignment.group import Group
from learn.config.processes import ProcessSettings

# Below the ports that systems give to outgoing connections, above those that services like.
_FIRST_PORT, _PORTS = 20_000, 10_000


@contextmanager
def training_group(*, settings: ProcessSettings) -> Iterator[Group]:
    """Join the other processes of this step.

    Raises:
        TrainingError: The others did not come in time, or the port is taken.
    """
    import torch

    from learn.alignment.processes import Meeting, meet

    together = current.parallel  # type: ignore[attr-defined]  # Metaflow sets it where a step is `@parallel`
    meeting = Meeting(
        address=together.main_ip,
        port=_port(together.control_task_id),
        rank=together.node_index,
        size=together.num_nodes,
        answer_seconds=settings.answer_seconds,
    )
    if not on_own_machine():
        torch.set_num_threads(max(1, torch.get_num_threads() // together.num_nodes))
    with meet(meeting) as group:
        yield group


def _port(control_task: str | None) -> int:
    """Return Metaflow's port on a cluster; on one machine another for each attempt."""
    given = os.environ.get("MF_MASTER_PORT", "")
    if given.isdigit():
        return int(given)
    attempt = f"{current.run_id}/{current.step_name}/{control_task}/{current.retry_count}"
    return _FIRST_PORT + int.from_bytes(hashlib.sha256(attempt.encode()).digest()[:4]) % _PORTS
