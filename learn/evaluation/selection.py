"""Training with the epoch chosen on validation.

from learn.evaluation.selection import train_selected
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from learn.alignment.summary import TrainingSummary
from learn.alignment.training import train_towers, training_key
from learn.config import EvaluationSettings, Settings
from learn.data.histories import Histories
from learn.evaluation.metrics import metric_values
from learn.evaluation.ranking import Scorer, rank_targets


def validation_ndcg(histories: Histories, *, settings: EvaluationSettings) -> Callable[[Scorer], float]:
    """Return a function that gives a scorer's NDCG@10 on validation, history masked.

    Users without a history are left out: no model of histories can be chosen by them.
    """
    examples = histories.examples("validation").with_history()

    def measure(scorer: Scorer) -> float:
        ranks = rank_targets(scorer, histories, examples, block_users=settings.block_users)
        return float(metric_values(ranks.masked, "ndcg@10").mean())

    return measure


def train_selected(histories_folder: Path, content: Path, *, settings: Settings) -> TrainingSummary:
    """Train the towers of a run, or take those of an earlier run over the same input.

    Args:
        histories_folder: What the split wrote.
        content: ``vectors.npy`` in item order.
        settings: All settings; the weights go to ``training/<key>`` in the workspace.

    Raises:
        TrainingError: There is nothing to train on, or the loss stopped being a number.
        StorageError: The disk is full or closed.
    """
    histories = Histories.open(histories_folder)
    key = training_key(histories, content, settings=settings, seed=settings.seed)
    return train_towers(
        histories,
        np.load(content, mmap_mode="r"),
        destination=settings.workspace.absolute() / "training" / key,
        settings=settings,
        seed=settings.seed,
        measure=validation_ndcg(histories, settings=settings.evaluation),
    )
