"""The record of a training that never ran, for weights that a test has written by itself."""

from __future__ import annotations

from pathlib import Path

from learn.model.summary import EpochRecord, TrainingSummary


def synthetic_training(folder: Path, *, weights_sha256: str) -> TrainingSummary:
    return TrainingSummary(
        folder=folder,
        weights_sha256=weights_sha256,
        parameters=1,
        curve=(EpochRecord(0, None, 0.0, 0.0),),
        chosen_epoch=0,
        validation_ndcg=0.0,
        reused=False,
        parent=None,
        temperature=0.07,
    )
