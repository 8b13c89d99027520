"""The training flow's graph with nothing in its steps: what it takes is the engine's, not ours.

python benchmarks/scale/empty_flow.py --no-pylint run
"""

# ruff: noqa: D102, E402  # steps without work need no words; the environment must be settled before it is read
from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from learn.environment import configure_process

configure_process()

from metaflow import Config, FlowSpec, Parameter, card, package_sources, parallel, project, step

from flows.cluster import PACKAGED, SUFFIXES, Sized
from flows.decorators import parse_machines, parse_settings, show_errors_plainly, transfers_files
from learn.config import Settings


@project(name="learn")
@package_sources([f"../{path}" for path in PACKAGED], suffixes=SUFFIXES)
@Sized(towers="towers")
class EmptyFlow(FlowSpec):
    """Steps, branches, cards, settings and decorators of the training flow, and no work."""

    settings_file = Config("settings", default_value="", parser=parse_settings)
    machines = Config("machines", default_value="", parser=parse_machines)
    data = Parameter("data", default="data")

    @step
    @show_errors_plainly
    @transfers_files()
    def start(self) -> None:
        self.settings = Settings.from_mapping(self.settings_file.to_dict())
        self.next(self.validate)

    @card(type="blank")
    @step
    @show_errors_plainly
    @transfers_files()
    def validate(self) -> None:
        self.next(self.histories)

    @step
    @show_errors_plainly
    @transfers_files()
    def histories(self) -> None:
        self.next(self.plan)

    @step
    @show_errors_plainly
    @transfers_files()
    def plan(self) -> None:
        self.shards = [0]
        self.next(self.encode, foreach="shards")

    @step
    @show_errors_plainly
    @transfers_files()
    def encode(self) -> None:
        self.next(self.gather)

    @step
    @show_errors_plainly
    @transfers_files()
    def gather(self, inputs: list[EmptyFlow]) -> None:
        self.merge_artifacts(inputs)
        self.next(self.share_training)

    @step
    @show_errors_plainly
    @transfers_files()
    def share_training(self) -> None:
        self.trainers = "many" if self.settings.processes.training > 1 else "one"
        self.next({"one": self.towers, "many": self.gather_trainers}, condition="trainers")

    @step
    @show_errors_plainly
    @transfers_files()
    def gather_trainers(self) -> None:
        self.next(self.train_together, num_parallel=self.settings.processes.training)

    @parallel
    @step
    @show_errors_plainly
    @transfers_files()
    def train_together(self) -> None:
        self.next(self.dismiss_trainers)

    @step
    @show_errors_plainly
    @transfers_files()
    def dismiss_trainers(self, inputs: list[EmptyFlow]) -> None:
        self.merge_artifacts(inputs)
        self.next(self.towers)

    @card(type="blank")
    @step
    @show_errors_plainly
    @transfers_files()
    def towers(self) -> None:
        self.next(self.evaluate, self.compare_windows)

    @card(type="blank")
    @step
    @show_errors_plainly
    @transfers_files()
    def evaluate(self) -> None:
        self.next(self.package)

    @card(type="blank")
    @step
    @show_errors_plainly
    @transfers_files()
    def compare_windows(self) -> None:
        self.next(self.package)

    @step
    @show_errors_plainly
    @transfers_files()
    def package(self, inputs: list[EmptyFlow]) -> None:
        self.merge_artifacts(inputs)
        self.next(self.decide)

    @step
    @show_errors_plainly
    @transfers_files()
    def decide(self) -> None:
        self.next(self.end)

    @step
    @show_errors_plainly
    @transfers_files()
    def end(self) -> None:
        pass


if __name__ == "__main__":
    EmptyFlow()
