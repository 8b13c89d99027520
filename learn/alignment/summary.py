"""What training gave: small records that cards, reports and the run's result read without loading torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave.

    Attributes:
        epoch: Counted from 1.
        loss: Mean training loss.
        validation_ndcg: NDCG@10 on validation, history masked.
        seconds: Wall-clock time of training and validation; not part of anything that must repeat.
    """

    epoch: int
    loss: float
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
    """

    folder: Path
    weights_sha256: str
    parameters: int
    curve: tuple[EpochRecord, ...]
    chosen_epoch: int
    validation_ndcg: float
    reused: bool


def best_epoch(curve: list[EpochRecord]) -> EpochRecord:
    """Return the epoch with the highest validation NDCG@10, the first of equals."""
    return max(curve, key=lambda record: (record.validation_ndcg, -record.epoch))
