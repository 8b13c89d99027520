"""One sound two-sample test for every column of a drift report.

Values are put into bins (pooled quantiles for numbers, the commonest values for categories), and the
two windows' bin shares are compared by their Hellinger distance. The p-value is a permutation's:
swapping rows between the windows only moves bin counts, which a multivariate hypergeometric draw does
exactly, so ten thousand permutations cost milliseconds and ties need no approximation. Where the first
tenth of them makes it plain that there is no finding, the others are not drawn: such a p-value stays
above a tenth, so false alarms can only become fewer. The distance that chance alone makes is taken off the
effect, so that small windows do not look worse than large ones.

On this scale a fifth of the traffic moving to something new is .33, a tenth .23, a shift of a normal
column by .3 standard deviations .11.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_BINS = 20
"""Finer bins see smaller changes but need more rows; with 20 a bin still holds one row in twenty."""

_ROWS_PER_BIN = 25
_TOLERANCE = 1e-12
_FIRST_SHARE = 0.1
_PLAIN_SHARE = 0.1
"""So many of the first permutations at least as far apart: the p-value is far above any level of significance."""


@dataclass(frozen=True)
class Comparison:
    """What a two-sample test said.

    Attributes:
        effect: Hellinger distance, 0 (alike) to 1 (nothing in common), less what chance makes.
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
    observed = _squared_distances(reference[None], pooled)[0]

    def shuffled_distances(size: int) -> NDArray[np.float64]:
        # "marginals" takes the bins one by one and needs no memory by row.
        shuffled = rng.multivariate_hypergeometric(pooled, int(reference.sum()), size=size, method="marginals")
        return _squared_distances(shuffled, pooled)

    first = math.ceil(_FIRST_SHARE * permutations)
    by_chance = shuffled_distances(first)  # (first,)
    if np.mean(by_chance >= observed - _TOLERANCE) <= _PLAIN_SHARE:
        by_chance = np.concatenate([by_chance, shuffled_distances(permutations - first)])  # (permutations,)
    p_value = (1 + int(np.sum(by_chance >= observed - _TOLERANCE))) / (len(by_chance) + 1)
    return Comparison(effect=float(np.sqrt(max(0.0, observed - float(by_chance.mean())))), p_value=p_value)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down correction: at most ``significance`` false alarms in the whole family."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped)) if len(p_values) else stepped
    return tuple(float(value) for value in adjusted)


def enough_permutations(asked: int, *, tests: int, significance: float) -> int:
    """The permutations to run: enough that the smallest p-value passes the correction over ``tests`` tests."""
    return max(asked, int(np.ceil(2 * tests / significance)))


def _bin_count(reference_rows: int, current_rows: int) -> int:
    return int(np.clip(min(reference_rows, current_rows) // _ROWS_PER_BIN, 2, MAX_BINS))


def _squared_distances(reference_counts: NDArray[np.int64], pooled: NDArray[np.int64]) -> NDArray[np.float64]:
    """Squared Hellinger distances ``(b,)`` of reference counts ``(b, bins)`` from the rest of the pool."""
    reference_shares = reference_counts / reference_counts.sum(axis=1, keepdims=True)
    current_counts = pooled - reference_counts
    current_shares = current_counts / current_counts.sum(axis=1, keepdims=True)
    squared: NDArray[np.float64] = 1.0 - np.sqrt(reference_shares * current_shares).sum(axis=1)
    return squared
