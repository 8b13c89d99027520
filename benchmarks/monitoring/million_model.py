"""A model of a real shop for the report on a million rows; its weights are fresh, since only the work is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.monitoring.million import SHOP
from benchmarks.quality.datasets import SOURCES, prepare
from learn.config import Settings
from learn.data import Histories
from learn.model import Towers, TowerScorer, compute_id_rows
from learn.monitoring import KnownHistories, MonitoredModel, Profile, make_profile, rank_known

_LOGGED_ITEMS = 20
_REQUESTS = 5_000


def build_million_model(
    *, data: Path, workspace: Path
) -> tuple[Profile, MonitoredModel, list[dict[str, object]], Settings]:
    """Return a profile, its model, real requests with the model's answers as the service logs them, and the settings.

    Raises:
        DataError: The data set is not there.
    """
    prepared = prepare(SOURCES[SHOP], data=data, workspace=workspace)
    histories, settings = prepared.histories, Settings.from_mapping({"towers": {"cooccurrence_rank": 0}})
    torch.manual_seed(0)
    ids = compute_id_rows(histories)
    content = prepared.content
    towers = Towers(settings.towers, content_dimension=content.shape[1], id_count=int((ids >= 0).sum()))
    items = pl.DataFrame({"item_id": histories.item_ids, "title": prepared.titles})
    model = MonitoredModel("million", "", items, TowerScorer(towers, content=content, ids=ids))
    return (
        make_profile(histories, model, settings=settings),
        model,
        _build_requests(prepared.histories, model),
        settings,
    )


def _build_requests(histories: Histories, model: MonitoredModel) -> list[dict[str, object]]:
    rng = np.random.default_rng(1)
    windows, stops = np.asarray(histories.train_stops), np.asarray(histories.offsets[1:])
    starts = np.asarray(histories.offsets[:-1])
    users = rng.choice(np.flatnonzero((stops > windows) & (windows > starts)), _REQUESTS)
    at = rng.integers(windows[users], stops[users])
    lengths = np.minimum(at - starts[users], _LOGGED_ITEMS)
    flat = np.concatenate([histories.items[end - length : end] for end, length in zip(at, lengths, strict=True)])
    known = KnownHistories.from_flat(flat.astype(np.int32), lengths)
    lists, scores = rank_known(known, model.scorer, k=10)
    ids = np.asarray(histories.item_ids)
    return [
        {
            "kind": "answer",
            "history": ids[flat[known.starts[row] : known.stops[row]]].tolist(),
            "history_length": int(at[row] - starts[users[row]]),
            "items": ids[lists[row]].tolist(),
            "scores": [round(float(score), 6) for score in scores[row]],
            "k": 10,
            "latency_milliseconds": 2.0,
        }
        for row in range(_REQUESTS)
    ]
