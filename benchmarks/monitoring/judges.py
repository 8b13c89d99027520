"""Two judges of the same windows: LEARN's verdict, and Evidently as it comes."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from learn.config import DriftSettings, MonitoringSettings
from learn.monitoring import (
    LABEL_KINDS,
    LIST_KINDS,
    VECTOR_KINDS,
    ColumnSample,
    Findings,
    Profile,
    Traffic,
    View,
    decide,
    draw_live_columns,
    judge_columns,
)


def is_verdict_alarm(profile: Profile, live: View, *, seed: int) -> bool:
    """Tell whether the verdict on the whole window is anything but ``ok``, with every setting at its default."""
    settings, rules = DriftSettings(), MonitoringSettings()
    bounded = _bound_view(profile.view, settings.sample_vectors), _bound_view(live, settings.sample_vectors)
    samples = draw_live_columns(
        Profile(profile.facts, bounded[0], profile.catalogue, profile.popularity), bounded[1], seed=seed
    )
    columns = judge_columns(samples, settings=settings, seed=seed)
    now = datetime.now(tz=UTC)
    rows = live.requests.height
    traffic = Traffic("drawn", "log", "", now, now, max(rows, rules.fewest_answers), rows, live.unknown_share)
    return decide(Findings(traffic, columns, None), rules).level != "ok"


def is_evidently_alarm(profile: Profile, live: View, *, seed: int) -> bool:
    """Tell whether any of Evidently's default tests fails: its preset's on the columns, its model test on vectors.

    It gets the same columns; for lists it has no test.
    """
    from evidently.legacy.metrics.data_drift.embedding_drift_methods import model

    samples = draw_live_columns(profile, live, seed=seed)
    # Its presets test the vectors by t-SNE pictures that take half a minute; the test itself is the same.
    for sample in samples:
        if sample.kind in VECTOR_KINDS and not sample.absent:
            frames = [pd.DataFrame(part) for part in (sample.current, sample.reference)]
            np.random.seed(seed)  # noqa: NPY002  # Evidently draws from the global stream
            if model()(*frames)[1]:
                return True
    plain = [sample for sample in samples if sample.kind not in VECTOR_KINDS | LIST_KINDS and not sample.absent]
    return any(has_evidently_drift(sample) for sample in plain)


def has_evidently_drift(sample: ColumnSample) -> bool:
    """Tell whether the test that Evidently's drift preset takes by default for this column finds a drift.

    The preset draws every column several times, which takes a hundred times as long as the tests: so it is requested
    the test alone.
    """
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    kind = ColumnType.Categorical if sample.kind in LABEL_KINDS else ColumnType.Numerical
    parts = [pd.Series(list(part)) for part in (sample.reference, sample.current)]
    reference, current = (part.replace([-np.inf, np.inf], np.nan).dropna() for part in parts)
    with warnings.catch_warnings():
        # Columns with one value throughout.
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        test = get_stattest(reference, current, kind, None)
        return bool(test(reference, current, kind, None).drifted)


def _bound_view(view: View, rows: int) -> View:
    return replace(
        view,
        item_vectors=None if view.item_vectors is None else view.item_vectors[:rows],
        user_vectors=None if view.user_vectors is None else view.user_vectors[:rows],
    )
