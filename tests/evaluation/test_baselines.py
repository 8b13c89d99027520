from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from learn.config.evaluation import EvaluationSettings
from learn.data.histories import Histories
from learn.errors import SettingsError
from learn.evaluation.baselines import (
    Blend,
    ContentNeighbours,
    Ease,
    Popularity,
    TfidfNeighbours,
    Transitions,
    fit_baselines,
    tune_blend,
)
from learn.evaluation.metrics import average_metrics
from learn.evaluation.ranking import Scorer, rank_targets
from tests.evaluation.synthetic_histories import TableScorer, in_memory, split_histories

ITEMS = 24
SETTINGS = EvaluationSettings(tuning_users=50)
TITLES = [f"group{item // 6} thing{item}" for item in range(ITEMS)]


def made(folder: Path) -> Histories:
    """Users who walk around one of four rings of six items."""
    random = np.random.default_rng(0)
    users = []
    for _ in range(60):
        ring, first = int(random.integers(4)), int(random.integers(6))
        users.append([6 * ring + (first + step) % 6 for step in range(int(random.integers(4, 6)))])
    return split_histories(folder, users, item_count=ITEMS)


def content() -> np.ndarray:
    vectors = np.random.default_rng(1).normal(scale=0.1, size=(ITEMS, 8)).astype(np.float32) + 2
    vectors[np.arange(ITEMS), np.arange(ITEMS) // 6] += 1
    return vectors


def all_fitted(histories: Histories) -> tuple[Scorer, ...]:
    found = fit_baselines(histories, titles=TITLES, content=content(), settings=SETTINGS, seed=0)
    assert found.left_out == {}
    return found.scorers


def test_each_finds_what_popularity_cannot(tmp_path: Path) -> None:
    histories = made(tmp_path)
    examples = histories.open_examples("test")
    quality = {}
    for scorer in all_fitted(histories):
        ranks = rank_targets(scorer, histories, examples, block_users=16)
        quality[scorer.name] = average_metrics(ranks.masked, (3,))["recall@3"]
    assert tuple(quality) == SETTINGS.baselines
    floor = quality.pop("popularity")
    assert all(each > floor + 0.2 for each in quality.values()), (floor, quality)


def test_what_comes_after_training_is_never_read(tmp_path: Path) -> None:
    histories = made(tmp_path)
    training = histories.mark_training()
    other = np.where(training, histories.items, (histories.items + 7) % ITEMS).astype(np.int32)
    changed = dataclasses.replace(histories, items=other)
    # Asked about the same histories, fitted where only validation and test items differ: the same answers.
    examples = histories.open_examples("validation")
    everything = slice(0, len(examples))
    fits = (
        Popularity.fit,
        Transitions.fit,
        lambda data: Ease.fit(data, regularisation=10, max_items=100),
    )
    for fit in fits:
        one, two = fit(histories), fit(changed)
        assert torch.equal(one.score(histories, examples, everything), two.score(histories, examples, everything))


def test_nothing_is_recommended_without_a_history() -> None:
    users = [[0, 1, 2, 3], [1, 2, 3], [5]]
    histories, examples = in_memory(users, item_count=ITEMS)
    for scorer in (
        ContentNeighbours.fit(content()),
        Transitions.fit(histories),
        TfidfNeighbours.fit(TITLES),
        Ease.fit(histories, regularisation=1, max_items=100),
    ):
        scores = scorer.score(histories, examples, slice(0, 3))
        assert scores.shape == (3, ITEMS)
        assert scores.dtype == torch.float32
        assert torch.isneginf(scores[2]).all()
        assert scores[:2].isfinite().all()
    assert Popularity.fit(histories).score(histories, examples, slice(0, 3))[2].isfinite().all()


def test_transitions_fade_with_distance_and_know_the_direction() -> None:
    histories, examples = in_memory([[0, 1, 2, 9], [1, 9]], item_count=10)
    forward = Transitions.fit(histories, fade=0.5, backward=0).counts.toarray()
    assert {(a, b): forward[a, b] for a, b in zip(*np.nonzero(forward), strict=True)} == {
        (0, 1): 1,
        (1, 2): 1,
        (0, 2): 0.5,
    }
    scores = Transitions.fit(histories, fade=0.5, backward=0.5).score(histories, examples, slice(1, 2))
    assert scores[0, [0, 2]].tolist() == [0.5, 1.0]


def test_ease_solves_its_problem() -> None:
    random = np.random.default_rng(4)
    users = [[*random.choice(8, size=4, replace=False).tolist(), 0] for _ in range(40)]
    histories, _ = in_memory(users, item_count=10)
    seen = np.zeros((40, 8))
    for user, items in enumerate(users):
        seen[user, items[:-1]] = 1
    weights = Ease.fit(histories, regularisation=2.0, max_items=100).weights
    # Column by column: ridge regression of an item on all the others.
    for item in range(8):
        others = [other for other in range(8) if other != item]
        left = seen[:, others]
        solved = np.linalg.solve(left.T @ left + 2.0 * np.eye(7), left.T @ seen[:, item])
        np.testing.assert_allclose(weights[others, item], solved, atol=1e-5)
        assert weights[item, item] == 0


def test_what_somebody_takes_again_counts_once_for_ease() -> None:
    once = [[0, 1, 2], [1, 2, 3], [0, 3, 2], [3, 1, 0]]
    again = [[0, 1, 0, 0, 1, 2], [1, 2, 2, 3], [0, 3, 3, 3, 2], [3, 1, 3, 0]]
    fitted = [
        Ease.fit(in_memory(users, item_count=4)[0], regularisation=2.0, max_items=100).weights
        for users in (once, again)
    ]
    np.testing.assert_allclose(fitted[0], fitted[1], atol=1e-6)


def test_ease_refuses_a_large_catalogue_and_the_set_goes_on_without(tmp_path: Path) -> None:
    histories = made(tmp_path)
    with pytest.raises(SettingsError, match="EASE over 24 items") as caught:
        Ease.fit(histories, regularisation=1, max_items=23)
    assert "ease_max_items" in str(caught.value)
    settings = SETTINGS.model_copy(update={"ease_max_items": 23})
    found = fit_baselines(histories, titles=TITLES, content=content(), settings=settings, seed=0)
    assert list(found.left_out) == ["ease"]
    assert [scorer.name for scorer in found.scorers] == [name for name in SETTINGS.baselines if name != "ease"]


def test_texts_without_words_are_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no words"):
        TfidfNeighbours.fit([None, "", "?"])
    found = fit_baselines(made(tmp_path), titles=[None] * ITEMS, content=content(), settings=SETTINGS, seed=0)
    assert list(found.left_out) == ["tfidf_neighbours"]


def test_the_blend_gives_the_weight_to_the_scorer_that_knows(tmp_path: Path) -> None:
    histories = made(tmp_path)
    examples = histories.open_examples("validation")
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(len(examples), ITEMS, generator=random) * 100
    knows = torch.randn(len(examples), ITEMS, generator=random) * 1e-3
    knows[torch.arange(len(examples)), torch.from_numpy(np.array(examples.targets)).long()] += 1
    settings = SETTINGS.model_copy(update={"tuning_users": len(examples)})
    blend = tune_blend((TableScorer(noise), TableScorer(knows)), histories, settings=settings, seed=0)
    assert blend.weights[1] > blend.weights[0]
    assert sum(blend.weights) == pytest.approx(1)
    ranks = rank_targets(blend, histories, examples, block_users=16)
    assert average_metrics(ranks.masked, (1,))["recall@1"] > 0.9


def test_a_blend_recommends_what_any_of_its_scorers_does() -> None:
    histories, examples = in_memory([[0, 1], [2, 1], [0, 2]], item_count=3)
    none = [-torch.inf] * 3
    one = TableScorer(torch.tensor([[1.0, 2.0, 3.0], none, none]))
    two = TableScorer(torch.tensor([[1.0, 2.0, 3.0], [5.0, 1.0, 1.0], none]))
    scores = Blend((one, two), (0.5, 0.5)).score(histories, examples, slice(0, 3))
    assert scores[0].argsort().tolist() == [0, 1, 2]
    assert scores[1].argmax() == 0
    assert torch.isneginf(scores[2]).all()
    alone = Blend((one, two), (1.0, 0.0)).score(histories, examples, slice(0, 3))
    assert torch.isneginf(alone[1]).all()


def test_a_blend_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        tune_blend((), made(tmp_path), settings=SETTINGS, seed=0)
