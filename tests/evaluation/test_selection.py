"""Selection: the epoch kept is the best on validation, measured as everything else is, and a finished one is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from learn.config.evaluation import EvaluationSettings
from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.evaluation.evaluator import evaluate_models
from learn.evaluation.selection import make_validation_measure, train_selected
from learn.model.checkpoint import hash_weights, load_towers
from learn.model.inputs import RunInputs
from learn.model.scorer import TowerScorer, compute_id_rows
from tests.evaluation.synthetic_histories import TableScorer
from tests.synthetic_shop import content_vectors, histories


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    return histories(tmp_path_factory.mktemp("shop"), users=80)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("content") / "vectors.npy"
    np.save(path, content_vectors())
    return path


def small(workspace: Path, **training: object) -> Settings:
    return Settings.from_mapping(
        {
            "workspace": workspace,
            "towers": {"dimension": 16, "max_history": 10},
            "training": {"epochs": 3, "learning_rate": 1e-2, **training},
        }
    )


def test_a_scorer_that_knows_gets_everything_and_one_that_errs_nothing(shop: Histories) -> None:
    examples = shop.open_examples("validation").keep_with_history()
    knowing = torch.zeros(len(examples), shop.item_count)
    knowing[torch.arange(len(examples)), torch.from_numpy(np.asarray(examples.targets)).long()] = 1.0
    measure = make_validation_measure(shop, settings=EvaluationSettings(block_users=7))
    # A target that is in the history is masked with it and cannot be found by anybody.
    held = [
        target in shop.items[start:stop]
        for start, stop, target in zip(examples.starts, examples.stops, examples.targets, strict=True)
    ]
    assert measure(TableScorer(knowing)) >= 1 - np.mean(held)
    assert measure(TableScorer(-knowing)) < 0.1


def test_the_figure_chosen_by_is_the_one_reported(shop: Histories, content: Path, tmp_path: Path) -> None:
    settings = small(tmp_path)
    summary = train_selected(RunInputs(settings, shop.folder, shop.folder, content))
    # The curve is the towers' alone; the channels are tuned next to the best of them and may stay silent.
    assert summary.validation_ndcg >= max(record.validation_ndcg for record in summary.curve)
    scorer = TowerScorer(load_towers(summary.folder), content=np.load(content), ids=compute_id_rows(shop))
    reported = evaluate_models([scorer], shop, parts=("validation",), settings=settings.evaluation, seed=0)
    assert reported.find_figure("validation", "towers", "masked", "ndcg@10") == pytest.approx(summary.validation_ndcg)


def test_a_finished_training_is_taken_and_an_equal_one_gives_equal_weights(
    shop: Histories, content: Path, tmp_path: Path
) -> None:
    first = train_selected(RunInputs(small(tmp_path), shop.folder, shop.folder, content))
    taken = train_selected(RunInputs(small(tmp_path), shop.folder, shop.folder, content))
    again = train_selected(RunInputs(small(tmp_path, reuse=False), shop.folder, shop.folder, content))
    assert [summary.reused for summary in (first, taken, again)] == [False, True, False]
    assert first.folder == taken.folder == again.folder
    assert first.weights_sha256 == taken.weights_sha256 == again.weights_sha256 == hash_weights(again.folder)


def test_another_seed_is_another_training(shop: Histories, content: Path, tmp_path: Path) -> None:
    first = train_selected(RunInputs(small(tmp_path), shop.folder, shop.folder, content))
    other = train_selected(RunInputs(small(tmp_path).override(seed=1), shop.folder, shop.folder, content))
    assert other.folder != first.folder
    assert other.weights_sha256 != first.weights_sha256
