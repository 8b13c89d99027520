"""What a bundle costs to serve: its size, and how long an answer takes; and the gate's budgets for both."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from learn.config import GateSettings
from learn.evaluation.gate import Rule
from learn.serving.bundle import Bundle
from learn.serving.recommender import Recommender

_TRIES = 3
_PERCENTILE = 95


@dataclass(frozen=True)
class Footprint:
    """What a bundle costs to serve.

    Attributes:
        size_bytes: Of all its files.
        latency_milliseconds: Time that 95 of 100 answers take at most, in one process and without the network.
    """

    size_bytes: int
    latency_milliseconds: float


def measure_footprint(bundle: Bundle, *, histories: Sequence[Sequence[str]], k: int) -> Footprint:
    """Measure a bundle as the service would answer from it.

    Args:
        bundle: The bundle.
        histories: Item ids of some users, oldest first; each is asked for a few times, and the fastest counts, since
            a busy machine says nothing of the model.
        k: Items wanted of each.
    """
    recommender = Recommender(bundle)
    recommender.warm_up()
    fastest = [min(_seconds(recommender, history, k=k) for _ in range(_TRIES)) for history in histories]
    return Footprint(
        size_bytes=sum(file.stat().st_size for file in bundle.folder.iterdir() if file.is_file()),
        latency_milliseconds=round(1_000 * float(np.percentile(fastest, _PERCENTILE)), 3) if fastest else 0.0,
    )


def footprint_rules(found: Footprint, *, settings: GateSettings) -> Iterator[Rule]:
    """Hold a bundle against the budgets."""
    yield _budget(
        "size",
        f"The bundle takes {found.size_bytes / 2**20:,.1f} MiB, {{}} {settings.max_bundle_bytes / 2**20:,.1f} MiB.",
        passed=found.size_bytes <= settings.max_bundle_bytes,
    )
    yield _budget(
        "latency",
        f"{_PERCENTILE} of 100 answers take at most {found.latency_milliseconds:.1f} ms, {{}} "
        f"{settings.max_latency_milliseconds:g} ms.",
        passed=found.latency_milliseconds <= settings.max_latency_milliseconds,
    )


def _budget(name: str, said: str, *, passed: bool) -> Rule:
    return Rule(name, passed, said.format("within the budget of" if passed else "above the budget of"))


def _seconds(recommender: Recommender, history: Sequence[str], *, k: int) -> float:
    begun = time.perf_counter()
    recommender.recommend(history, k=k)
    return time.perf_counter() - begun
