"""Metrics of rankings with one target, their intervals, and the test between two models.

All of them read only ranks, so every model is measured by the same few lines. Users are resampled (one example each).
A resample is a row of counts, and the means of all models under it are one matrix product, so models are compared on
the same resamples.

Shape legend: E examples, M columns (a metric of a model), R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learn.errors import SettingsError

_Floats = NDArray[np.float64]

# Draws in memory at a time; 2^22 of four bytes are near the cache's size and far below any machine's memory.
_DRAWS = 2**22


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; both ends are NaN where there was nothing to resample."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Model a minus model b on the same examples.

    Attributes:
        mean: Mean of the differences.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p_value: Two-sided sign-flip permutation test of "no difference".
    """

    mean: float
    low: float
    high: float
    p_value: float


def list_metric_names(cutoffs: Sequence[int]) -> tuple[str, ...]:
    """Name the metrics for some cutoffs: ``recall@k`` and ``ndcg@k`` for each, and ``mrr``."""
    return (*(f"{name}@{k}" for k in cutoffs for name in ("recall", "ndcg")), "mrr")


def compute_metric(ranks: _Floats, metric: str) -> _Floats:
    """Return (E,) float64: the metric of each example, between 0 and 1.

    Args:
        ranks: (E,) ranks, 1 is best, ``inf`` a miss; halves mean ties.
        metric: ``recall@k`` (1 if rank <= k), ``ndcg@k`` (1 / log2(1 + rank) if rank <= k) or ``mrr`` (1 / rank).

    Raises:
        SettingsError: There is no such metric.
    """
    name, _, cutoff = metric.partition("@")
    if metric == "mrr":
        return 1.0 / ranks
    if name not in ("recall", "ndcg") or not cutoff.isdecimal() or int(cutoff) < 1:
        fix = "use `recall@k`, `ndcg@k` (k at least 1) or `mrr`"
        raise SettingsError(f"There is no metric `{metric}`.", where="evaluation", fix=fix)
    hit = ranks <= int(cutoff)
    if name == "recall":
        return hit.astype(np.float64)
    return np.where(hit, 1.0 / np.log2(1.0 + ranks), 0.0)


def average_metrics(ranks: _Floats, cutoffs: Sequence[int]) -> dict[str, float]:
    """Return the mean of every metric; NaN if there are no examples."""
    return {name: _compute_mean(compute_metric(ranks, name)) for name in list_metric_names(cutoffs)}


def bootstrap_interval(values: _Floats, *, samples: int, seed: int) -> Interval:
    """Return the 95 % percentile interval of the mean of ``values`` (E,), resampled over examples."""
    return bootstrap_intervals(values[:, None], samples=samples, seed=seed)[0]


def bootstrap_intervals(values: _Floats, *, samples: int, seed: int) -> list[Interval]:
    """Return the 95 % percentile interval of each column's mean, all columns on the same resamples.

    Args:
        values: (E, M) one row an example.
        samples: Resamples.
        seed: Seed of the draws; the same seed gives the same intervals.
    """
    if len(values) == 0:
        return [Interval(np.nan, np.nan)] * values.shape[1]
    low, high = np.percentile(_resample_means(values, samples=samples, seed=seed), (2.5, 97.5), axis=0)  # (M,), (M,)
    return [Interval(float(least), float(most)) for least, most in zip(low, high, strict=True)]


def compare_paired_ranks(ranks_a: _Floats, ranks_b: _Floats, metric: str, *, samples: int, seed: int) -> Difference:
    """Compare two models on the same examples, in the same order.

    Args:
        ranks_a: (E,) ranks of the one model.
        ranks_b: (E,) ranks of the other.
        metric: As in :func:`compute_metric`.
        samples: Resamples of the bootstrap and sign flips of the test.
        seed: Seed of both.
    """
    return compare_paired_metrics(ranks_a, ranks_b, (metric,), samples=samples, seed=seed)[metric]


def compare_paired_metrics(
    ranks_a: _Floats, ranks_b: _Floats, metrics: Sequence[str], *, samples: int, seed: int
) -> dict[str, Difference]:
    """Compare two models by several metrics at once; see :func:`compare_paired_ranks`.

    Raises:
        ValueError: The models were ranked on different numbers of examples.
    """
    if len(ranks_a) != len(ranks_b):
        raise ValueError(f"paired models need the same examples, not {len(ranks_a)} and {len(ranks_b)}")
    gaps = np.stack(
        [compute_metric(ranks_a, name) - compute_metric(ranks_b, name) for name in metrics], axis=1
    )  # (E, M)
    return dict(zip(metrics, compare_gaps(gaps, samples=samples, seed=seed), strict=True))


def compare_gaps(gaps: _Floats, *, samples: int, seed: int) -> list[Difference]:
    """Test for each column how two models differ.

    Args:
        gaps: (E, M) each example's metric under the one model minus that under the other.
        samples: Resamples of the bootstrap and sign flips of the test.
        seed: Seed of both.
    """
    intervals = bootstrap_intervals(gaps, samples=samples, seed=seed)
    p_values = _test_sign_flips(gaps, samples=samples, seed=seed)
    return [
        Difference(_compute_mean(column), interval.low, interval.high, p_value)
        for column, interval, p_value in zip(gaps.T, intervals, p_values, strict=True)
    ]


def _compute_mean(values: _Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _resample_means(values: _Floats, *, samples: int, seed: int) -> _Floats:
    """Return (R, M): the columns' means under each resample of the rows."""
    count = len(values)
    random = np.random.default_rng(seed)
    means = np.empty((samples, values.shape[1]))  # (R, M)
    for part in _iterate_parts(samples, count):
        size = part.stop - part.start
        draws = random.integers(0, count, size=(size, count), dtype=np.int32)  # (r, E)
        counts = np.stack([np.bincount(row, minlength=count) for row in draws])  # (r, E)
        means[part] = counts.astype(np.float64) @ values / count  # (r, M)
    return means


def _test_sign_flips(gaps: _Floats, *, samples: int, seed: int) -> list[float]:
    """Return for each column how often random signs give a mean at least as far from 0 as the observed one."""
    moved = gaps[np.any(gaps != 0, axis=1)]  # (e, M): signs do nothing to rows of zeros
    if len(moved) == 0:
        return [1.0] * gaps.shape[1]
    random = np.random.default_rng(seed)
    # The true signs are one of the equally likely ones; the margin keeps rounding from breaking its ties.
    observed = np.abs(moved.sum(axis=0)) - 1e-9  # (M,)
    beyond = np.ones(gaps.shape[1])  # (M,)
    for part in _iterate_parts(samples, len(moved)):
        size = part.stop - part.start
        bits = np.unpackbits(random.integers(0, 256, size=(size, -(-len(moved) // 8)), dtype=np.uint8), axis=1)
        signs = 1.0 - 2.0 * bits[:, : len(moved)]  # (r, e)
        beyond += (np.abs(signs @ moved) >= observed).sum(axis=0)
    return [float(share) for share in beyond / (samples + 1)]


def _iterate_parts(samples: int, count: int) -> Iterator[slice]:
    step = max(1, _DRAWS // max(count, 1))
    for start in range(0, samples, step):
        yield slice(start, min(start + step, samples))


CURVE_CUTOFFS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)
"""The k of the curve: each place of the first ten, which a page shows, then at growing distances."""


def compute_recall_curve(ranks: NDArray[np.float64]) -> list[float]:
    """Return Recall@k for each of :data:`CURVE_CUTOFFS`, NaN if there are no examples.

    Args:
        ranks: (E,) ranks, 1 is best, ``inf`` a miss; halves mean ties.
    """
    if len(ranks) == 0:
        return [float("nan")] * len(CURVE_CUTOFFS)
    reached = np.searchsorted(np.sort(ranks), CURVE_CUTOFFS, side="right")  # (K,): examples with rank <= k
    return [float(share) for share in reached / len(ranks)]
