"""The gate: towers that lose to what costs no training are not fit, and chance does not fail them."""

from __future__ import annotations

import numpy as np
import pytest

from learn.config.evaluation import GateSettings
from learn.evaluation.gate import Decision, judge_baselines
from learn.evaluation.metrics import Difference
from learn.evaluation.results import Evaluation, PartEvaluation

OWN = 0.2


def found(**against: Difference) -> Evaluation:
    """An evaluation in which the towers' NDCG@10 is ``OWN`` and the others' follow from the differences."""
    values = {"towers": OWN} | {name: OWN - difference.mean for name, difference in against.items()}
    test = PartEvaluation(
        examples=10,
        users=np.arange(10),
        targets=np.zeros(10, np.int32),
        ranks={},
        metrics={name: {"masked": {"ndcg@10": value}} for name, value in values.items()},
        intervals={},
        slices={},
        lists={},
        differences={name: {"masked": {"ndcg@10": difference}} for name, difference in against.items()},
    )
    return Evaluation({"test": test})


def decide(evaluation: Evaluation) -> Decision:
    return Decision.from_rules(judge_baselines(evaluation, settings=GateSettings()))


def difference(mean: float, *, p_value: float) -> Difference:
    return Difference(mean=mean, low=mean - 0.01, high=mean + 0.01, p_value=p_value)


@pytest.mark.parametrize(
    ("mean", "p_value", "fit"),
    [(0.1, 0.001, True), (0.0, 1.0, True), (-0.1, 0.2, True), (-0.1, 0.049, False), (-0.1, 0.001, False)],
)
@pytest.mark.parametrize("baseline", ["popularity", "content_neighbours"])
def test_only_a_loss_beyond_chance_fails(baseline: str, mean: float, p_value: float, fit: bool) -> None:
    decision = decide(found(**{baseline: difference(mean, p_value=p_value)}))
    assert decision.fit is fit
    (reason,) = decision.reasons
    assert baseline.replace("_", " ") in reason
    assert f"{OWN:.4f}" in reason
    assert f"{OWN - mean:.4f}" in reason
    assert ("is below" in reason) is not fit


def test_trained_baselines_do_not_decide() -> None:
    decision = decide(found(ease=difference(-0.1, p_value=0.001)))
    assert decision.fit
    assert decision.reasons == ()


def test_the_failed_rule_stands_first() -> None:
    decision = decide(
        found(popularity=difference(0.1, p_value=0.001), content_neighbours=difference(-0.1, p_value=0.001))
    )
    assert not decision.fit
    assert ["content neighbours" in reason for reason in decision.reasons] == [True, False]
