"""The result of a training: small records that can be read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EpochRecord:
    """The result of one epoch.

    Attributes:
        epoch: Counted from 1; 0 is the weights that a warm start began with.
        loss: Mean training loss; None for epoch 0, which trains nothing.
        validation_ndcg: NDCG@10 on validation, history masked.
        seconds: Wall-clock time of training and validation; it may differ between equal runs.
    """

    epoch: int
    loss: float | None
    validation_ndcg: float
    seconds: float


@dataclass(frozen=True)
class TrainingSummary:
    """The result of a training, small enough to pass between steps.

    Attributes:
        folder: Folder of the weights.
        weights_sha256: Hash of the weights file.
        parameters: Number of trained parameters.
        curve: The results of all epochs.
        chosen_epoch: The epoch whose weights were kept.
        validation_ndcg: NDCG@10 on validation of that epoch, history masked.
        reused: Whether the towers come from an earlier, identical training.
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
    """Return the epoch with the highest validation NDCG@10, the first if several have it."""
    return max(curve, key=lambda record: (record.validation_ndcg, -record.epoch))


def count_setbacks(curve: list[EpochRecord]) -> int:
    """Return how many epochs were no better than the best before them."""
    return sum(find_best_epoch(curve[: place + 1]) != curve[place] for place in range(len(curve)))
