"""What a flow needs to run on other machines than the one that starts it; without a cluster none of it acts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaflow import FlowMutator, resources, retry, secrets, timeout

from learn.config.machines import MachineSettings, Work

if TYPE_CHECKING:
    from metaflow import MutableFlow, MutableStep

PACKAGED = ["../learn", "../flows", "../bentofile.yaml"]
"""What travels in the code package, seen from the folder of the flows."""

SUFFIXES = [".py", ".jinja", ".yaml", ".typed", ".html", ".css", ".js", ".svg"]
"""Files of it that are read at run time: code, templates, the playground's page, the recipe of the bento."""


class Sized(FlowMutator):
    """Give each step the resources of its kind of work, and retries, a time limit and secrets where they are asked for.

    One place for all steps, because as decorators on each they would be most of the flow file.
    """

    def init(self, **works: Work) -> None:
        """Take the kind of work of each step by its name; steps not named are `light`."""
        self._works = works

    def pre_mutate(self, mutable_flow: MutableFlow) -> None:
        """Decorate the steps."""
        settings = _machines(mutable_flow)
        for name, step in mutable_flow.steps:
            _decorate(step, self._works.get(name, "light"), settings)


class StartedByEvent(FlowMutator):
    """Let a deployed flow wait for the event that the file of machines names; without one nothing is waited for."""

    def init(self, *parameters: str) -> None:
        """Take the parameters of the flow that come with the event."""
        self._parameters = parameters

    def pre_mutate(self, mutable_flow: MutableFlow) -> None:
        """Decorate the flow."""
        name = _machines(mutable_flow).retrain_event
        if name:
            event = {"name": name, "parameters": {each: each for each in self._parameters}}
            mutable_flow.add_decorator("trigger", deco_kwargs={"event": event})


def _machines(mutable_flow: MutableFlow) -> MachineSettings:
    given: dict[str, Any] = dict(mutable_flow.configs)["machines"].to_dict()
    return MachineSettings.from_mapping(given, where="file of machines")


def _decorate(step: MutableStep, work: Work, settings: MachineSettings) -> None:
    machine = settings.of(work)
    asked = {"cpu": machine.cpu, "memory": machine.memory_mb, "disk": machine.disk_mb, "gpu": machine.gpu or None}
    step.add_decorator(resources, deco_kwargs=asked)
    if settings.retries:
        wait = settings.minutes_between_retries
        step.add_decorator(retry, deco_kwargs={"times": settings.retries, "minutes_between_retries": wait})
    if settings.timeout_minutes:
        step.add_decorator(timeout, deco_kwargs={"minutes": settings.timeout_minutes})
    if settings.secrets:
        step.add_decorator(secrets, deco_kwargs={"sources": list(settings.secrets)})
