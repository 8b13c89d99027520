"""The page of an evaluation: every figure as a picture, and as a number below it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from learn import evaluation_pictures
from learn.data.splits import SplitSummary
from learn.page import both_shapes, write_page
from learn.results import AgainstProduction

_MASKINGS = ("masked", "unmasked")
_TABLED_CUTOFFS = (1, 2, 3, 5, 10, 20, 50, 100)
# The page compares; the run's own page shows more of the baselines.
_BEST_IN_SLICES = 1


def write_evaluation_page(metrics: dict[str, Any], page: Path, *, run_id: str, split: SplitSummary) -> Path:
    """Write the page; it needs no network, and nothing on it mixes masked and unmasked figures.

    Args:
        metrics: As in ``metrics.json``.
        page: The HTML file.
        run_id: Metaflow's.
        split: What the examples are.

    Raises:
        StorageError: The disk is full or closed.
    """
    return write_page(
        "evaluation.html.jinja",
        page,
        run_id=run_id,
        split=split,
        metrics=metrics,
        production=AgainstProduction.of(metrics),
        cutoffs=[(k, place) for place, k in enumerate(metrics["recall_curves"]["cutoffs"]) if k in _TABLED_CUTOFFS],
        order={masking: evaluation_pictures.by_quality(metrics["test"], masking) for masking in _MASKINGS},
        pictures={masking: _pictures(metrics, masking) for masking in _MASKINGS},
        lists=both_shapes(partial(evaluation_pictures.lists, metrics)),
    )


def _pictures(metrics: dict[str, Any], masking: str) -> dict[str, dict[str, str]]:
    return {
        "quality": both_shapes(partial(evaluation_pictures.metrics_with_intervals, metrics, masking=masking)),
        "differences": both_shapes(partial(evaluation_pictures.differences, metrics, masking=masking)),
        "curves": both_shapes(partial(evaluation_pictures.recall_curves, metrics, masking=masking)),
        "slices": both_shapes(partial(evaluation_pictures.slices, metrics, masking=masking, best=_BEST_IN_SLICES)),
    }
