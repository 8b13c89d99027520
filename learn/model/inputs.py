"""What the steps after the split read: one record of paths and settings, passed from step to step.

The towers encode the catalogue once, in :func:`encode_catalogue`; evaluation, drift and packaging read the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from learn.config import Settings
from learn.data import Histories
from learn.errors import TrainingError
from learn.model.checkpoint import load_towers
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.summary import TrainingSummary
from learn.storage import atomic_files

_INPUTS, _VECTORS = "item_inputs.npy", "item_vectors.npy"


@dataclass(frozen=True)
class RunInputs:
    """The files and settings that models are fitted on and measured by.

    Attributes:
        settings: All settings.
        tables: Folder of the valid tables.
        histories: Folder of the histories that the split wrote.
        content: File ``vectors.npy``, (n, c) float32 content vectors in item order.
        training: The trained towers; None before training.
        catalogue: Folder of the items' tower inputs and vectors; None before :func:`encode_catalogue`.
        encoder_fingerprint: Digest of the frozen encoder of the content vectors; empty if it is not needed.
    """

    settings: Settings
    tables: Path
    histories: Path
    content: Path
    training: TrainingSummary | None = None
    catalogue: Path | None = None
    encoder_fingerprint: str = ""

    def open_histories(self) -> Histories:
        """Open the histories, memory-mapped."""
        return Histories.open(self.histories)

    def open_content(self) -> NDArray[np.float32]:
        """Open the content vectors (n, c), memory-mapped."""
        vectors: NDArray[np.float32] = np.load(self.content, mmap_mode="r")
        return vectors

    def read_items(self) -> pl.DataFrame:
        """Read the valid items in item order."""
        return pl.read_parquet(self.tables / "items.parquet")

    def require_training(self) -> TrainingSummary:
        """Return the trained towers' record.

        Raises:
            TrainingError: Nothing is trained yet.
        """
        if self.training is None:
            raise TrainingError("The towers are not trained yet.", where=self.histories, fix="train them first")
        return self.training

    def open_scorer(self) -> TowerScorer:
        """Return the trained towers with their encoded catalogue, without running a tower again.

        Raises:
            BundleError: The weights cannot be read.
            TrainingError: Nothing is trained yet, or the catalogue is not encoded.
        """
        training = self.require_training()
        if self.catalogue is None:
            raise TrainingError("The catalogue is not encoded yet.", where=training.folder, fix="encode it first")
        inputs, vectors = (
            torch.from_numpy(np.load(self.catalogue / name, mmap_mode="c")) for name in (_INPUTS, _VECTORS)
        )
        return TowerScorer.from_vectors(load_towers(training.folder), item_inputs=inputs, item_vectors=vectors)


def encode_catalogue(inputs: RunInputs, *, destination: Path) -> RunInputs:
    """Encode every item with the trained towers, once, and write the result.

    Args:
        inputs: Must have ``training``.
        destination: Folder of the two files: what the user tower reads of each item, (n, W) float32, and the vectors
            that users are compared with, (n, D) float32.

    Returns:
        ``inputs`` with ``catalogue``.

    Raises:
        BundleError: The weights cannot be read.
        TrainingError: Nothing is trained yet.
        StorageError: The disk is full or not writable.
    """
    towers = load_towers(inputs.require_training().folder)
    scorer = TowerScorer(towers, content=inputs.open_content(), ids=compute_id_rows(inputs.open_histories()))
    with atomic_files(destination, names=(_INPUTS, _VECTORS)) as stage:
        np.save(stage / _INPUTS, scorer.item_inputs.cpu().numpy())
        np.save(stage / _VECTORS, scorer.item_vectors.cpu().numpy())
    return replace(inputs, catalogue=destination)
