"""The machine that each kind of step needs on a cluster. A run on one machine reads none of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from learn.config.base import Section, SettingsFile

Work = Literal["light", "tables", "encode", "towers"]
"""Kinds of steps: `light` moves files and names, `tables` works in memory, `encode` and `towers` on a GPU."""


class Machine(Section):
    """The machine that one kind of step needs."""

    cpu: int = Field(default=1, ge=1)
    """Cores."""

    memory_mb: int = Field(default=4_096, ge=512)
    """Memory, in MB; a pod that takes more is killed."""

    disk_mb: int = Field(default=10_240, ge=1_024)
    """Scratch disk of a pod, in MB: Metaflow's own default. Only Kubernetes uses it."""

    gpu: int = Field(default=0, ge=0)
    """GPUs; 0: the step runs on its cores, and the results are those of the CPU."""


class MachineSettings(SettingsFile):
    """The machines that the steps of a flow need on a cluster, by kind of step (`--config machines FILE`)."""

    light: Machine = Machine()
    """Steps that only find files, split work and name results: the smallest machine that Metaflow requests."""

    tables: Machine = Machine(cpu=2, memory_mb=16_384, disk_mb=51_200)
    """Validation, histories, evaluation, drift, packaging: memory grows with the rows and with items × vector width;
    this much is for some millions of interactions."""

    encode: Machine = Machine(cpu=4, memory_mb=16_384, disk_mb=20_480, gpu=1)
    """One shard of texts through the frozen encoder, whose weights must fit twice into memory while they are read."""

    towers: Machine = Machine(cpu=4, memory_mb=32_768, disk_mb=20_480, gpu=1)
    """Training: content vectors and histories are read once and stay in memory."""

    retries: int = Field(default=0, ge=0)
    """Further attempts at a failed step; none by default, because on one machine nothing is preempted, and a
    user's mistake would only be repeated."""

    minutes_between_retries: int = Field(default=2, ge=0)
    """Wait before each further attempt, long enough for a cluster to find another machine. Metaflow only supports a
    constant wait."""

    timeout_minutes: int = Field(default=0, ge=0)
    """Longest time of one attempt, after which it counts as lost; 0: Metaflow's default of five days."""

    secrets: tuple[str, ...] = ()
    """Sources for `@secrets` of Metaflow on every step, e.g. the names of secrets in a cloud's manager; none: the
    machine's own role, which needs no secret in any file."""

    retrain_event: str = ""
    """Event of Argo Events by which a deployed monitor starts a training of a deployed train flow, which then runs on
    its own machines; none: the monitor trains in its own pod, for which a cluster needs no Argo Events."""

    def find_machine(self, work: Work) -> Machine:
        """Return the machine that a kind of step needs."""
        machine: Machine = getattr(self, work)
        return machine
