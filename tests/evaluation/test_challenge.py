"""Challenger against champion: proof is requested overall, and a slice fails only beyond chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from learn.config.evaluation import GateSettings
from learn.config.model import TowerSettings
from learn.evaluation.gate import Rule, compare_paired, judge_champion, judge_slice, require_not_worse
from learn.evaluation.metrics import compute_metric
from learn.evaluation.production import ProductionModel, Standing
from learn.model.towers import Towers

Floats = NDArray[np.float64]
RULES = GateSettings(fewest_users=2, fewest_slice_users=2)
FIGURES = st.floats(0, 1, width=32)
PAIRS = st.lists(st.tuples(FIGURES, FIGURES), min_size=2, max_size=30)
TOWERS = Towers(TowerSettings(dimension=16), content_dimension=4, id_count=1)


def columns(pairs: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    own, other = np.array(pairs, dtype=np.float64).T
    return own, other


def overall(own: Floats, other: Floats, **settings: float) -> Rule:
    return require_not_worse(own, other, version="v", settings=RULES.model_copy(update=settings))


# --- Overall ----------------------------------------------------------------------------------------------


@given(st.lists(FIGURES, min_size=2, max_size=30))
def test_the_champion_itself_always_passes(values: list[float]) -> None:
    own = np.array(values)
    assert overall(own, own, margin=0.0).passed


@given(PAIRS)
def test_a_mean_loss_beyond_the_margin_never_passes(pairs: list[tuple[float, float]]) -> None:
    own, other = columns(pairs)
    passed = overall(own, other).passed
    assert not passed or own.mean() - other.mean() >= -RULES.margin * other.mean() - 1e-9


@given(PAIRS, st.floats(0, 0.5), st.floats(0, 0.4))
def test_a_wider_margin_never_turns_a_pass_into_a_refusal(
    pairs: list[tuple[float, float]], margin: float, more: float
) -> None:
    own, other = columns(pairs)
    assert overall(own, other, margin=margin + more).passed or not overall(own, other, margin=margin).passed


@given(PAIRS, st.floats(0, 1))
def test_a_challenger_that_gains_everywhere_is_never_worse_off(pairs: list[tuple[float, float]], gain: float) -> None:
    own, other = columns(pairs)
    before, after = (compare_paired(values, other, significance=0.05) for values in (own, own + gain))
    assert after.least >= before.least - 1e-9


def test_equal_models_pass_with_enough_users_and_not_without() -> None:
    draw = np.random.default_rng(0)
    own, other = (np.where(draw.random(5_000) < 0.4, draw.random(5_000), 0.0) for _ in range(2))
    assert overall(own, other).passed
    few = overall(own[:40], other[:40])
    assert not few.passed
    assert "may be worse than champion v" in few.said


def test_equal_models_but_for_the_margin_pass_as_rarely_as_the_significance_says() -> None:
    draw = np.random.default_rng(1)
    passed = 0
    for _ in range(400):
        other = draw.random(300)
        own = other * (1 - RULES.margin) + draw.normal(0, 0.2, 300)
        passed += overall(own, other).passed
    assert passed / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_too_few_users_prove_nothing() -> None:
    rule = overall(np.ones(9), np.zeros(9), fewest_users=10)
    assert not rule.passed
    assert "9 users are too few" in rule.said


# --- Slices -----------------------------------------------------------------------------------------------


@given(PAIRS, st.integers(1, 9))
def test_a_slice_without_a_loss_beyond_the_bound_passes(pairs: list[tuple[float, float]], slices: int) -> None:
    own, other = columns(pairs)
    rule = judge_slice(own, other, name="cold_items", slices=slices, settings=RULES)
    assert rule.passed or own.mean() < (1 - RULES.slice_margin) * other.mean() + 1e-9


def test_a_slice_fails_by_a_large_certain_loss_alone() -> None:
    draw = np.random.default_rng(2)
    other = draw.random(200)

    def rule(own: Floats, champion: Floats) -> Rule:
        return judge_slice(own, champion, name="tail_items", slices=3, settings=RULES)

    assert not rule(other / 2, other).passed
    assert rule(other * 0.9, other).passed
    chance = rule(np.array([0.0, 0.4, 0.1]), np.array([0.5, 0.3, 0.2]))
    assert chance.passed
    assert "may be chance" in chance.said


def test_slices_that_are_judged_together_share_the_error_rate() -> None:
    champion, challenger = np.ones(60), np.ones(60)
    # Of the first slice's thirty users eleven lost their hit and four won one: one-sided p is .035.
    challenger[:11] = champion[11:15] = 40.0
    settings = GateSettings(fewest_users=2, fewest_slice_users=2, margin=0.9)
    users = np.arange(60)
    first = users < 30
    gap = compare_paired(
        *(compute_metric(ranks[first], "ndcg@10") for ranks in (challenger, champion)), significance=0.05
    )
    assert gap.most < 0
    assert gap.mean < -settings.slice_margin * gap.champion

    def is_passed(slices: int) -> bool:
        masks = {"lost": first} | {f"calm_{n}": (users >= 30) & (users < 36 + n) for n in range(slices - 1)}
        production = ProductionModel("v", TOWERS, {}, "", "fair")
        rules = judge_champion(challenger, champion, slices=masks, production=production, settings=settings)
        return {rule.name: rule.passed for rule in rules}["slice_lost"]

    assert [is_passed(slices) for slices in (1, 5)] == [False, True]


# --- Both together ----------------------------------------------------------------------------------------


def judged(standing: Standing, *, lost: bool = False) -> dict[str, Rule]:
    champion = np.tile([1.0, 2.0, 5.0, 30.0], 60)
    challenger = champion.copy()
    small, large = np.arange(240) < 10, np.arange(240) >= 120
    if lost:
        challenger[large] = 40.0
    production = ProductionModel("v", TOWERS, {}, "It has seen answers.", standing)
    rules = judge_champion(
        challenger, champion, slices={"small": small, "large": large}, production=production, settings=GateSettings()
    )
    return {rule.name: rule for rule in rules}


def test_a_small_slice_is_not_judged_and_a_large_one_is_named() -> None:
    assert list(judged("fair")) == ["overall", "champion", "slice_large"]
    assert all(rule.passed for rule in judged("fair").values())
    lost = judged("fair", lost=True)
    assert not lost["slice_large"].passed
    assert not lost["overall"].passed


@pytest.mark.parametrize(("users", "judged"), [(49, False), (50, True)])
def test_a_slice_of_as_many_users_as_are_asked_for_is_judged(users: int, judged: bool) -> None:
    ranks = np.tile([1.0, 2.0, 5.0, 30.0], 60)
    production = ProductionModel("v", TOWERS, {}, "", "fair")
    settings = GateSettings(fewest_slice_users=50)
    rules = judge_champion(
        ranks, ranks, slices={"some": np.arange(240) < users}, production=production, settings=settings
    )
    assert ("slice_some" in {rule.name for rule in rules}) is judged


@pytest.mark.parametrize(("standing", "passed"), [("fair", True), ("flattered", True), ("other_data", False)])
def test_a_champion_of_other_data_is_no_opponent_and_a_flattered_one_is_named(standing: Standing, passed: bool) -> None:
    rule = judged(standing)["champion"]
    assert rule.passed is passed
    assert ("it has seen answers" in rule.said) is (standing != "fair")
