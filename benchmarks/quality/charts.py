"""The pictures of the page, drawn by the same code as those of a run's report."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from benchmarks.quality.rows import Estimate, Estimated, spell_out
from learn.evaluation import Masking
from learn.report import evaluation_figures as evaluation_pictures

_METRICS = ("recall@10", "ndcg@10")


def draw_models(estimated: Estimated, masking: Masking, *, published: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw Recall@10 and NDCG@10 of every row with its interval.

    Args:
        estimated: The rows of one case.
        masking: The protocol of the figures.
        published: Name -> published Recall@10 and NDCG@10 of the same protocol, which have no interval.
    """
    figures = {row.label: _collect_figures(found, masking) for row, found in estimated}
    intervals = {row.label: _collect_intervals(found, masking) for row, found in estimated}
    for name, values in published.items():
        drawn = dict(zip(_METRICS, values, strict=True))
        label = f"{name.partition(' (')[0]}, published"  # the source stands in the table
        figures[label] = {masking: drawn}
        intervals[label] = {masking: {metric: (value, value) for metric, value in drawn.items()}}
    return evaluation_pictures.draw_metrics({"test": figures, "intervals": {"test": intervals}}, masking=masking)


def draw_slices(whole: Estimated, slices: Mapping[str, Estimated], *, masking: Masking) -> Figure:
    """Draw Recall@10 of the towers, the best others and popularity in each slice.

    Args:
        whole: The rows over all examples, by which the best are found.
        slices: Slice -> the rows over its examples; none of them is empty.
        masking: The protocol of the figures.
    """
    drawn = {
        spell_out(name): {
            "count": int(estimated[0][0].select_examples(name).sum()),
            "metrics": {row.label: _collect_figures(found, masking) for row, found in _select_others(estimated)},
            "intervals": {row.label: _collect_intervals(found, masking) for row, found in _select_others(estimated)},
        }
        for name, estimated in slices.items()
    }
    figures = {row.label: _collect_figures(found, masking) for row, found in _select_others(whole)}
    return evaluation_pictures.draw_slices({"test": figures, "slices": {"test": drawn}}, masking=masking)


def _select_others(estimated: Estimated) -> Estimated:
    # The towers with another loss are no baseline.
    return [(row, found) for row, found in estimated if not row.model.startswith("towers_")]


def _collect_figures(found: Mapping[str, Estimate], masking: Masking) -> dict[str, dict[str, float]]:
    return {masking: {metric: estimate.mean for metric, estimate in found.items()}}


def _collect_intervals(found: Mapping[str, Estimate], masking: Masking) -> dict[str, dict[str, tuple[float, float]]]:
    return {masking: {name: (estimate.interval.low, estimate.interval.high) for name, estimate in found.items()}}
