"""The gate: whether what was trained is fit to be served, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the verdict is read where torch need not be loaded
    from learn.evaluation.evaluation import Evaluation

# What costs no training: towers that lose to one of these have learned nothing worth serving.
_UNTRAINED = ("popularity", "content_neighbours")
_METRIC = "ndcg@10"
_SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Decision:
    """What the gate says of a model.

    Attributes:
        fit: Whether it should be served.
        reasons: One sentence for each rule, the failed ones first.
    """

    fit: bool
    reasons: tuple[str, ...]


def decide(evaluation: Evaluation, *, model: str = "towers") -> Decision:
    """Hold a model against the baselines that need no training, by the paired test on NDCG@10, history masked."""
    part = evaluation.parts["test"]
    own = part.metrics[model]["masked"][_METRIC]
    failed: list[str] = []
    passed: list[str] = []
    for name in _UNTRAINED:
        if name not in part.differences:
            continue
        difference = part.differences[name]["masked"][_METRIC]
        certain = difference.p_value < _SIGNIFICANCE
        worse = certain and difference.mean < 0
        place = "below" if worse else "above" if certain else "level with"
        said = (
            f"NDCG@10 {own:.4f} is {place} {name.replace('_', ' ')}, {part.metrics[name]['masked'][_METRIC]:.4f} "
            f"(difference {difference.mean:+.4f}, 95 % interval {difference.low:+.4f} to {difference.high:+.4f})."
        )
        (failed if worse else passed).append(said)
    return Decision(fit=not failed, reasons=(*failed, *passed))
