"""The model in production in a run's table: today's catalogue, its own items, the same figures for the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learn.config.evaluation import EvaluationSettings
from learn.config.model import TowerSettings
from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.errors import BundleError
from learn.evaluation.evaluator import evaluate_run
from learn.evaluation.production import ProductionModel
from learn.model.checkpoint import save_towers
from learn.model.inputs import RunInputs, encode_catalogue
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.towers import Towers
from tests.synthetic_shop import CONTENT, content_vectors, histories
from tests.synthetic_training import synthetic_training

VECTORS = content_vectors()
SHAPE = TowerSettings(dimension=16, max_history=8, cooccurrence_rank=4)
SETTINGS = Settings(evaluation=EvaluationSettings(bootstrap_samples=100, baselines=("popularity",)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    return histories(tmp_path_factory.mktemp("shop"))


def towers(shop: Histories, *, seed: int = 0) -> Towers:
    """Untrained towers whose rows of single items are loud enough to be heard, in the channel too."""
    torch.manual_seed(seed)
    made = Towers(SHAPE, content_dimension=CONTENT, id_count=int((shop.count_popularity() > 0).sum())).eval()
    made.whitening.fit(torch.from_numpy(VECTORS))
    assert made.id_table is not None
    assert made.cooccurrence is not None
    torch.nn.init.normal_(made.id_table.weight)
    with torch.no_grad():
        made.cooccurrence.fit(shop, made.whitening(torch.from_numpy(VECTORS[compute_id_rows(shop) >= 0])))
    for channel in made.channels:
        channel.weight.fill_(0.5)
    return made


def rows(shop: Histories) -> dict[str, int]:
    return {item: int(row) for item, row in zip(shop.item_ids, compute_id_rows(shop), strict=True) if row >= 0}


def test_towers_in_production_score_their_own_catalogue_as_they_did(shop: Histories) -> None:
    own = towers(shop)
    expected = TowerScorer(own, content=VECTORS, ids=compute_id_rows(shop))
    scorer = ProductionModel("v", own, rows(shop)).build_scorer(VECTORS, item_ids=shop.item_ids)
    assert scorer.name == "production"
    assert scorer.item_vectors.equal(expected.item_vectors)


def test_a_catalogue_in_another_order_moves_the_items_alone(shop: Histories) -> None:
    order = np.random.default_rng(0).permutation(len(VECTORS))
    model = ProductionModel("v", towers(shop), rows(shop))
    before = model.build_scorer(VECTORS, item_ids=shop.item_ids)
    after = model.build_scorer(VECTORS[order], item_ids=[shop.item_ids[item] for item in order])
    assert torch.allclose(after.item_vectors, before.item_vectors[order], atol=1e-6)


def test_an_item_unknown_to_production_is_read_by_its_text_alone(shop: Histories) -> None:
    own = towers(shop)
    ids = ["new", *shop.item_ids[1:]]
    model = ProductionModel("v", own, rows(shop))
    scorer = model.build_scorer(VECTORS, item_ids=ids)
    by_text = TowerScorer(own, content=VECTORS, ids=np.full(len(VECTORS), -1))
    assert torch.allclose(scorer.item_vectors[0], by_text.item_vectors[0], atol=1e-6)
    assert not torch.allclose(scorer.item_vectors[1], by_text.item_vectors[1], atol=1e-2)
    assert model.record(item_ids=ids).known_items == len(rows(shop)) - 1


def test_content_vectors_of_another_width_are_refused(shop: Histories) -> None:
    with pytest.raises(BundleError, match=f"needs content vectors of {CONTENT} numbers, but these have 5"):
        ProductionModel("v", towers(shop), {}).build_scorer(VECTORS[:, :5], item_ids=shop.item_ids)


# --- In the table of a run --------------------------------------------------------------------------------


def evaluated(shop: Histories, folder: Path, *, production: ProductionModel | None) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    np.save(folder / "vectors.npy", VECTORS)
    training = synthetic_training(folder / "towers", weights_sha256=save_towers(towers(shop), folder / "towers"))
    inputs = RunInputs(SETTINGS, shop.folder.parent / "tables", shop.folder, folder / "vectors.npy", training)
    inputs = encode_catalogue(inputs, destination=folder / "catalogue")
    metrics, _ = evaluate_run(inputs, report=folder / "metrics.json", production=production)
    assert metrics == json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def test_the_same_towers_in_production_differ_by_nothing(shop: Histories, tmp_path: Path) -> None:
    production = ProductionModel("0123456789abcdef", towers(shop), rows(shop), "It has seen answers.")
    metrics = evaluated(shop, tmp_path, production=production)
    assert list(metrics["test"]) == ["towers", "production", "popularity"]
    assert metrics["test"]["production"] == metrics["test"]["towers"]
    gap = metrics["differences"]["test"]["towers"]["production"]["masked"]["ndcg@10"]
    assert gap == {"mean": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0}
    assert metrics["production"] == {
        "version": "0123456789abcdef",
        "known_items": len(rows(shop)),
        "caveat": "It has seen answers.",
    }


def test_other_towers_in_production_are_paired_with_the_new_ones(shop: Histories, tmp_path: Path) -> None:
    metrics = evaluated(shop, tmp_path, production=ProductionModel("other", towers(shop, seed=1), {}))
    for masking in ("masked", "unmasked"):
        own, other = (metrics["test"][name][masking]["ndcg@10"] for name in ("towers", "production"))
        gap = metrics["differences"]["test"]["towers"]["production"][masking]["ndcg@10"]
        assert own != other
        assert gap["mean"] == pytest.approx(own - other, abs=2e-6)
        assert gap["low"] <= gap["mean"] <= gap["high"]


def test_without_production_the_other_figures_are_the_same(shop: Histories, tmp_path: Path) -> None:
    alone = evaluated(shop, tmp_path / "alone", production=None)
    beside = evaluated(shop, tmp_path / "beside", production=ProductionModel("v", towers(shop, seed=1), {}))
    assert alone["production"] is None
    assert list(alone["test"]) == ["towers", "popularity"]
    for name in alone["test"]:
        for section in ("intervals", "beyond_accuracy", "recall_curves"):
            assert beside[section]["test"][name] == alone[section]["test"][name]
