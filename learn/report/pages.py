"""Pages of a run: one HTML file each that needs no network and fits a telephone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from learn.data import SplitSummary
from learn.report import evaluation_figures
from learn.report.drawing import render_svg
from learn.report.results import AgainstProduction
from learn.storage import write_atomic


def write_page(template: str, page: Path, **values: Any) -> Path:
    """Fill a template of this package and write it, completely or not at all.

    Raises:
        StorageError: The disk is full or not writable.
    """
    environment = Environment(
        loader=PackageLoader("learn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(values)
    write_atomic(page, text)
    return page


def draw_both_widths(draw: Callable[..., Figure]) -> dict[str, str]:
    """Draw a picture for wide and for narrow screens; the page shows one of the two."""
    return {"wide": render_svg(draw()), "narrow": render_svg(draw(narrow=True))}


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
        StorageError: The disk is full or not writable.
    """
    return write_page(
        "evaluation.html.jinja",
        page,
        run_id=run_id,
        split=split,
        metrics=metrics,
        production=AgainstProduction.from_metrics(metrics),
        cutoffs=[(k, place) for place, k in enumerate(metrics["recall_curves"]["cutoffs"]) if k in _TABLED_CUTOFFS],
        order={masking: evaluation_figures.sort_by_quality(metrics["test"], masking) for masking in _MASKINGS},
        pictures={masking: _draw_pictures(metrics, masking) for masking in _MASKINGS},
        lists=draw_both_widths(partial(evaluation_figures.draw_lists, metrics)),
    )


def _draw_pictures(metrics: dict[str, Any], masking: str) -> dict[str, dict[str, str]]:
    return {
        "quality": draw_both_widths(partial(evaluation_figures.draw_metrics, metrics, masking=masking)),
        "differences": draw_both_widths(partial(evaluation_figures.draw_differences, metrics, masking=masking)),
        "curves": draw_both_widths(partial(evaluation_figures.draw_recall_curves, metrics, masking=masking)),
        "slices": draw_both_widths(
            partial(evaluation_figures.draw_slices, metrics, masking=masking, best=_BEST_IN_SLICES)
        ),
    }
