"""The gate: whether what was trained is fit to be served, and why.

Each room that knows something of a model gives rules with their outcome; here they become one decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from learn.config import GateSettings
from learn.data.validation_summary import ValidationSummary

if TYPE_CHECKING:  # the verdict is read where torch need not be loaded
    from learn.evaluation.evaluation import Evaluation

METRIC = "ndcg@10"
"""What models are held against each other by, the history masked as in service."""

# What costs no training: towers that lose to one of these have learned nothing worth serving.
_UNTRAINED = ("popularity", "content_neighbours")


@dataclass(frozen=True)
class Rule:
    """One rule, and what came of it.

    Attributes:
        name: Stable name.
        passed: Whether the model may be served as far as this rule goes.
        said: Why, in a sentence with the figures.
    """

    name: str
    passed: bool
    said: str


@dataclass(frozen=True)
class Decision:
    """What the gate says of a model.

    Attributes:
        fit: Whether it should be served.
        reasons: One sentence for each rule, the failed ones first.
        champion: Version of the model that it was held against; None where there was none, or none to compare with.
        rules: Every rule, the failed ones first.
    """

    fit: bool
    reasons: tuple[str, ...]
    champion: str | None = None
    rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, rules: Iterable[Rule], *, champion: str | None = None) -> Decision:
        """Decide by rules: a model is fit where none has failed."""
        ordered = tuple(sorted(rules, key=lambda rule: rule.passed))
        return cls(all(rule.passed for rule in ordered), tuple(rule.said for rule in ordered), champion, ordered)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the rules that failed."""
        return tuple(rule.name for rule in self.rules if not rule.passed)


def baseline_rules(evaluation: Evaluation, *, settings: GateSettings, model: str = "towers") -> Iterator[Rule]:
    """Hold a model against the baselines that need no training, by the paired test on NDCG@10, history masked."""
    part = evaluation.parts["test"]
    own = part.metrics[model]["masked"][METRIC]
    for name in _UNTRAINED:
        if name not in part.differences:
            continue
        difference = part.differences[name]["masked"][METRIC]
        certain = difference.p_value < settings.significance
        worse = certain and difference.mean < 0
        place = "below" if worse else "above" if certain else "level with"
        said = (
            f"NDCG@10 {own:.4f} is {place} {name.replace('_', ' ')}, {part.metrics[name]['masked'][METRIC]:.4f} "
            f"(difference {difference.mean:+.4f}, 95 % interval {difference.low:+.4f} to {difference.high:+.4f})."
        )
        yield Rule(f"baseline_{name}", not worse, said)


def validation_rule(summary: ValidationSummary, *, settings: GateSettings) -> Rule:
    """Judge what validation quarantined; what fails it outright has stopped the run before."""
    worst = max(summary.items, summary.interactions, key=lambda table: table.share)
    passed = worst.share <= settings.max_quarantined_share
    said = (
        f"{worst.share:.2%} of the {worst.name} are quarantined, {'within' if passed else 'more than'} the "
        f"{settings.max_quarantined_share:.2%} that are allowed."
    )
    return Rule("validation", passed, said)
