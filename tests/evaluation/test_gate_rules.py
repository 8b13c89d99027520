"""What validation and drift mean for the gate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from learn.config.evaluation import GateSettings
from learn.evaluation.gate import Decision, judge_validation
from learn.monitoring.drift import judge_drift
from tests.synthetic_run import made_up_drift, made_up_result


@pytest.mark.parametrize(("allowed", "passed"), [(0.03, True), (0.02, False)])
def test_the_worse_table_decides_for_validation(tmp_path: Path, allowed: float, passed: bool) -> None:
    summary = made_up_result(folder=tmp_path).validation
    rule = judge_validation(summary, settings=GateSettings(max_quarantined_share=allowed))
    assert rule.passed is passed
    assert "3.00% of the items" in rule.said


@pytest.mark.parametrize(("effect", "passed"), [(0.31, True), (0.3, False)])
def test_only_drift_that_looks_broken_fails(tmp_path: Path, effect: float, passed: bool) -> None:
    rule = judge_drift(made_up_drift(tmp_path), settings=GateSettings(max_drift_effect=effect))
    assert rule.passed is passed
    assert ("title words (0.30)" in rule.said) is not passed


def test_a_large_effect_that_is_no_drift_does_not_fail(tmp_path: Path) -> None:
    summary = made_up_drift(tmp_path)
    calm = dataclasses.replace(
        summary, columns=tuple(dataclasses.replace(column, drifted=False) for column in summary.columns)
    )
    assert judge_drift(calm, settings=GateSettings(max_drift_effect=0.1)).passed


def test_one_failed_rule_is_enough_and_stands_first(tmp_path: Path) -> None:
    summary = made_up_drift(tmp_path)
    rules = [judge_drift(summary, settings=GateSettings(max_drift_effect=effect)) for effect in (0.9, 0.1)]
    decision = Decision.from_rules(rules, champion="v")
    assert not decision.fit
    assert decision.failed == ("drift",)
    assert [rule.passed for rule in decision.rules] == [False, True]
    assert decision.reasons[0] == rules[1].said
