"""Trained towers as a scorer: users after runs of items, and those who have none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learn.config.model import TowerSettings
from learn.model import scorer as scoring
from learn.model.scorer import TowerScorer
from learn.model.towers import Towers
from tests.evaluation.synthetic_histories import in_memory

ITEMS, CONTENT = 9, 12


@pytest.fixture(scope="module")
def scorer() -> TowerScorer:
    torch.manual_seed(3)
    towers = Towers(TowerSettings(dimension=8, max_history=4), content_dimension=CONTENT, id_count=ITEMS)
    for channel in towers.channels:
        channel.weight.data.fill_(0.5)
    content = np.random.default_rng(0).normal(size=(ITEMS, CONTENT)).astype(np.float32)
    return TowerScorer(towers, content=content, ids=np.arange(ITEMS))


def test_nobody_is_anywhere_without_a_history_and_is_recommended_nothing(scorer: TowerScorer) -> None:
    histories, examples = in_memory([[3, 1, 2], [5], [4, 0]], item_count=ITEMS)
    users = scorer.encode_runs(histories.items, examples.starts, examples.stops)
    assert [bool(user.any()) for user in users] == [True, False, True]
    scores = scorer.score(histories, examples, slice(0, 3))
    assert torch.isneginf(scores[1]).all()
    assert torch.isfinite(scores[[0, 2]]).all()


def test_a_user_is_the_same_by_itself_and_among_others(scorer: TowerScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_BLOCK_POSITIONS", 8)
    draw = np.random.default_rng(1)
    histories, examples = in_memory(
        [draw.integers(ITEMS, size=length).tolist() for length in draw.integers(1, 8, size=20)], item_count=ITEMS
    )
    together = scorer.encode_runs(histories.items, examples.starts, examples.stops)
    single = [
        scorer.encode_runs(histories.items, examples.starts[[row]], examples.stops[[row]])[0]
        for row in range(len(examples))
    ]
    torch.testing.assert_close(together, torch.stack(single))
