"""Weights on disk: a checkpoint after each epoch, and trained towers as safetensors with their shape in JSON.

A killed run loses one epoch at most. Nothing here runs code when it is read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from learn.config import TowerSettings
from learn.errors import BundleError
from learn.model.summary import EpochRecord
from learn.model.towers import Towers
from learn.storage import atomic_files

CHECKPOINT = "checkpoint.pt"


@dataclass
class TrainingState:
    """Everything that is needed to continue a training.

    Attributes:
        curve: Finished epochs.
        best: Weights after the best epoch.
        model: Weights after the last epoch.
        optimizer: The optimizer's state after the last epoch.
    """

    curve: list[EpochRecord]
    best: dict[str, torch.Tensor]
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]


def save_state(state: TrainingState, folder: Path) -> None:
    """Write the state atomically.

    Raises:
        StorageError: The disk is full or not writable.
    """
    payload = {
        "curve": json.dumps([asdict(record) for record in state.curve]),
        "best": state.best,
        "model": state.model,
        "optimizer": state.optimizer,
    }
    # Given a path, torch would keep the file open if the disk is full.
    with atomic_files(folder, names=(CHECKPOINT,)) as stage, (stage / CHECKPOINT).open("wb") as file:
        torch.save(payload, file)


def load_state(folder: Path, *, device: torch.device) -> TrainingState | None:
    """Read the state of an interrupted training; None if there is none that can be read."""
    try:
        payload = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError):
        return None
    curve = [EpochRecord(**record) for record in json.loads(payload["curve"])]
    return TrainingState(curve, payload["best"], payload["model"], payload["optimizer"])


WEIGHTS, SHAPE = "towers.safetensors", "towers.json"


def save_towers(towers: Towers, folder: Path) -> str:
    """Write the weights and the shape of the towers; the same towers give the same bytes.

    Returns:
        sha256 of the weights file.

    Raises:
        StorageError: The disk is full or not writable.
    """
    shape = {
        "settings": towers.settings.model_dump(mode="json"),
        "content_dimension": towers.content_dimension,
        "id_count": towers.id_count,
    }
    with atomic_files(folder, names=(WEIGHTS, SHAPE)) as stage:
        save_file({name: tensor.contiguous() for name, tensor in towers.state_dict().items()}, stage / WEIGHTS)
        (stage / SHAPE).write_text(json.dumps(shape, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return hash_weights(folder)


def hash_weights(folder: Path) -> str:
    """Return the sha256 of the weights file in ``folder``."""
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_towers(folder: Path) -> Towers:
    """Read towers that are ready to score.

    Raises:
        BundleError: A file is missing, damaged or of another shape.
    """
    try:
        shape = json.loads((folder / SHAPE).read_text(encoding="utf-8"))
        towers = Towers(
            TowerSettings.model_validate(shape["settings"]),
            content_dimension=shape["content_dimension"],
            id_count=shape["id_count"],
        )
        towers.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as fault:
        raise BundleError(
            f"The towers cannot be read: {fault}.", where=folder, fix="use another bundle, or train again"
        ) from fault
    return towers.eval()
