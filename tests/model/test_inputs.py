from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from learn.config.settings import Settings
from learn.errors import TrainingError
from learn.evaluation.evaluator import evaluate_run
from learn.model.checkpoint import load_towers, save_towers
from learn.model.inputs import RunInputs, encode_catalogue
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.towers import Towers
from tests.synthetic_shop import content_vectors, histories
from tests.synthetic_training import synthetic_training

SETTINGS = Settings.from_mapping({"evaluation": {"baselines": ["popularity"], "bootstrap_samples": 100}})


@pytest.fixture
def inputs(tmp_path: Path) -> RunInputs:
    shop, vectors = histories(tmp_path / "shop"), content_vectors()
    np.save(tmp_path / "vectors.npy", vectors)
    torch.manual_seed(0)
    count = int((compute_id_rows(shop) >= 0).sum())
    towers = Towers(SETTINGS.towers, content_dimension=vectors.shape[1], id_count=count)
    training = synthetic_training(tmp_path / "towers", weights_sha256=save_towers(towers, tmp_path / "towers"))
    return RunInputs(SETTINGS, shop.folder.parent / "tables", shop.folder, tmp_path / "vectors.npy", training)


def test_the_catalogue_passes_the_towers_once(
    inputs: RunInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items: list[int] = []
    real = Towers.encode_items

    def counted(towers: Towers, vectors: Tensor) -> Tensor:
        items.append(len(vectors))
        return real(towers, vectors)

    monkeypatch.setattr(Towers, "encode_items", counted)
    encoded = encode_catalogue(inputs, destination=tmp_path / "catalogue")
    assert sum(items) == inputs.open_histories().item_count
    for _ in range(2):
        evaluate_run(encoded, report=tmp_path / "metrics.json")
    assert sum(items) == inputs.open_histories().item_count


def test_a_catalogue_that_is_read_back_is_the_one_that_was_encoded(inputs: RunInputs, tmp_path: Path) -> None:
    shop = inputs.open_histories()
    training = inputs.require_training()
    fresh = TowerScorer(load_towers(training.folder), content=inputs.open_content(), ids=compute_id_rows(shop))
    back = encode_catalogue(inputs, destination=tmp_path / "catalogue").open_scorer()
    assert torch.equal(back.item_inputs, fresh.item_inputs)
    assert torch.equal(back.item_vectors, fresh.item_vectors)
    examples = shop.open_examples("test")
    rows = slice(0, len(examples))
    assert torch.equal(back.score(shop, examples, rows), fresh.score(shop, examples, rows))


def test_what_is_asked_too_early_says_so(inputs: RunInputs, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not trained yet"):
        encode_catalogue(replace(inputs, training=None), destination=tmp_path / "catalogue")
    with pytest.raises(TrainingError, match="not encoded yet"):
        inputs.open_scorer()
