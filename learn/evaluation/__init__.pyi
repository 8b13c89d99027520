from .baselines import Blend, ContentNeighbours, fit_baselines
from .evaluator import count_ranked, evaluate_models, evaluate_run
from .gate import Decision, Rule, judge_validation
from .metrics import (
    Difference,
    Interval,
    average_metrics,
    bootstrap_interval,
    bootstrap_intervals,
    compare_gaps,
    compare_paired_ranks,
    compute_metric,
    list_metric_names,
)
from .prepare import prepare_folder
from .production import ProductionModel, Standing
from .ranking import Ranks, Scorer, rank_targets
from .results import Evaluation, Masking
from .selection import make_validation_measure, train_selected, tune_channels
from .slices import mark_slices

__all__ = [
    "Blend",
    "ContentNeighbours",
    "Decision",
    "Difference",
    "Evaluation",
    "Interval",
    "Masking",
    "ProductionModel",
    "Ranks",
    "Rule",
    "Scorer",
    "Standing",
    "average_metrics",
    "bootstrap_interval",
    "bootstrap_intervals",
    "compare_gaps",
    "compare_paired_ranks",
    "compute_metric",
    "count_ranked",
    "evaluate_models",
    "evaluate_run",
    "fit_baselines",
    "judge_validation",
    "list_metric_names",
    "make_validation_measure",
    "mark_slices",
    "prepare_folder",
    "rank_targets",
    "train_selected",
    "tune_channels",
]
