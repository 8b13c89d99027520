"""Full ranking, baselines, slices and the intervals around every figure.

The entries stand in submodules, so that importing the room does not load torch or scikit-learn:

- ``from learn.evaluation.evaluate import evaluate``: models in, :class:`~learn.evaluation.evaluation.Evaluation` out.
- ``from learn.evaluation.baseline_set import fit_baselines``: the baselines that the settings name.
- ``from learn.evaluation.ranking import Scorer, rank_targets``: what a model must offer, and its ranks.
- ``from learn.evaluation.beyond_accuracy import top_lists``: a model's lists.
- ``from learn.evaluation.evaluation import Evaluation, read_ranks``: results and their files.
"""

from learn.evaluation.metrics import (
    Difference,
    Interval,
    bootstrap_interval,
    figures,
    metric_names,
    metric_values,
    paired_difference,
)

__all__ = [
    "Difference",
    "Interval",
    "bootstrap_interval",
    "figures",
    "metric_names",
    "metric_values",
    "paired_difference",
]
