"""What the benchmark found, as it is written and read back: a run a shop, a morning a day and seed."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Training(_Record):
    """One training, with the processor time it took: other work on the machine does not count.

    Attributes:
        epochs: Number of each epoch; a warm training begins with 0.
        ndcg: NDCG@10 on validation after each.
        cpu_seconds: Processor time from the first step to the end of each epoch, measuring included.
        chosen: Epoch that was kept.
        recall10: Recall@10 of the chosen epoch on test.
        ndcg10: NDCG@10 of the chosen epoch on test.
    """

    epochs: tuple[int, ...]
    ndcg: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    chosen: int
    recall10: float
    ndcg10: float

    @property
    def best(self) -> float:
        """NDCG@10 on validation of the chosen epoch."""
        return self.ndcg[self.epochs.index(self.chosen)]

    def find_seconds_to(self, ndcg: float) -> float | None:
        """Return the processor time until an epoch was at least that good; None if none was."""
        return next((at for at, reached in zip(self.cpu_seconds, self.ndcg, strict=True) if reached >= ndcg), None)


class Morning(_Record):
    """What one day gave under one seed.

    Attributes:
        day: Counted from 1; day 0 is the first training, which both sides share.
        seed: Of both trainings.
        fresh: From random weights.
        warm: From the warm weights of the day before.
    """

    day: int
    seed: int
    fresh: Training
    warm: Training

    @property
    def seconds_to_fresh(self) -> float | None:
        """Processor time of the warm training until it was as good on validation as the fresh one at its best."""
        return self.warm.find_seconds_to(self.fresh.best)


class Setup(_Record):
    """What was requested.

    Attributes:
        shop: Data set.
        until: Date from which on it is not looked at.
        days: Retrainings after the first training.
        every: Days between two of them.
        window_days: How far back interactions are kept; 0: all.
        seeds: A chain of days each.
        warm_patience: Of the warm trainings; the fresh ones have that of the settings. What begins near its best has
            come to it when an epoch is no better.
        settings: Text of the settings file.
    """

    shop: str
    until: datetime | None = None
    days: int
    every: float = 1
    window_days: float
    seeds: tuple[int, ...] = (0, 1)
    warm_patience: int = 1
    settings: str


class Run(_Record):
    """What was requested, and the result of it.

    Attributes:
        setup: The question.
        mornings: The answer.
        machine: It was measured on.
        versions: Of the libraries.
        commit: Of the code.
    """

    setup: Setup
    mornings: tuple[Morning, ...]
    machine: dict[str, str | int | float]
    versions: dict[str, str]
    commit: str


class Page(BaseModel):
    """What the page is made of.

    Attributes:
        figures: By name, for machines.
        runs: By shop.
    """

    model_config = ConfigDict(extra="forbid")

    figures: dict[str, float] = {}
    runs: dict[str, Run] = {}
