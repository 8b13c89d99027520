"""Live feedback: hit rate, Recall and NDCG by day and by model, and the A/B test.

A list gains by its items that were clicked or bought. If the log has ``shown`` events, only lists that were shown
count. Answers in the shadow of another model were never seen and count nowhere.

People are the independent units. One person brings several lists that are alike, so intervals that treat lists as
independent are too short. A rate is a ratio of two sums over people; its variance is that of the ratio's linear part
(the delta method; Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import polars as pl
from scipy.stats import chisquare

from learn.config import MonitoringSettings
from learn.monitoring.drift_tests import correct_holm
from learn.monitoring.requests import SHOWN, UNIT
from learn.traffic import TrafficRead

_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Sums:
    """Sums over people of the gains of a person's lists (x) and of their number (n).

    Attributes:
        people: Number of people.
        n: Sum of lists.
        x: Sum of gains, each list's from 0 to 1.
        nn: Sum of squared lists.
        xx: Sum of squared gains.
        xn: Sum of products.
    """

    people: int
    n: float
    x: float
    nn: float
    xx: float
    xn: float


@dataclass(frozen=True)
class Rate:
    """A rate with its 95 % interval.

    Attributes:
        value: Mean gain of a list.
        low: Lower end.
        high: Upper end.
        error: Standard error, with people as units.
        people: Number of people.
        lists: Number of lists.
    """

    value: float
    low: float
    high: float
    error: float
    people: int
    lists: int


@dataclass(frozen=True)
class Difference:
    """The difference of two rates of different people.

    Attributes:
        value: Second less first.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p_value: Two-sided.
    """

    value: float
    low: float
    high: float
    p_value: float


def compute_rate(sums: Sums) -> Rate | None:
    """Return the rate behind some sums; None if there are no lists."""
    if sums.n <= 0:
        return None
    mean = sums.x / sums.n
    scatter = max(0.0, sums.xx - 2 * mean * sums.xn + mean * mean * sums.nn)
    people = sums.people / max(1, sums.people - 1)
    error = math.sqrt(people * scatter) / sums.n
    low, high = _compute_wilson_interval(mean, error, sums.people)
    return Rate(mean, low, high, error, sums.people, int(sums.n))


def compare_rates(first: Rate, second: Rate) -> Difference:
    """Test whether two rates of different people differ: with one list a person, the two-proportion z-test."""
    value = second.value - first.value
    error = math.hypot(_floor_error(first), _floor_error(second))
    p_value = math.erfc(abs(value) / error / math.sqrt(2))
    return Difference(value, value - _NORMAL_95 * error, value + _NORMAL_95 * error, p_value)


def _floor_error(rate: Rate) -> float:
    # A rate of exactly 0 has no variance, but a fall of the hit rate to 0 must be found, so the interval's width is
    # used.
    return rate.error or (rate.high - rate.low) / (2 * _NORMAL_95)


def _compute_wilson_interval(mean: float, error: float, people: int) -> tuple[float, float]:
    """Return Wilson's interval for the number of independent trials that the error implies; never empty at 0 or 1."""
    spread = mean * (1 - mean)
    trials = spread / error**2 if error > 0 and spread > 0 else float(people)
    z2 = _NORMAL_95**2 / trials
    middle = (mean + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (spread + z2 / 4)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


METRICS = ("hit_rate", "recall", "ndcg")
_CHOSEN = ("clicked", "bought")
_DIGITS = 9


@dataclass(frozen=True)
class Rates:
    """Live metrics of some lists at k; each is None if no list has data for it.

    Attributes:
        name: A day in ISO 8601, or a model's version with its arm.
        hit_rate: Share of lists with a chosen item among the first k.
        recall: Of the lists with a choice, the mean share of the chosen items among the first k.
        ndcg: Mean NDCG@k of the lists, those without a choice at 0.
    """

    name: str
    hit_rate: Rate | None
    recall: Rate | None
    ndcg: Rate | None


@dataclass(frozen=True)
class Comparison:
    """The A/B test's result for one challenger.

    Attributes:
        champion: Version of the champion on the days on which both served.
        challenger: Version of the challenger.
        champion_rates: Rates on those days, without people who saw both arms.
        challenger_rates: The challenger's rates, computed the same way.
        hit_rate: Difference of the hit rates.
        ndcg: Difference of NDCG.
        p_adjusted: P-value of the hit rates' difference, corrected over all tests on feedback.
        people_in_both: People who saw both arms; a clean split has none.
        planned_share: Share of people who should see the challenger, as the service logged it; None: not logged.
        observed_share: Share who saw it.
        ratio_p_value: Chi-squared test of the split; None: not tested.
    """

    champion: str
    challenger: str
    champion_rates: Rates
    challenger_rates: Rates
    hit_rate: Difference
    ndcg: Difference
    p_adjusted: float
    people_in_both: int
    planned_share: float | None
    observed_share: float
    ratio_p_value: float | None


@dataclass(frozen=True)
class Recent:
    """The newest days against those before.

    Attributes:
        days: How many days are the newest.
        before: Hit rate of the days before.
        newest: Hit rate of the newest days.
        change: Difference of the two.
        p_adjusted: Corrected over all tests on feedback.
    """

    days: int
    before: Rate
    newest: Rate
    change: Difference
    p_adjusted: float


@dataclass(frozen=True)
class LiveFeedback:
    """All results on feedback.

    Attributes:
        k: Places of a list that count.
        lists: Lists that count.
        choices: Items clicked or bought.
        unmatched: Feedback records that name no answer of this log.
        by_day: All arms together, oldest first.
        by_version: Each model's version.
        recent: The champion's newest days; None with too few days.
        comparisons: One per challenger.
    """

    k: int
    lists: int
    choices: int
    unmatched: int
    by_day: tuple[Rates, ...]
    by_version: tuple[Rates, ...]
    recent: Recent | None
    comparisons: tuple[Comparison, ...]


def measure_feedback(read: TrafficRead, *, settings: MonitoringSettings) -> LiveFeedback | None:
    """Measure the feedback in a traffic log; None if nobody chose anything.

    Memory is bounded by the answers with feedback and by the people, not by the log.
    """
    feedback = pl.scan_parquet(read.feedback)
    if not feedback.filter(pl.col("event").is_in(_CHOSEN)).select(pl.len()).collect(engine="streaming").item():
        return None
    people = _sum_by_person(read, k=settings.k)
    pairs = [(name, arm) for name, arm in _sort_rows(people, "model_version", "arm")]
    recent = _summarise_recent(people, settings.recent_days)
    compared = [found for name, arm in pairs if arm == "challenger" and (found := _compare_arms(people, name))]
    tests = [each.hit_rate.p_value for each in compared] + ([recent.change.p_value] if recent else [])
    adjusted = correct_holm(tests)
    return LiveFeedback(
        k=settings.k,
        lists=int(people["n"].sum()),
        choices=_count_choices(feedback),
        unmatched=_count_unmatched(read),
        by_day=tuple(
            _summarise_rates(day.isoformat(), people.filter(pl.col("day") == day))
            for (day,) in _sort_rows(people, "day")
        ),
        by_version=tuple(
            _summarise_rates(
                f"{name} ({arm})", people.filter((pl.col("model_version") == name) & (pl.col("arm") == arm))
            )
            for name, arm in pairs
        ),
        recent=None if recent is None else replace(recent, p_adjusted=adjusted[-1]),
        comparisons=tuple(replace(each, p_adjusted=p) for each, p in zip(compared, adjusted, strict=False)),
    )


def _sort_rows(people: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return people.select(columns).unique().sort(columns).rows()


def _count_choices(feedback: pl.LazyFrame) -> int:
    chosen = feedback.filter(pl.col("event").is_in(_CHOSEN)).select("recommendation_id", "item_id").unique()
    return int(chosen.select(pl.len()).collect(engine="streaming").item())


def _count_unmatched(read: TrafficRead) -> int:
    answers = pl.scan_parquet(read.answers).filter(SHOWN).select("recommendation_id")
    lost = pl.scan_parquet(read.feedback).join(answers, on="recommendation_id", how="anti")
    return int(lost.select(pl.len()).collect(engine="streaming").item())


def _sum_by_person(read: TrafficRead, *, k: int) -> pl.DataFrame:
    """One row a day, version, arm, planned share and person: lists, and what they gained by each metric."""
    feedback = pl.scan_parquet(read.feedback)
    answers = pl.scan_parquet(read.answers).filter(SHOWN)
    shown = feedback.filter(pl.col("event") == "shown").select("recommendation_id").unique()
    if shown.select(pl.len()).collect(engine="streaming").item():
        answers = answers.join(shown, on="recommendation_id", how="semi")
    chosen = feedback.filter(pl.col("event").is_in(_CHOSEN)).select("recommendation_id", "item_id").unique()
    gains = _compute_gains(answers, chosen, k=k)
    lists = (
        answers.select(
            "recommendation_id",
            "model_version",
            "arm",
            "challenger_share",
            UNIT.alias("person"),
            pl.col("time").dt.date().alias("day"),
        )
        # A log that was merged from copies may have an answer twice.
        .unique("recommendation_id", keep="any")
        .join(gains, on="recommendation_id", how="left")
        .with_columns(pl.col("hit_rate", "ndcg").fill_null(0.0))
    )
    return (
        lists.group_by("day", "model_version", "arm", "challenger_share", "person")
        .agg(
            pl.len().cast(pl.Float64).alias("n"),
            pl.col("recall").is_not_null().sum().cast(pl.Float64).alias("chosen_lists"),
            # The streaming engine adds in any order, and the same log must give the same page.
            *(pl.col(name).sum().round(_DIGITS) for name in METRICS),
        )
        .collect(engine="streaming")
        .sort("day", "model_version", "arm", "challenger_share", "person")
    )


def _compute_gains(answers: pl.LazyFrame, chosen: pl.LazyFrame, *, k: int) -> pl.LazyFrame:
    """Return the gains of each list with a choice: hit, Recall@k, NDCG@k."""
    listed = (
        answers.join(chosen, on="recommendation_id", how="semi")
        .select("recommendation_id", pl.col("items").list.head(k))
        .unique("recommendation_id", keep="any")
        .with_columns(rank=pl.int_ranges(pl.col("items").list.len()))
        .explode("items", "rank")
        .rename({"items": "item_id"})
    )
    ideal = [float(sum(_compute_discount(rank) for rank in range(length))) for length in range(k + 1)]
    found = pl.col("rank").is_not_null()
    # One join finds hits and misses: a choice that is not in the list is a miss.
    return (
        chosen.join(listed, on=["recommendation_id", "item_id"], how="left")
        .group_by("recommendation_id")
        .agg(
            found.any().cast(pl.Float64).alias("hit_rate"),
            found.mean().alias("recall"),
            (1 / (pl.col("rank") + 2).log(2)).sum().alias("gain"),
            pl.len().clip(upper_bound=k).alias("length"),
        )
        .with_columns(
            ndcg=pl.col("gain") / pl.col("length").replace_strict(list(range(k + 1)), ideal, return_dtype=pl.Float64)
        )
        .select("recommendation_id", *METRICS)
    )


def _compute_discount(rank: int) -> float:
    return 1 / math.log2(rank + 2)


def _summarise_rates(name: str, people: pl.DataFrame) -> Rates:
    by_person = people.group_by("person", maintain_order=True).agg(pl.col("n", "chosen_lists", *METRICS).sum())
    return Rates(
        name,
        compute_rate(_add_sums(by_person, "hit_rate", "n")),
        compute_rate(_add_sums(by_person.filter(pl.col("chosen_lists") > 0), "recall", "chosen_lists")),
        compute_rate(_add_sums(by_person, "ndcg", "n")),
    )


def _add_sums(by_person: pl.DataFrame, gain: str, lists: str) -> Sums:
    x, n = by_person[gain], by_person[lists]
    return Sums(
        people=by_person.height,
        n=float(n.sum()),
        x=float(x.sum()),
        nn=float((n * n).sum()),
        xx=float((x * x).sum()),
        xn=float((x * n).sum()),
    )


def _summarise_recent(people: pl.DataFrame, days: int) -> Recent | None:
    champion = people.filter(pl.col("arm") == "champion")
    last = champion["day"].max()
    if not isinstance(last, date):
        return None
    begin = last - timedelta(days=days - 1)
    newest, before = (
        _summarise_rates("", champion.filter(part)).hit_rate for part in (pl.col("day") >= begin, pl.col("day") < begin)
    )
    if newest is None or before is None:
        return None
    # People of both periods make the difference more precise than the test assumes, so it errs on the safe side.
    return Recent(days, before, newest, compare_rates(before, newest), 1.0)


def _compare_arms(people: pl.DataFrame, challenger: str) -> Comparison | None:
    """Evaluate the A/B test of one challenger on the days on which both arms answered.

    Where the share was changed, the answers under the newest one count: others are of another split of the people.
    """
    second = people.filter((pl.col("arm") == "challenger") & (pl.col("model_version") == challenger))
    share = second.filter(pl.col("day") == pl.col("day").max())["challenger_share"].max()
    planned = float(share) if isinstance(share, float) else None
    second = second.filter(pl.col("challenger_share").eq_missing(planned))
    days = second["day"].unique()
    under = pl.col("challenger_share").eq_missing(planned)
    first = people.filter((pl.col("arm") == "champion") & pl.col("day").is_in(days.implode()) & under)
    if first.is_empty():
        return None
    both = first.select("person").unique().join(second.select("person").unique(), on="person")
    alone = [part.join(both, on="person", how="anti") for part in (first, second)]
    champion = first.group_by("model_version").agg(pl.col("n").sum()).sort("n", "model_version")["model_version"][-1]
    rates = [_summarise_rates(name, part) for name, part in zip((champion, challenger), alone, strict=True)]
    if any(each.hit_rate is None or each.ndcg is None for each in rates):
        return None
    named = [_count_named_people(part) for part in (first, second)]
    return Comparison(
        champion=champion,
        challenger=challenger,
        champion_rates=rates[0],
        challenger_rates=rates[1],
        hit_rate=_compare_metric(rates, "hit_rate"),
        ndcg=_compare_metric(rates, "ndcg"),
        p_adjusted=1.0,
        people_in_both=both.height,
        planned_share=planned,
        observed_share=named[1] / max(1, sum(named)),
        ratio_p_value=_test_sample_ratio(named, planned),
    )


def _compare_metric(rates: Sequence[Rates], metric: str) -> Difference:
    first, second = (getattr(each, metric) for each in rates)
    return compare_rates(first, second)


def _count_named_people(people: pl.DataFrame) -> int:
    # A request without a user is drawn again every time, so that it counts no person.
    return people.filter(~pl.col("person").str.starts_with("?"))["person"].n_unique()


def _test_sample_ratio(people: Sequence[int], share: float | None) -> float | None:
    """Chi-squared test that people were split as planned."""
    total = sum(people)
    if share is None or share >= 1 or not total:
        return None
    return float(chisquare(people, [total * (1 - share), total * share]).pvalue)
