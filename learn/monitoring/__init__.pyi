from .delivery import find_webhook_address
from .drift import judge_drift, run_drift, write_run_profile
from .drift_tests import judge_columns
from .embedding_map import OTHER, EmbeddingMap, map_embeddings
from .feedback import Comparison, LiveFeedback, Rate, Rates
from .profile import FOLDER, Profile, ProfileFacts, make_profile, read_profile
from .requests import REQUEST_COLUMNS, KnownHistories, MonitoredModel, View, find_places, rank_known
from .retraining import Retraining, Trained, retrain
from .samples import ColumnSample, Window, build_history_window, build_table_window, draw_live_columns, find_positions
from .summary import (
    LABEL_KINDS,
    LIST_KINDS,
    VECTOR_KINDS,
    ColumnDrift,
    DriftSummary,
    Part,
    TrendPoint,
    choose_trend_columns,
    find_part,
)
from .verdict import Findings, MonitorResult, Traffic, decide, notify
from .watch import choose_source, monitor, parse_window_begin, read_source

__all__ = [
    "FOLDER",
    "LABEL_KINDS",
    "LIST_KINDS",
    "OTHER",
    "REQUEST_COLUMNS",
    "VECTOR_KINDS",
    "ColumnDrift",
    "ColumnSample",
    "Comparison",
    "DriftSummary",
    "EmbeddingMap",
    "Findings",
    "KnownHistories",
    "LiveFeedback",
    "MonitorResult",
    "MonitoredModel",
    "Part",
    "Profile",
    "ProfileFacts",
    "Rate",
    "Rates",
    "Retraining",
    "Traffic",
    "Trained",
    "TrendPoint",
    "View",
    "Window",
    "build_history_window",
    "build_table_window",
    "choose_source",
    "choose_trend_columns",
    "decide",
    "draw_live_columns",
    "find_part",
    "find_places",
    "find_positions",
    "find_webhook_address",
    "judge_columns",
    "judge_drift",
    "make_profile",
    "map_embeddings",
    "monitor",
    "notify",
    "parse_window_begin",
    "rank_known",
    "read_profile",
    "read_source",
    "retrain",
    "run_drift",
    "write_run_profile",
]
