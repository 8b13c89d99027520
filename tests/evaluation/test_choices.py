"""What is chosen is chosen on validation: a scorer that knows the answers of the test gains nothing by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from learn.config.evaluation import EvaluationSettings
from learn.data.histories import Examples, Histories
from learn.evaluation.baselines import tune_blend
from learn.evaluation.selection import make_validation_measure, tune_channels
from tests.evaluation.synthetic_histories import split_histories

ITEMS = 30


@dataclass(frozen=True)
class KnowingScorer:
    """Scores the target of each example of one part highest, and everything else at random."""

    part: str
    name: str = "knowing"

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        count = rows.stop - rows.start
        noise = torch.Generator().manual_seed(rows.start + len(self.part))
        scores = torch.rand(count, histories.item_count, generator=noise)
        if examples.name == self.part:
            scores[torch.arange(count), torch.from_numpy(np.array(examples.targets[rows])).long()] = 2.0
        return scores


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    draw = np.random.default_rng(0)
    users = [draw.choice(ITEMS, 6, replace=False).tolist() for _ in range(80)]
    return split_histories(tmp_path_factory.mktemp("shop"), users, item_count=ITEMS)


def test_an_epoch_is_judged_on_validation(shop: Histories) -> None:
    measure = make_validation_measure(shop, settings=EvaluationSettings())
    assert measure(KnowingScorer("validation")) == 1.0
    assert measure(KnowingScorer("test")) < 0.4


def test_a_blend_goes_by_what_knows_validation(shop: Histories) -> None:
    scorers = (KnowingScorer("test"), KnowingScorer("validation"))
    blend = tune_blend(scorers, shop, settings=EvaluationSettings(), seed=0)
    assert blend.weights[1] > blend.weights[0]
    turned = tune_blend(scorers[::-1], shop, settings=EvaluationSettings(), seed=0)
    assert turned.weights == blend.weights[::-1]


def test_the_channels_are_tuned_on_validation(shop: Histories) -> None:
    tuned_on = tune_channels(shop, settings=EvaluationSettings(), masked=True, seed=0).examples
    validation = shop.open_examples("validation")
    np.testing.assert_array_equal(tuned_on.stops, validation.stops)
    np.testing.assert_array_equal(tuned_on.targets, validation.targets)
    assert tuned_on.stops.tolist() != shop.open_examples("test").stops.tolist()
