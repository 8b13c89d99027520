"""Pages of a run: one HTML file each that opens without a network, on a telephone too.

The page of an evaluation: every figure as a picture, and as a number below it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from learn.data import SplitSummary
from learn.report import evaluation_figures as evaluation_pictures
from learn.report.drawing import svg
from learn.report.results import AgainstProduction
from learn.storage import write_whole


def write_page(template: str, page: Path, **values: Any) -> Path:
    """Fill a template of this package and write it, whole or not at all.

    Raises:
        StorageError: The disk is full or closed.
    """
    environment = Environment(
        loader=PackageLoader("learn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(values)
    write_whole(page, text)
    return page


def both_shapes(draw: Callable[..., Figure]) -> dict[str, str]:
    """Draw a picture for wide and for narrow screens; the page shows one of the two."""
    return {"wide": svg(draw()), "narrow": svg(draw(narrow=True))}


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
