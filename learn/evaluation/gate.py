"""The gate: whether a trained model is fit to be served, and why.

Packages that check a model return rules with their outcome; here they become one decision.

A challenger and the champion rank the same targets of the same users, and the ranks decide. Overall the challenger must
be shown not to be worse by more than a margin. In a slice it must not be shown to be worse: slices are too small to
prove that each is good.

Shape legend: E examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from learn.config import GateSettings
from learn.data import ValidationSummary
from learn.evaluation.metrics import compute_metric
from learn.evaluation.production import ProductionModel

if TYPE_CHECKING:
    from learn.evaluation.results import Evaluation


METRIC = "ndcg@10"
"""The metric by which models are compared, with the history masked as in service."""

# Baselines that cost no training: towers that lose to one of these have learned nothing worth serving.
_UNTRAINED = ("popularity", "content_neighbours")


@dataclass(frozen=True)
class Rule:
    """One rule and its result.

    Attributes:
        name: Stable name.
        passed: Whether the model may be served according to this rule.
        said: The reason, in a sentence with the figures.
    """

    name: str
    passed: bool
    said: str


@dataclass(frozen=True)
class Decision:
    """The gate's decision on a model.

    Attributes:
        fit: Whether it should be served.
        reasons: One sentence for each rule, the failed ones first.
        champion: Version of the model that it was compared with; None if there was none, or none to compare with.
        rules: Every rule, the failed ones first.
    """

    fit: bool
    reasons: tuple[str, ...]
    champion: str | None = None
    rules: tuple[Rule, ...] = ()

    @classmethod
    def from_rules(cls, rules: Iterable[Rule], *, champion: str | None = None) -> Decision:
        """Decide by rules: a model is fit if none has failed."""
        ordered = tuple(sorted(rules, key=lambda rule: rule.passed))
        return cls(all(rule.passed for rule in ordered), tuple(rule.said for rule in ordered), champion, ordered)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the rules that failed."""
        return tuple(rule.name for rule in self.rules if not rule.passed)


def judge_baselines(evaluation: Evaluation, *, settings: GateSettings, model: str = "towers") -> Iterator[Rule]:
    """Compare a model with the baselines that need no training, by the paired test on NDCG@10, history masked."""
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


def judge_validation(summary: ValidationSummary, *, settings: GateSettings) -> Rule:
    """Judge the share of quarantined rows; data that fails validation has already stopped the run."""
    worst = max(summary.items, summary.interactions, key=lambda table: table.share)
    passed = worst.share <= settings.max_quarantined_share
    said = (
        f"{worst.share:.2%} of the {worst.name} are quarantined, {'within' if passed else 'more than'} the "
        f"{settings.max_quarantined_share:.2%} that are allowed."
    )
    return Rule("validation", passed, said)


_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedGap:
    """Challenger minus champion on the same examples.

    Attributes:
        challenger: The challenger's mean.
        champion: The champion's mean.
        mean: Mean of the differences.
        least: One-sided lower bound of the mean difference.
        most: One-sided upper bound.
    """

    challenger: float
    champion: float
    mean: float
    least: float
    most: float


def compare_paired(challenger: _Floats, champion: _Floats, *, significance: float) -> PairedGap:
    """Compare two models example by example, by Student's paired test.

    Args:
        challenger: (E,) its metric on each example, E at least 2.
        champion: (E,) the champion's.
        significance: Error rate of each of the two one-sided bounds.
    """
    gaps = challenger - champion
    mean = float(gaps.mean())
    reach = float(student.ppf(1 - significance, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps)))
    return PairedGap(float(challenger.mean()), float(champion.mean()), mean, mean - reach, mean + reach)


def judge_champion(
    challenger: _Floats,
    champion: _Floats,
    *,
    slices: Mapping[str, NDArray[np.bool_]],
    production: ProductionModel,
    settings: GateSettings,
) -> Iterator[Rule]:
    """Compare a challenger with the champion.

    Args:
        challenger: (E,) ranks of the targets, history masked.
        champion: (E,) the champion's ranks of the same targets.
        slices: (E,) bool by name: which examples are in it.
        production: The champion.
        settings: Margins and significance.
    """
    own, other = (compute_metric(ranks, METRIC) for ranks in (challenger, champion))
    yield require_not_worse(own, other, version=production.version, settings=settings)
    yield _name_opponent(production)
    judged = {name: mask for name, mask in slices.items() if mask.sum() >= settings.fewest_slice_users}
    for name, mask in judged.items():
        yield judge_slice(own[mask], other[mask], name=name, slices=len(judged), settings=settings)


def _name_opponent(production: ProductionModel) -> Rule:
    what = f"The champion is {production.version}"
    if production.standing == "other_data":
        said = (
            f"{what}, and no opponent: {_continue_sentence(production.caveat)} "
            "Promote it with `learn models promote`, or use another model name."
        )
        return Rule("champion", False, said)
    if production.standing == "flattered":
        said = (
            f"{what}, and no fair opponent: {_continue_sentence(production.caveat)} "
            "A challenger that holds its own even so passes; what is said against one that does not is no proof."
        )
        return Rule("champion", True, said)
    return Rule("champion", True, f"{what}, scored again on this run's test, whose answers it has not seen.")


def _continue_sentence(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def require_not_worse(own: _Floats, other: _Floats, *, version: str, settings: GateSettings) -> Rule:
    """Require proof that a challenger is not worse than the champion by more than the margin.

    Args:
        own: (E,) the challenger's metric on each example.
        other: (E,) the champion's.
        version: Version of the champion.
        settings: Margin, significance and how many examples are needed.
    """
    if len(own) < settings.fewest_users:
        said = f"{len(own)} users are too few to compare with champion {version}; {settings.fewest_users} are needed."
        return Rule("overall", False, said)
    gap = compare_paired(own, other, significance=settings.significance)
    allowed = settings.margin * gap.champion
    passed = gap.least >= -allowed
    said = (
        f"NDCG@10 {gap.challenger:.4f} {'is not worse than' if passed else 'may be worse than'} champion {version}'s "
        f"{gap.champion:.4f}{'' if passed else ' by more than is allowed'} (difference {gap.mean:+.4f}, with "
        f"{1 - settings.significance:.0%} certainty at least {gap.least:+.4f}; {-allowed:+.4f} is allowed)."
    )
    return Rule("overall", passed, said)


def judge_slice(own: _Floats, other: _Floats, *, name: str, slices: int, settings: GateSettings) -> Rule:
    """Refuse a challenger that lost more than the bound in a slice, if the loss is significant.

    Args:
        own: (E,) the challenger's metric on each example of the slice.
        other: (E,) the champion's.
        name: Name of the slice.
        slices: Number of slices that are judged: they share the error rate.
        settings: Bound and significance.
    """
    gap = compare_paired(own, other, significance=settings.significance / slices)
    within, chance = gap.mean >= -settings.slice_margin * gap.champion, gap.most >= 0
    found = "no loss beyond" if within else "a loss that may be chance, beyond" if chance else "a loss beyond"
    said = (
        f"Slice {name.replace('_', ' ')} ({len(own):,} users): NDCG@10 {gap.challenger:.4f} against the champion's "
        f"{gap.champion:.4f}, {found} the {settings.slice_margin:.0%} that are allowed."
    )
    return Rule(f"slice_{name}", within or chance, said)
