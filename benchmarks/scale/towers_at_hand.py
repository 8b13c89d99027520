"""The towers of a size: the trained ones, or where the epoch was cut short such as they are before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from learn.config import Settings
from learn.data import Histories
from learn.evaluation import train_selected
from learn.model import EpochRecord, RunInputs, Towers, TrainingSummary, compute_id_rows, save_towers


def find_towers(folder: Path, *, settings: Settings) -> TrainingSummary:
    """Return the training of a size, whose weights what comes after reads; its cost depends on no weight."""
    histories, content = folder / "histories", folder / "content" / "vectors.npy"
    if list(folder.glob("training/*/training.json")):
        return train_selected(RunInputs(settings, folder / "valid", histories, content))
    return _write_untrained(Histories.open(histories), content, folder / "untrained", settings=settings)


def _write_untrained(histories: Histories, content: Path, folder: Path, *, settings: Settings) -> TrainingSummary:
    vectors = np.load(content, mmap_mode="r")
    torch.manual_seed(0)
    count = int((compute_id_rows(histories) >= 0).sum())
    towers = Towers(settings.towers, content_dimension=vectors.shape[1], id_count=count)
    towers.whitening.fit(torch.from_numpy(np.array(vectors)))
    sha256 = save_towers(towers, folder)
    return TrainingSummary(
        folder=folder,
        weights_sha256=sha256,
        parameters=sum(parameter.numel() for parameter in towers.parameters()),
        curve=(EpochRecord(0, None, 0.0, 0.0),),
        chosen_epoch=0,
        validation_ndcg=0.0,
        reused=False,
        parent=None,
        temperature=settings.training.temperature,
    )
