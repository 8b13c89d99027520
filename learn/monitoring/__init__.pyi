from .delivery import webhook_address
from .drift import drift_rule, run_drift, write_run_profile
from .drift_tests import drifted_columns
from .embedding_map import OTHER, EmbeddingMap, map_embeddings
from .feedback import Comparison, LiveFeedback, Rate, Rates
from .profile import FOLDER, Profile, ProfileFacts, make_profile, read_profile
from .requests import REQUEST_COLUMNS, KnownHistories, View, WatchedModel, places_of, top_lists
from .retraining import Retraining, Trained, retrain
from .samples import ColumnSample, Window, history_window, live_columns, positions_from, table_window
from .summary import (
    LABEL_KINDS,
    LIST_KINDS,
    VECTOR_KINDS,
    ColumnDrift,
    DriftSummary,
    Part,
    TrendPoint,
    part_of,
    telling_columns,
)
from .verdict import Findings, Traffic, Watched, decide, tell
from .watch import monitor, one_source, read_source, window_begin

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
    "Watched",
    "WatchedModel",
    "Window",
    "decide",
    "drift_rule",
    "drifted_columns",
    "history_window",
    "live_columns",
    "make_profile",
    "map_embeddings",
    "monitor",
    "one_source",
    "part_of",
    "places_of",
    "positions_from",
    "read_profile",
    "read_source",
    "retrain",
    "run_drift",
    "table_window",
    "tell",
    "telling_columns",
    "top_lists",
    "webhook_address",
    "window_begin",
    "write_run_profile",
]
