"""One checkpoint after each epoch, so that a killed run loses one epoch at most."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from learn.alignment.summary import EpochRecord
from learn.data.staging import staged

CHECKPOINT = "checkpoint.pt"


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
    # Given a path, torch keeps the file open where the disk is full.
    with staged(folder, names=(CHECKPOINT,)) as stage, (stage / CHECKPOINT).open("wb") as file:
        torch.save(payload, file)


def load_state(folder: Path, *, device: torch.device) -> TrainingState | None:
    """Read the state of an interrupted training; None where there is none that can be read."""
    try:
        payload = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError):
        return None
    curve = [EpochRecord(**record) for record in json.loads(payload["curve"])]
    return TrainingState(curve, payload["best"], payload["model"], payload["optimizer"])
