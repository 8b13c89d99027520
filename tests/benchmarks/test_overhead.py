"""The engine's share of a run is measured on the run's own graph."""

from __future__ import annotations

from typing import Any

from benchmarks.scale.empty_flow import EmptyFlow
from flows.train_flow import TrainFlow


def graph_of(flow: Any) -> dict[str, tuple[str, tuple[str, ...], list[str]]]:
    """Each step's kind, what follows it, and the decorators that cost time."""
    return {
        node.name: (
            node.type,
            tuple(node.out_funcs),
            [decorator.name for decorator in node.decorators if decorator.name != "resources"],
        )
        for node in flow._graph
    }


def test_the_flow_without_work_has_the_steps_branches_and_cards_of_the_training_flow() -> None:
    assert graph_of(EmptyFlow) == graph_of(TrainFlow)
