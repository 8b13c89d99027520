"""What a flow needs on other machines than the one that starts it: resources, shared cores, training groups.

On one machine the mutators change nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaflow import FlowMutator, resources, retry, secrets, timeout
from metaflow.metaflow_current import current

from learn.config import MachineSettings, ProcessSettings, Work
from learn.model import Group

if TYPE_CHECKING:
    from metaflow import MutableFlow, MutableStep


_METAFLOW_DEFAULT = 16
_LIMIT = "--max-workers"


def count_parallel_tasks(tasks: int) -> int:
    """How many of a step's tasks run next to each other on this machine.

    In a pod or a batch job each task has its own machine. Otherwise Metaflow runs ``--max-workers`` at a time,
    which is in the command of the process that started this one.

    Args:
        tasks: All tasks of the step.
    """
    return 1 if has_own_machine() else max(1, min(tasks, _count_workers()))


def has_own_machine() -> bool:
    """Whether this task has a pod or a batch job to itself."""
    return "METAFLOW_KUBERNETES_WORKLOAD" in os.environ or "AWS_BATCH_JOB_ID" in os.environ


def _count_workers() -> int:
    words = _read_command(os.getppid())
    following = dict(zip(words, [*words[1:], ""], strict=True))
    joined = dict(word.split("=", 1) for word in words if word.startswith(f"{_LIMIT}="))
    said = joined.get(_LIMIT) or following.get(_LIMIT) or os.environ.get("METAFLOW_RUN_MAX_WORKERS", "")
    return int(said) if said.isdigit() else _METAFLOW_DEFAULT


def _read_command(process: int) -> list[str]:
    """Words of a process's command; none if the system does not tell."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


# Below the ports that systems give to outgoing connections, above those that services like.
_FIRST_PORT, _PORTS = 20_000, 10_000


@contextmanager
def join_training_group(*, settings: ProcessSettings) -> Iterator[Group]:
    """Join the other processes of this step.

    Raises:
        TrainingError: The others did not come in time, or the port is taken.
    """
    import torch

    from learn.model import Rendezvous, join_group

    together = current.parallel
    meeting = Rendezvous(
        address=together.main_ip,
        port=_choose_port(together.control_task_id),
        rank=together.node_index,
        size=together.num_nodes,
        answer_seconds=settings.answer_seconds,
    )
    if not has_own_machine():
        torch.set_num_threads(max(1, torch.get_num_threads() // together.num_nodes))
    with join_group(meeting) as group:
        yield group


def _choose_port(control_task: str | None) -> int:
    """Return Metaflow's port on a cluster; on one machine another for each attempt."""
    given = os.environ.get("MF_MASTER_PORT", "")
    if given.isdigit():
        return int(given)
    attempt = f"{current.run_id}/{current.step_name}/{control_task}/{current.retry_count}"
    return _FIRST_PORT + int.from_bytes(hashlib.sha256(attempt.encode()).digest()[:4]) % _PORTS


PACKAGED = ["../learn", "../flows"]
"""What travels in the code package, seen from the folder of the flows."""

SUFFIXES = [".py", ".pyi", ".jinja", ".yaml", ".toml", ".typed", ".html", ".css", ".js", ".svg"]
"""Files of it that are read at run time: code, public names, templates, presets, the playground, the bento's recipe."""


class Sized(FlowMutator):
    """Give each step the resources of its kind of work, and retries, a time limit and secrets where they are requested.

    One place for all steps, because as decorators on each they would be most of the flow file.
    """

    def init(self, **works: Work) -> None:
        """Take the kind of work of each step by its name; steps not named are `light`."""
        self._works = works

    def pre_mutate(self, mutable_flow: MutableFlow) -> None:
        """Decorate the steps."""
        settings = _read_machines(mutable_flow)
        for name, step in mutable_flow.steps:
            _decorate(step, self._works.get(name, "light"), settings)


class StartedByEvent(FlowMutator):
    """Let a deployed flow wait for the event that the file of machines names; without one nothing is waited for."""

    def init(self, *parameters: str) -> None:
        """Take the parameters of the flow that come with the event."""
        self._parameters = parameters

    def pre_mutate(self, mutable_flow: MutableFlow) -> None:
        """Decorate the flow."""
        name = _read_machines(mutable_flow).retrain_event
        if name:
            event = {"name": name, "parameters": {each: each for each in self._parameters}}
            mutable_flow.add_decorator("trigger", deco_kwargs={"event": event})


def _read_machines(mutable_flow: MutableFlow) -> MachineSettings:
    given: dict[str, Any] = dict(mutable_flow.configs)["machines"].to_dict()
    return MachineSettings.from_mapping(given, where="file of machines")


def _decorate(step: MutableStep, work: Work, settings: MachineSettings) -> None:
    machine = settings.find_machine(work)
    asked = {"cpu": machine.cpu, "memory": machine.memory_mb, "disk": machine.disk_mb, "gpu": machine.gpu or None}
    step.add_decorator(resources, deco_kwargs=asked)
    if settings.retries:
        wait = settings.minutes_between_retries
        step.add_decorator(retry, deco_kwargs={"times": settings.retries, "minutes_between_retries": wait})
    if settings.timeout_minutes:
        step.add_decorator(timeout, deco_kwargs={"minutes": settings.timeout_minutes})
    if settings.secrets:
        step.add_decorator(secrets, deco_kwargs={"sources": list(settings.secrets)})
