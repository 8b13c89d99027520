"""One checkpoint after each epoch, so that a killed run loses one epoch at most."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from learn.errors import storage_faults

CHECKPOINT = "checkpoint.pt"


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


@dataclass
class TrainingState:
    """Everything training goes on from.

    Attributes:
        curve: Epochs done.
        best: Weights after the best epoch.
        model: Weights after the last epoch.
        optimizer: The optimizer's state after the last epoch.
    """

    curve: list[EpochRecord]
    best: dict[str, torch.Tensor]
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]


def best_epoch(curve: list[EpochRecord]) -> EpochRecord:
    """Return the epoch with the highest validation NDCG@10, the first of equals."""
    return max(curve, key=lambda record: (record.validation_ndcg, -record.epoch))


def save_state(state: TrainingState, folder: Path) -> None:
    """Write the state, whole or not at all.

    Raises:
        StorageError: The disk is full or closed.
    """
    payload = {
        "curve": json.dumps([asdict(record) for record in state.curve]),
        "best": state.best,
        "model": state.model,
        "optimizer": state.optimizer,
    }
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f"{CHECKPOINT}.partial"
        try:
            with scratch.open("wb") as file:
                torch.save(payload, file)
            scratch.replace(folder / CHECKPOINT)
        finally:
            scratch.unlink(missing_ok=True)


def load_state(folder: Path, *, device: torch.device) -> TrainingState | None:
    """Read the state of an interrupted training; None where there is none that can be read."""
    try:
        payload = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError):
        return None
    curve = [EpochRecord(**record) for record in json.loads(payload["curve"])]
    return TrainingState(curve, payload["best"], payload["model"], payload["optimizer"])
