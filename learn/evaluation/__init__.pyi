from .baselines import Blend, ContentNeighbours, fit_baselines
from .evaluator import evaluate, evaluate_run, ranked
from .gate import Decision, Rule, validation_rule
from .metrics import (
    Difference,
    Interval,
    bootstrap_interval,
    bootstrap_intervals,
    figures,
    gap_differences,
    metric_names,
    metric_values,
    paired_difference,
)
from .prepare import PreparedFolder, prepare_folder
from .production import ProductionModel, Standing
from .ranking import Ranks, Scorer, rank_targets
from .results import Evaluation, Masking
from .selection import train_selected, tune_channels, validation_ndcg
from .slices import slice_masks

__all__ = [
    "Blend",
    "ContentNeighbours",
    "Decision",
    "Difference",
    "Evaluation",
    "Interval",
    "Masking",
    "PreparedFolder",
    "ProductionModel",
    "Ranks",
    "Rule",
    "Scorer",
    "Standing",
    "bootstrap_interval",
    "bootstrap_intervals",
    "evaluate",
    "evaluate_run",
    "figures",
    "fit_baselines",
    "gap_differences",
    "metric_names",
    "metric_values",
    "paired_difference",
    "prepare_folder",
    "rank_targets",
    "ranked",
    "slice_masks",
    "train_selected",
    "tune_channels",
    "validation_ndcg",
    "validation_rule",
]
