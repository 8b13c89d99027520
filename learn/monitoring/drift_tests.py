"""The two-sample tests behind a drift report, and the verdict on each column.

**Numbers and categories.** Values are put into bins (pooled quantiles for numbers, the commonest values for
categories), and the bin shares of the two windows are compared by their Hellinger distance. The p-value is a
permutation's. Swapping rows between the windows only moves bin counts, which a multivariate hypergeometric draw does
exactly: ten thousand permutations cost milliseconds, and ties need no approximation. Where the first tenth of them
shows no finding, the others are not drawn; such a p-value stays above a tenth, so false alarms can only become fewer.
The distance that chance makes is subtracted from the effect, so small windows do not look worse than large ones.
On this scale a fifth of the traffic moving to something new is .33, a tenth .23, and a shift of a normal column by .3
standard deviations .11.

**Vectors.** A classifier sees half of the rows of both windows. If it can tell the windows apart on the other half,
they differ. The classifier is kernel ridge regression with a Gaussian kernel, which sees shifts, rotations and new
clusters alike and has a closed form. Its held-out scores are one column of numbers and are tested like any other.

**Lists.** Coverage and concentration depend on the number of lists, so equally many of both sides are compared. Their
scatter is learned by swapping whole lists, because the places of one list depend on each other.

**Verdict.** A column has drifted when the difference is significant after Holm's correction over all columns and its
effect reaches the floor. One of them would mislead: many columns make chance findings, and many rows make every
difference significant.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from learn.config import DriftSettings
from learn.monitoring.samples import ColumnSample
from learn.monitoring.summary import LABEL_KINDS, LIST_KINDS, VECTOR_KINDS, ColumnDrift, Status

MAX_BINS = 20
"""Finer bins see smaller changes but need more rows; with 20 a bin still holds one row in twenty."""

_ROWS_PER_BIN = 25
_TOLERANCE = 1e-12
_FIRST_SHARE = 0.1
_PLAIN_SHARE = 0.1
"""If so many of the first permutations are at least as far apart, the p-value is far above any significance level."""


@dataclass(frozen=True)
class Comparison:
    """The result of a two-sample test.

    Attributes:
        effect: Hellinger distance, 0 (alike) to 1 (nothing in common), minus the distance that chance makes.
        p_value: Share of permutations at least as far apart; never 0.
    """

    effect: float
    p_value: float


def compare_numbers(
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> Comparison:
    """Compare two columns of finite numbers, ``(n,)`` and ``(m,)``, both non-empty."""
    bins = _bin_count(len(reference), len(current))
    pooled = np.concatenate([reference, current])
    # Edges from the pooled rows do not depend on which window a row is in, so the permutation stays exact.
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    size = len(edges) + 1
    counts = [np.bincount(np.searchsorted(edges, part, side="left"), minlength=size) for part in (reference, current)]
    return compare_counts(counts[0], counts[1], permutations=permutations, rng=rng)


def compare_categories(
    reference: Sequence[str],
    current: Sequence[str],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> Comparison:
    """Compare two columns of labels; the rarest share one bin."""
    labels, codes = np.unique(np.asarray([*reference, *current], dtype=str), return_inverse=True)
    bins = _bin_count(len(reference), len(current))
    by_count = np.argsort(-np.bincount(codes, minlength=len(labels)), kind="stable")
    place = np.full(len(labels), bins - 1)
    place[by_count[: bins - 1]] = np.arange(min(bins - 1, len(labels)))
    binned = place[codes]
    counts = [np.bincount(part, minlength=bins) for part in (binned[: len(reference)], binned[len(reference) :])]
    return compare_counts(counts[0], counts[1], permutations=permutations, rng=rng)


def compare_counts(
    reference: NDArray[np.int64],
    current: NDArray[np.int64],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> Comparison:
    """Compare two windows by their counts ``(bins,)`` in the same bins."""
    pooled = reference + current
    observed = _compute_squared_distances(reference[None], pooled)[0]

    def shuffle_distances(size: int) -> NDArray[np.float64]:
        # "marginals" takes the bins one by one and needs no memory by row.
        shuffled = rng.multivariate_hypergeometric(pooled, int(reference.sum()), size=size, method="marginals")
        return _compute_squared_distances(shuffled, pooled)

    first = math.ceil(_FIRST_SHARE * permutations)
    by_chance = shuffle_distances(first)  # (first,)
    if np.mean(by_chance >= observed - _TOLERANCE) <= _PLAIN_SHARE:
        by_chance = np.concatenate([by_chance, shuffle_distances(permutations - first)])  # (permutations,)
    p_value = (1 + int(np.sum(by_chance >= observed - _TOLERANCE))) / (len(by_chance) + 1)
    return Comparison(effect=float(np.sqrt(max(0.0, observed - float(by_chance.mean())))), p_value=p_value)


def correct_holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down correction: at most ``significance`` false alarms in the whole family."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped)) if len(p_values) else stepped
    return tuple(float(value) for value in adjusted)


def count_permutations(asked: int, *, tests: int, significance: float) -> int:
    """The permutations to run: enough that the smallest p-value passes the correction over ``tests`` tests."""
    return max(asked, int(np.ceil(2 * tests / significance)))


def _bin_count(reference_rows: int, current_rows: int) -> int:
    return int(np.clip(min(reference_rows, current_rows) // _ROWS_PER_BIN, 2, MAX_BINS))


def _compute_squared_distances(reference_counts: NDArray[np.int64], pooled: NDArray[np.int64]) -> NDArray[np.float64]:
    """Squared Hellinger distances ``(b,)`` of reference counts ``(b, bins)`` from the rest of the pool."""
    reference_shares = reference_counts / reference_counts.sum(axis=1, keepdims=True)
    current_counts = pooled - reference_counts
    current_shares = current_counts / current_counts.sum(axis=1, keepdims=True)
    squared: NDArray[np.float64] = 1.0 - np.sqrt(reference_shares * current_shares).sum(axis=1)
    return squared


_RIDGE = 1.0
"""Finds shifts as well as 50 does and rotations far better (planted ones, 500 rows of 64: .70 against .27)."""

_BANDWIDTH_ROWS = 500
"""A median over 125,000 pairs is as good as one over all."""


def compare_vectors(
    reference: NDArray[np.float32],
    current: NDArray[np.float32],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> Comparison:
    """Compare two sets of finite vectors, ``(n, d)`` and ``(m, d)``; one vector a row, rows independent.

    Each half is scored by a classifier fitted on the other; the smaller p-value is doubled for having
    looked twice, the effect is the mean of both.
    """
    pooled = np.concatenate([reference, current]).astype(np.float64)
    # Centred first, so that single precision loses nothing in the differences of squares.
    centred = (pooled - pooled.mean(axis=0)).astype(np.float32)
    is_current = np.repeat(np.asarray([0.0, 1.0], np.float32), [len(reference), len(current)])
    fold = np.concatenate([_draw_halves(len(part), rng) for part in (reference, current)])
    bandwidth = _estimate_median_squared_distance(centred, rng)
    across = _compute_kernel(centred[fold], centred[~fold], bandwidth=bandwidth)
    halves = []
    for held_out, between in ((fold, across), (~fold, across.T)):
        weights = _fit_classifier(centred[~held_out], is_current[~held_out], bandwidth=bandwidth)
        scores = (between @ weights).astype(np.float64)  # (m,)
        truth = is_current[held_out] == 1
        halves.append(compare_numbers(scores[~truth], scores[truth], permutations=permutations, rng=rng))
    return Comparison(
        effect=float(np.mean([half.effect for half in halves])),
        p_value=min(1.0, 2 * min(half.p_value for half in halves)),
    )


def _draw_halves(rows: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    chosen = np.zeros(rows, dtype=bool)
    chosen[rng.permutation(rows)[: rows // 2]] = True
    return chosen


def _estimate_median_squared_distance(vectors: NDArray[np.float32], rng: np.random.Generator) -> float:
    some = vectors[rng.permutation(len(vectors))[:_BANDWIDTH_ROWS]]
    distances = _compute_pairwise_distances(some, some)
    return float(np.median(distances[np.triu_indices(len(some), 1)])) or 1.0


def _fit_classifier(
    vectors: NDArray[np.float32], is_current: NDArray[np.float32], *, bandwidth: float
) -> NDArray[np.float32]:
    """Return the weight ``(n,)`` of each row that the classifier has seen."""
    # Each window weighs the same however many rows it has, else the larger one wins every prediction.
    labels = np.where(is_current == 1, 0.5 / is_current.sum(), -0.5 / (1 - is_current).sum()) * len(is_current)
    kernel = _compute_kernel(vectors, vectors, bandwidth=bandwidth)  # (n, n)
    kernel[np.diag_indices_from(kernel)] += _RIDGE
    weights: NDArray[np.float32] = cho_solve(
        cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False), labels.astype(np.float32)
    )
    return weights


def _compute_kernel(left: NDArray[np.float32], right: NDArray[np.float32], *, bandwidth: float) -> NDArray[np.float32]:
    distances = _compute_pairwise_distances(left, right)  # (n, m)
    distances *= np.float32(-1 / bandwidth)
    return np.exp(distances, out=distances)


def _compute_pairwise_distances(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    # By a matrix product, twenty times as fast as pair by pair; rounding may leave a hair below zero.
    distances: NDArray[np.float32] = left @ right.T  # (n, m)
    distances *= -2
    distances += np.square(left).sum(axis=1)[:, None]  # (n, 1)
    distances += np.square(right).sum(axis=1)  # (m,)
    return np.maximum(distances, 0, out=distances)


_MOST_LISTS = 1_000
_SWAPS = 300
"""The figures sum over many items, so their scatter under swaps is a bell curve that 300 draws measure to a
twentieth; its tail then gives p-values that would else take tens of thousands."""

Figure = Callable[[NDArray[np.int64]], float]


def compute_coverage(counts: NDArray[np.int64]) -> float:
    """Items shown at least once."""
    return float(np.count_nonzero(counts))


def compute_concentration(counts: NDArray[np.int64]) -> float:
    """Gini coefficient of the places that items hold: 0 all equally, near 1 a few only."""
    ordered = np.sort(counts)
    total = int(ordered.sum())
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * ranks - len(ordered) - 1) @ ordered) / max(1, len(ordered) * total)


def compare_lists(
    reference: NDArray[np.int64], current: NDArray[np.int64], *, figure: Figure, rng: np.random.Generator
) -> Comparison:
    """Compare a figure of two sides' lists, ``(n, k)`` and ``(m, k)`` item numbers from 0.

    The effect is the difference of the figures, relative to the larger.
    """
    rows = min(len(reference), len(current), _MOST_LISTS)
    lists = np.concatenate([part[rng.permutation(len(part))[:rows]] for part in (reference, current)])  # (2 rows, k)
    size = int(lists.max()) + 1
    pooled = np.bincount(lists.ravel(), minlength=size)

    def compute_figures(chosen: NDArray[np.int64]) -> tuple[float, float]:
        counts = np.bincount(lists[chosen].ravel(), minlength=size)
        return figure(counts), figure(pooled - counts)

    observed = compute_figures(np.arange(rows))
    swapped = [compute_figures(rng.permutation(2 * rows)[:rows]) for _ in range(_SWAPS)]
    by_chance = np.std([one - other for one, other in swapped])
    difference = abs(observed[0] - observed[1])
    p_value = 1.0 if difference == 0 else 0.0 if by_chance == 0 else math.erfc(difference / by_chance / math.sqrt(2))
    return Comparison(effect=difference / max(*observed, 1e-12), p_value=max(p_value, 1e-300))


FEWEST_ROWS = 50
"""Below this a change must be so large to be significant that silence would mean nothing."""


def judge_columns(samples: Sequence[ColumnSample], *, settings: DriftSettings, seed: int) -> tuple[ColumnDrift, ...]:
    """Test every column, correct over those that could be tested, and say which have drifted."""
    reasons = [_explain_untested(sample) for sample in samples]
    testable = [sample for sample, reason in zip(samples, reasons, strict=True) if reason is None]
    permutations = count_permutations(
        settings.permutations, tests=max(1, len(testable)), significance=settings.significance
    )
    compared = [_compare_sample(sample, permutations=permutations, seed=seed) for sample in testable]
    adjusted = correct_holm([comparison.p_value for comparison in compared])
    found = iter(zip(compared, adjusted, strict=True))
    return tuple(
        _judge_column(sample, *next(found), settings) if reason is None else _skip_column(sample, *reason)
        for sample, reason in zip(samples, reasons, strict=True)
    )


def _explain_untested(sample: ColumnSample) -> tuple[Status, str] | None:
    if sample.absent:
        return "absent", sample.absent
    rows = min(len(sample.reference), len(sample.current))
    if rows < FEWEST_ROWS:
        return "too_few_rows", f"{rows} rows in the smaller window, {FEWEST_ROWS} are needed"
    return None


def _compare_sample(sample: ColumnSample, *, permutations: int, seed: int) -> Comparison:
    # A separate stream of draws, so that a column's p-value does not depend on the other columns.
    rng = np.random.default_rng([seed, zlib.crc32(sample.name.encode())])
    parts = sample.reference, sample.current
    if sample.kind in VECTOR_KINDS:
        vectors = [part.astype(np.float32) for part in parts]
        return compare_vectors(vectors[0], vectors[1], permutations=permutations, rng=rng)
    if sample.kind in LIST_KINDS:
        lists = [part.astype(np.int64) for part in parts]
        return compare_lists(
            lists[0], lists[1], figure=compute_coverage if sample.kind == "coverage" else compute_concentration, rng=rng
        )
    if sample.kind in LABEL_KINDS:
        labels = [[str(label) for label in part] for part in parts]
        return compare_categories(labels[0], labels[1], permutations=permutations, rng=rng)
    numbers = [part.astype(np.float64) for part in parts]
    return compare_numbers(numbers[0], numbers[1], permutations=permutations, rng=rng)


def _name_method(sample: ColumnSample) -> str:
    if sample.kind in VECTOR_KINDS:
        return "classifier two-sample"
    return "lists swapped" if sample.kind in LIST_KINDS else "binned Hellinger distance"


def _judge_column(
    sample: ColumnSample, comparison: Comparison, adjusted: float, settings: DriftSettings
) -> ColumnDrift:
    return ColumnDrift(
        name=sample.name,
        kind=sample.kind,
        status="tested",
        method=_name_method(sample),
        effect=comparison.effect,
        p_value=comparison.p_value,
        p_adjusted=adjusted,
        drifted=adjusted <= settings.significance and comparison.effect >= settings.min_effect,
        reason="",
        reference_rows=len(sample.reference),
        current_rows=len(sample.current),
    )


def _skip_column(sample: ColumnSample, status: Status, reason: str) -> ColumnDrift:
    return ColumnDrift(
        name=sample.name,
        kind=sample.kind,
        status=status,
        method="",
        effect=None,
        p_value=None,
        p_adjusted=None,
        drifted=False,
        reason=reason,
        reference_rows=len(sample.reference),
        current_rows=len(sample.current),
    )
