"""Training with the epoch chosen on validation.

from learn.evaluation.selection import train_selected
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from learn.alignment.group import ALONE, Group
from learn.alignment.summary import TrainingSummary
from learn.alignment.training import train_towers, training_key
from learn.alignment.warm_start import WarmStart
from learn.config import EvaluationSettings, Settings
from learn.data.histories import Histories
from learn.evaluation.beyond_accuracy import sample_examples
from learn.evaluation.channel_weights import tune_channels
from learn.evaluation.metrics import metric_values
from learn.evaluation.ranking import Scorer, rank_targets


def validation_ndcg(
    histories: Histories, *, settings: EvaluationSettings, masked: bool = True
) -> Callable[[Scorer], float]:
    """Return a function that gives a scorer's NDCG@10 on validation.

    Users without a history are left out: no model of histories can be chosen by them. Of more than
    ``selection_users`` the same ones are asked each time.

    Args:
        histories: The split data.
        settings: How many users are scored at a time.
        masked: Whether the history is taken out of the ranking.
    """
    asked = histories.examples("validation").with_history()
    examples = sample_examples(asked, count=settings.selection_users, seed=0)

    def measure(scorer: Scorer) -> float:
        ranks = rank_targets(scorer, histories, examples, block_users=settings.block_users)
        return float(metric_values(ranks.masked if masked else ranks.unmasked, "ndcg@10").mean())

    return measure


def train_selected(
    histories_folder: Path,
    content: Path,
    *,
    settings: Settings,
    start: WarmStart | None = None,
    group: Group = ALONE,
) -> TrainingSummary:
    """Train the towers of a run, or take those of an earlier run over the same input.

    Args:
        histories_folder: What the split wrote.
        content: ``vectors.npy`` in item order.
        settings: All settings; the weights go to ``training/<key>`` in the workspace.
        start: Earlier weights to begin with.
        group: The processes that share every batch; each of them calls this.

    Raises:
        BundleError: The earlier weights are of towers of another shape.
        TrainingError: There is nothing to train on, the loss stopped being a number, or a process of the group is
            lost.
        StorageError: The disk is full or closed.
    """
    histories = Histories.open(histories_folder)
    # Judged as it is trained: where repeats are to be learned, they must count.
    masked = settings.training.mask_seen
    key = training_key(histories, content, settings=settings, seed=settings.seed, start=start, processes=group.size)
    return train_towers(
        histories,
        np.load(content, mmap_mode="r"),
        destination=settings.workspace.absolute() / "training" / key,
        settings=settings,
        seed=settings.seed,
        measure=validation_ndcg(histories, settings=settings.evaluation, masked=masked),
        tune=tune_channels(histories, settings=settings.evaluation, masked=masked, seed=settings.seed),
        start=start,
        group=group,
    )
