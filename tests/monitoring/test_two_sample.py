"""The test under every drift verdict: its error rates, its power, its invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learn.monitoring.drift_tests import (
    compare_categories,
    compare_counts,
    compare_numbers,
    compare_vectors,
    correct_holm,
    count_permutations,
)

PERMUTATIONS = 999


def test_p_values_of_equal_numbers_are_not_small_too_often() -> None:
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(200):
        parts = [rng.poisson(4, rows).astype(np.float64) for rows in (400, 300)]
        p_values.append(compare_numbers(parts[0], parts[1], permutations=PERMUTATIONS, rng=rng).p_value)
    # 200 draws at 5 %: more than 20 happens once in some thousand correct tests.
    assert sum(p <= 0.05 for p in p_values) <= 20
    assert sum(p <= 0.5 for p in p_values) >= 70


def test_a_new_category_is_sized_as_documented() -> None:
    rng = np.random.default_rng(0)
    reference = [f"c{code}" for code in rng.integers(0, 12, 5_000)]
    current = ["new" if draw < 0.2 else f"c{int(draw * 1e6) % 12}" for draw in rng.random(5_000)]
    found = compare_categories(reference, current, permutations=PERMUTATIONS, rng=rng)
    assert found.p_value <= 0.001
    assert found.effect == pytest.approx(0.325, abs=0.03)


def test_the_effect_of_equal_windows_does_not_grow_when_rows_are_few() -> None:
    rng = np.random.default_rng(1)
    effects = [
        compare_numbers(rng.normal(size=500), rng.normal(size=500), permutations=PERMUTATIONS, rng=rng).effect
        for _ in range(50)
    ]
    # Random noise moves twenty bins of 25 rows a squared distance of .0095 apart; its scatter remains.
    assert np.mean(np.square(effects)) < 0.003


def test_a_shift_has_the_same_size_in_small_windows_and_in_large_ones() -> None:
    rng = np.random.default_rng(2)

    def measure_squared_effect(rows: int, *, windows: int) -> float:
        pairs = [(rng.normal(size=rows), rng.normal(0.5, 1, size=rows)) for _ in range(windows)]
        found = [compare_numbers(one, other, permutations=PERMUTATIONS, rng=rng) for one, other in pairs]
        return float(np.mean([each.effect**2 for each in found]))

    assert measure_squared_effect(500, windows=40) == pytest.approx(
        measure_squared_effect(20_000, windows=2), abs=0.004
    )


@given(
    counts=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=2, max_size=12).filter(
        lambda pairs: sum(left for left, _ in pairs) > 0 and sum(right for _, right in pairs) > 0
    )
)
@settings(max_examples=40, deadline=None)
def test_the_windows_can_change_places_and_bins_their_order(counts: list[tuple[int, int]]) -> None:
    left, right = (np.asarray(side, dtype=np.int64) for side in zip(*counts, strict=True))

    def found(one: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[float, float]:
        # A plain p-value is of a tenth of the draws: of 100 it scatters by .05, of 1,000 by .016.
        compared = compare_counts(one, other, permutations=9_999, rng=np.random.default_rng(0))
        return compared.effect, compared.p_value

    effect, p_value = found(left, right)
    assert 0 <= effect <= 1
    assert 0 < p_value <= 1
    for other_effect, other_p in (found(right, left), found(left[::-1], right[::-1])):
        assert other_effect**2 == pytest.approx(effect**2, abs=0.02)
        assert other_p == pytest.approx(p_value, abs=0.1)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_keeps_the_order_and_never_shrinks(p_values: list[float]) -> None:
    adjusted = correct_holm(p_values)
    assert all(p <= corrected <= 1 for p, corrected in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.asarray(adjusted)[order]) >= 0)


def test_holm_by_hand() -> None:
    assert correct_holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))


def test_the_smallest_p_value_can_pass_the_correction() -> None:
    permutations = count_permutations(100, tests=30, significance=0.01)
    assert 30 / (permutations + 1) < 0.01


def _vector_p(shift: float, *, seed: int, rows: int = 300, rotated: bool = False) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    scales = np.linspace(2, 0.2, 64)
    parts = [(rng.normal(size=(rows, 64)) * scales).astype(np.float32) for _ in range(2)]
    if rotated:
        parts[1] = parts[1] @ np.linalg.qr(rng.normal(size=(64, 64)))[0].astype(np.float32)
    found = compare_vectors(parts[0], parts[1] + shift * scales.astype(np.float32), permutations=PERMUTATIONS, rng=rng)
    return found.p_value, found.effect


def test_equal_vectors_raise_few_alarms() -> None:
    assert sum(_vector_p(0, seed=seed)[0] <= 0.05 for seed in range(40)) <= 6


def test_the_smaller_of_two_p_values_is_paid_for_in_vectors() -> None:
    p_values = [_vector_p(0, seed=seed, rows=120)[0] for seed in range(80)]
    # Undoubled, the smaller of the two is below a half in 56 of these 80.
    assert 18 <= sum(p <= 0.5 for p in p_values) <= 42


def test_a_shift_of_a_fifth_of_a_standard_deviation_is_found_in_vectors() -> None:
    for seed in range(6):
        p_value, effect = _vector_p(0.2, seed=seed, rows=1_000)
        assert p_value <= 0.002
        assert effect >= 0.3


def test_a_rotation_that_keeps_the_mean_is_found_in_vectors() -> None:
    for seed in range(6):
        p_value, effect = _vector_p(0, seed=seed, rows=500, rotated=True)
        assert p_value <= 0.002
        assert effect >= 0.2
