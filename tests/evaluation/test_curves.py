from __future__ import annotations

import numpy as np
import pytest

from learn.evaluation.metrics import CURVE_CUTOFFS, compute_metric, compute_recall_curve


def test_the_curve_goes_through_recall_at_every_cutoff() -> None:
    # Halves are ties, infinity a miss.
    ranks = np.concatenate([np.random.default_rng(0).integers(1, 300, 200) / 2, [1.0, 10.5, 100.0, 100.5, np.inf]])
    expected = [compute_metric(ranks, f"recall@{k}").mean() for k in CURVE_CUTOFFS]
    assert compute_recall_curve(ranks) == pytest.approx(expected)


def test_without_examples_there_is_no_curve() -> None:
    assert np.isnan(compute_recall_curve(np.array([]))).all()
