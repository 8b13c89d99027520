"""Rates of live traffic, with people as the independent units.

A person brings several lists, and lists of one person are alike: intervals that take lists for independent are too
short. The rate is a ratio of two sums over people, and its variance that of the ratio's linear part (the delta
method; Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, section 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Sums:
    """Sums over people of what a person's lists gained (x) and of how many they were (n).

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
        people: People behind it.
        lists: Lists behind it.
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


def rate(sums: Sums) -> Rate | None:
    """Return the rate behind some sums; None where there are no lists."""
    if sums.n <= 0:
        return None
    mean = sums.x / sums.n
    scatter = max(0.0, sums.xx - 2 * mean * sums.xn + mean * mean * sums.nn)
    people = sums.people / max(1, sums.people - 1)
    error = math.sqrt(people * scatter) / sums.n
    low, high = _wilson(mean, error, sums.people)
    return Rate(mean, low, high, error, sums.people, int(sums.n))


def difference(first: Rate, second: Rate) -> Difference:
    """Test whether two rates of different people differ: with one list a person, the two-proportion z-test."""
    value = second.value - first.value
    error = math.hypot(_never_zero(first), _never_zero(second))
    p_value = math.erfc(abs(value) / error / math.sqrt(2))
    return Difference(value, value - _NORMAL_95 * error, value + _NORMAL_95 * error, p_value)


def _never_zero(rate: Rate) -> float:
    # A rate of exactly 0 has no scatter, and yet a hit rate that fell to 0 must be found: the interval's width tells.
    return rate.error or (rate.high - rate.low) / (2 * _NORMAL_95)


def _wilson(mean: float, error: float, people: int) -> tuple[float, float]:
    """Wilson's interval with as many independent trials as the error stands for; never empty at 0 or 1."""
    spread = mean * (1 - mean)
    trials = spread / error**2 if error > 0 and spread > 0 else float(people)
    z2 = _NORMAL_95**2 / trials
    middle = (mean + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (spread + z2 / 4)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)
