from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn.errors import SettingsError
from learn.evaluation.metrics import (
    average_metrics,
    bootstrap_interval,
    bootstrap_intervals,
    compare_paired_ranks,
    compute_metric,
    list_metric_names,
)

RANKS = st.lists(
    st.one_of(st.just(np.inf), st.integers(2, 400).map(lambda twice: twice / 2)), min_size=1, max_size=40
).map(np.array)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("recall@10", [1, 1, 1, 0, 0]),
        ("ndcg@10", [1, 1 / np.log2(4.5), 1 / np.log2(11), 0, 0]),
        ("mrr", [1, 1 / 3.5, 0.1, 1 / 10.5, 0]),
    ],
)
def test_values(metric: str, expected: list[float]) -> None:
    ranks = np.array([1, 3.5, 10, 10.5, np.inf])
    np.testing.assert_allclose(compute_metric(ranks, metric), expected)


@pytest.mark.parametrize("metric", ["recall", "recall@", "recall@0", "recall@-1", "precision@10", "mrr@10", "ndcg@x"])
def test_an_unknown_metric_is_named(metric: str) -> None:
    with pytest.raises(SettingsError, match=metric):
        compute_metric(np.ones(1), metric)


@given(RANKS)
def test_metrics_lie_between_0_and_1_and_grow_with_k(ranks: np.ndarray) -> None:
    found = average_metrics(ranks, (1, 5, 10, 50))
    assert set(found) == set(list_metric_names((1, 5, 10, 50)))
    assert all(0 <= value <= 1 for value in found.values())
    for name in ("recall", "ndcg"):
        grown = [found[f"{name}@{k}"] for k in (1, 5, 10, 50)]
        assert grown == sorted(grown)
    assert all(found[f"ndcg@{k}"] <= found[f"recall@{k}"] for k in (1, 5, 10, 50))


@given(RANKS, st.randoms(use_true_random=False))
def test_the_order_of_examples_does_not_matter(ranks: np.ndarray, random: object) -> None:
    shuffled = ranks.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    for name, value in average_metrics(ranks, (10,)).items():
        assert average_metrics(shuffled, (10,))[name] == pytest.approx(value)


def test_no_examples_have_no_figures() -> None:
    assert all(np.isnan(value) for value in average_metrics(np.empty(0), (10,)).values())
    interval = bootstrap_interval(np.empty(0), samples=100, seed=0)
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).random(2_000)
    interval = bootstrap_interval(values, samples=2_000, seed=1)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - half, abs=half / 8)
    assert interval.high == pytest.approx(values.mean() + half, abs=half / 8)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)
    hits = 0
    for trial in range(300):
        interval = bootstrap_interval((random.random(200) < 0.3).astype(np.float64), samples=200, seed=trial)
        hits += interval.low <= 0.3 <= interval.high
    assert 0.90 <= hits / 300 <= 0.98


def test_the_same_seed_gives_the_same_interval_alone_or_in_company() -> None:
    values = np.random.default_rng(0).random((500, 3))
    together = bootstrap_intervals(values, samples=200, seed=4)
    for column, interval in zip(values.T, together, strict=True):
        alone = bootstrap_interval(column, samples=200, seed=4)
        assert alone.low == pytest.approx(interval.low)
        assert alone.high == pytest.approx(interval.high)
    assert bootstrap_intervals(values, samples=200, seed=4) == together
    assert bootstrap_intervals(values, samples=200, seed=5) != together


def test_chunks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(64)
    whole = bootstrap_interval(values, samples=300, seed=0)
    monkeypatch.setattr("learn.evaluation.metrics._DRAWS", 64 * 7)
    assert bootstrap_interval(values, samples=300, seed=0) == whole


def test_a_model_does_not_differ_from_itself() -> None:
    ranks = np.random.default_rng(0).integers(1, 100, 300).astype(np.float64)
    found = compare_paired_ranks(ranks, ranks, "ndcg@10", samples=200, seed=0)
    assert (found.mean, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_a_clear_difference_is_found_and_turns_with_the_models() -> None:
    random = np.random.default_rng(1)
    better = random.integers(1, 30, 1_000).astype(np.float64)
    worse = better + 5
    found = compare_paired_ranks(better, worse, "recall@10", samples=500, seed=0)
    assert found.low > 0
    assert found.p_value < 0.01
    turned = compare_paired_ranks(worse, better, "recall@10", samples=500, seed=0)
    assert turned.mean == -found.mean
    assert turned.high < 0
    assert turned.p_value == found.p_value


def test_p_values_are_uniform_where_nothing_differs() -> None:
    random = np.random.default_rng(2)
    p_values = []
    for trial in range(200):
        one, other = random.integers(1, 40, size=(2, 150)).astype(np.float64)
        p_values.append(compare_paired_ranks(one, other, "mrr", samples=199, seed=trial).p_value)
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.1
    assert 0.4 <= np.mean(p_values) <= 0.6


def test_the_test_agrees_with_the_exact_one() -> None:
    # Twelve users moved, ten of them for the better: the signs follow a binomial law.
    better = np.concatenate([np.full(10, 1.0), np.full(2, 99.0), np.full(50, 99.0)])
    worse = np.concatenate([np.full(10, 99.0), np.full(2, 1.0), np.full(50, 99.0)])
    exact = 2 * (1 + 12 + 66) / 2**12
    found = compare_paired_ranks(better, worse, "recall@10", samples=20_000, seed=0)
    assert found.p_value == pytest.approx(exact, rel=0.1)


def test_models_on_other_examples_are_not_paired() -> None:
    with pytest.raises(ValueError, match="3 and 2"):
        compare_paired_ranks(np.ones(3), np.ones(2), "mrr", samples=100, seed=0)
