"""Trained towers on disk: safetensors for the weights, JSON for their shape, nothing that runs code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from learn.alignment.towers import Towers
from learn.config import TowerSettings
from learn.data.staging import staged
from learn.errors import BundleError

WEIGHTS, SHAPE = "towers.safetensors", "towers.json"


def save_towers(towers: Towers, folder: Path) -> str:
    """Write the weights and the shape of the towers; the same towers give the same bytes.

    Returns:
        sha256 of the weights file.

    Raises:
        StorageError: The disk is full or closed.
    """
    shape = {
        "settings": towers.settings.model_dump(mode="json"),
        "content_dimension": towers.content_dimension,
        "id_count": towers.id_count,
    }
    with staged(folder, names=(WEIGHTS, SHAPE)) as stage:
        save_file({name: tensor.contiguous() for name, tensor in towers.state_dict().items()}, stage / WEIGHTS)
        (stage / SHAPE).write_text(json.dumps(shape, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return weights_hash(folder)


def weights_hash(folder: Path) -> str:
    """Return the sha256 of the weights file in ``folder``."""
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_towers(folder: Path) -> Towers:
    """Read towers back, ready to score.

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
