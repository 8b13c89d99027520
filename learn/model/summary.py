"""The result of a training: small records that can be read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave.

    Attributes:
        epoch: Counted from 1; 0 stands for the weights that a warm start began with.
        loss: Mean training loss; None for epoch 0, which trains nothing.
        validation_ndcg: NDCG@10 on validation, history masked.
        seconds: Wall-clock time of training and validation; not part of anything that must repeat.
    """

    epoch: int
    loss: float | None
    validation_ndcg: float
    seconds: float


@dataclass(frozen=True)
class TrainingSummary:
    """What training gave, small enough to travel between steps.

    Attributes:
        folder: Holds the weights.
        weights_sha256: Hash of the weights file.
        parameters: Trained numbers.
        curve: Every epoch.
        chosen_epoch: The epoch whose weights were kept.
        validation_ndcg: NDCG@10 on validation of that epoch, history masked.
        reused: The towers of an earlier, identical training were taken.
        parent: Version of the bundle that training started from; None if it started from random weights.
        temperature: Softmax temperature of the chosen epoch; None if it is not learned.
    """

    folder: Path
    weights_sha256: str
    parameters: int
    curve: tuple[EpochRecord, ...]
    chosen_epoch: int
    validation_ndcg: float
    reused: bool
    parent: str | None = None
    temperature: float | None = None

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return self.curve[-1].epoch


def find_best_epoch(curve: list[EpochRecord]) -> EpochRecord:
    """Return the epoch with the highest validation NDCG@10, the first of equals."""
    return max(curve, key=lambda record: (record.validation_ndcg, -record.epoch))


def count_setbacks(curve: list[EpochRecord]) -> int:
    """Return how many epochs were no better than the best before them."""
    return sum(find_best_epoch(curve[: place + 1]) != curve[place] for place in range(len(curve)))
