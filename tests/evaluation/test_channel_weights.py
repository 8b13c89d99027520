"""How loud the channels speak: chosen on validation, also where training has learned something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from learn.config.evaluation import EvaluationSettings
from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.evaluation.selection import make_validation_measure, train_selected, tune_channels
from learn.model.checkpoint import load_towers
from learn.model.inputs import RunInputs
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.summary import TrainingSummary
from learn.model.towers import Towers
from tests.evaluation.synthetic_histories import split_histories
from tests.synthetic_shop import content_vectors

CONTENT = content_vectors()


def baskets_then_the_same_again(folder: Path) -> Histories:
    """A shop whose customers never take an item twice in a basket, and begin the next basket with an earlier item."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    users = [draw.choice(len(CONTENT), 9, replace=False).tolist() for _ in range(120)]
    return split_histories(folder, [[*user, user[4], user[6]] for user in users], item_count=len(CONTENT))


def trained(shop: Histories, folder: Path, *, mask_seen: bool) -> tuple[TrainingSummary, Towers]:
    content = folder / "vectors.npy"
    np.save(content, CONTENT)
    settings = Settings.from_mapping(
        {
            "workspace": folder,
            "towers": {"dimension": 16, "max_history": 10, "repeat_width": 64, "recent_items": 0},
            "training": {"epochs": 4, "patience": 4, "learning_rate": 1e-2, "mask_seen": mask_seen},
        }
    )
    summary = train_selected(RunInputs(settings, shop.folder, shop.folder, content))
    return summary, load_towers(summary.folder)


def test_validation_has_the_last_word_on_a_weight_that_was_learned(tmp_path: Path) -> None:
    shop = baskets_then_the_same_again(tmp_path / "shop")
    summary, towers = trained(shop, tmp_path, mask_seen=False)
    assert towers.repeats is not None
    # Training has seen no repeat, and learned to turn away from them; the day after is made of them.
    assert towers.repeats.weight.item() > 0
    measure = make_validation_measure(shop, settings=EvaluationSettings(), masked=False)
    scorer = TowerScorer(towers, content=CONTENT, ids=compute_id_rows(shop))
    assert measure(scorer) == pytest.approx(summary.validation_ndcg)
    weights = [channel.weight.item() for channel in towers.channels]
    turned = scorer.reweight([*weights[:-1], -weights[-1]])
    assert measure(turned) < summary.validation_ndcg - 0.1
    # An epoch is judged by what it would serve: each of them knows of the repeats.
    assert min(epoch.validation_ndcg for epoch in summary.curve) > measure(turned)


def test_a_ranking_without_the_history_leaves_the_learned_weight_alone(tmp_path: Path) -> None:
    shop = baskets_then_the_same_again(tmp_path / "shop")
    _, towers = trained(shop, tmp_path, mask_seen=True)
    assert towers.repeats is not None
    assert towers.repeats.weight.item() == 0
    towers.repeats.weight.data.fill_(-0.3)
    tune = tune_channels(shop, settings=EvaluationSettings(), masked=True, seed=0)
    scorer = TowerScorer(towers, content=CONTENT, ids=compute_id_rows(shop))
    assert tune(scorer)[-1] == tune(scorer, learned_alone=True)[-1] == pytest.approx(-0.3)


def test_the_learned_weight_is_chosen_with_the_other_channels_silent(tmp_path: Path) -> None:
    shop = baskets_then_the_same_again(tmp_path / "shop")
    _, towers = trained(shop, tmp_path, mask_seen=False)
    tune = tune_channels(shop, settings=EvaluationSettings(), masked=False, seed=0)
    *others, repeats = tune(TowerScorer(towers, content=CONTENT, ids=compute_id_rows(shop)), learned_alone=True)
    assert others == [0.0, 0.0]
    assert repeats > 0
