"""The verdict on each column of a drift report, all columns together one family of tests.

A column has drifted when both hold: the difference is significant after Holm's correction over the
family, and its effect reaches the floor. Either alone misleads: many columns make chance findings, and
many rows make every difference significant.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from learn.config import DriftSettings
from learn.monitoring.embedding_drift import compare_vectors
from learn.monitoring.list_tests import compare_lists, concentration, coverage
from learn.monitoring.samples import ColumnSample
from learn.monitoring.summary import LABEL_KINDS, LIST_KINDS, VECTOR_KINDS, ColumnDrift, Status
from learn.monitoring.two_sample import Comparison, compare_categories, compare_numbers, enough_permutations, holm

FEWEST_ROWS = 50
"""Below this a change must be so large to be significant that silence would mean nothing."""


def drifted_columns(samples: Sequence[ColumnSample], *, settings: DriftSettings, seed: int) -> tuple[ColumnDrift, ...]:
    """Test every column, correct over those that could be tested, and say which have drifted."""
    reasons = [_untested(sample) for sample in samples]
    testable = [sample for sample, reason in zip(samples, reasons, strict=True) if reason is None]
    permutations = enough_permutations(
        settings.permutations, tests=max(1, len(testable)), significance=settings.significance
    )
    compared = [_compared(sample, permutations=permutations, seed=seed) for sample in testable]
    adjusted = holm([comparison.p_value for comparison in compared])
    found = iter(zip(compared, adjusted, strict=True))
    return tuple(
        _verdict(sample, *next(found), settings) if reason is None else _skipped(sample, *reason)
        for sample, reason in zip(samples, reasons, strict=True)
    )


def _untested(sample: ColumnSample) -> tuple[Status, str] | None:
    if sample.absent:
        return "absent", sample.absent
    rows = min(len(sample.reference), len(sample.current))
    if rows < FEWEST_ROWS:
        return "too_few_rows", f"{rows} rows in the smaller window, {FEWEST_ROWS} are needed"
    return None


def _compared(sample: ColumnSample, *, permutations: int, seed: int) -> Comparison:
    # A stream of draws of its own, so that a column's p-value does not depend on which others there are.
    rng = np.random.default_rng([seed, zlib.crc32(sample.name.encode())])
    parts = sample.reference, sample.current
    if sample.kind in VECTOR_KINDS:
        vectors = [part.astype(np.float32) for part in parts]
        return compare_vectors(vectors[0], vectors[1], permutations=permutations, rng=rng)
    if sample.kind in LIST_KINDS:
        lists = [part.astype(np.int64) for part in parts]
        return compare_lists(
            lists[0], lists[1], figure=coverage if sample.kind == "coverage" else concentration, rng=rng
        )
    if sample.kind in LABEL_KINDS:
        labels = [[str(label) for label in part] for part in parts]
        return compare_categories(labels[0], labels[1], permutations=permutations, rng=rng)
    numbers = [part.astype(np.float64) for part in parts]
    return compare_numbers(numbers[0], numbers[1], permutations=permutations, rng=rng)


def _method(sample: ColumnSample) -> str:
    if sample.kind in VECTOR_KINDS:
        return "classifier two-sample"
    return "lists swapped" if sample.kind in LIST_KINDS else "binned Hellinger distance"


def _verdict(sample: ColumnSample, comparison: Comparison, adjusted: float, settings: DriftSettings) -> ColumnDrift:
    return ColumnDrift(
        name=sample.name,
        kind=sample.kind,
        status="tested",
        method=_method(sample),
        effect=comparison.effect,
        p_value=comparison.p_value,
        p_adjusted=adjusted,
        drifted=adjusted <= settings.significance and comparison.effect >= settings.min_effect,
        reason="",
        reference_rows=len(sample.reference),
        current_rows=len(sample.current),
    )


def _skipped(sample: ColumnSample, status: Status, reason: str) -> ColumnDrift:
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
