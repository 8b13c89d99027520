"""Histories made in memory by the plainest means: what the out-of-core code must equal, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.data.timestamps import read_timestamp_scale


def plain_histories(tables: Path, folder: Path, *, method: str) -> Path:
    """Write every file of the histories of two tables; ``by_date`` with the default shares of .1 and .1."""
    folder.mkdir()
    scale = read_timestamp_scale(tables / "interactions.parquet")
    item_ids = pl.read_parquet(tables / "items.parquet", columns=["item_id"])
    log = pl.read_parquet(tables / "interactions.parquet", columns=["user_id", "item_id", "timestamp", "row"])
    users = log.select("user_id").unique().sort("user_id")
    rows = (
        log.join(item_ids.with_row_index("item"), on="item_id")
        .join(users.with_row_index("user"), on="user_id")
        .sort("user", "timestamp", "row")
    )
    user, items, times = rows["user"].to_numpy(), rows["item"].to_numpy().astype(np.int32), rows["timestamp"].to_numpy()
    counts = np.bincount(user, minlength=len(users))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    starts, ends = offsets[:-1], offsets[1:]
    if method == "by_date":
        cuts = [float(np.quantile(times, share, method="higher")) for share in (0.8, 0.9)]
        first, second = (
            starts + np.bincount(user, weights=times < cut, minlength=len(users)).astype(np.int64) for cut in cuts
        )
        parts = {"validation": (second > first, first), "test": (ends > second, second)}
        said = [str(scale.to_datetime(cut)) for cut in cuts]
        described = f"training before {said[0]}, validation before {said[1]}, test from there on"
        meta = {"method": method, "described": described, "validation_from": cuts[0], "test_from": cuts[1]}
        train_stops = first
    else:
        parts = {"validation": (counts >= 3, ends - 2), "test": (counts >= 2, ends - 1)}
        train_stops = np.select([counts >= 3, counts == 2], [ends - 2, ends - 1], ends)
        meta = {"method": method, "described": "each user's last item is test, the one before validation"}
    arrays: dict[str, NDArray[np.generic]] = {
        "offsets": offsets,
        "items": items,
        "timestamps": times,
        "train_stops": train_stops,
    }
    for part, (asked, stops) in parts.items():
        chosen = np.flatnonzero(asked)
        arrays[f"{part}_users"], arrays[f"{part}_targets"] = chosen, items[stops[chosen]]
        arrays[f"{part}_starts"], arrays[f"{part}_stops"] = starts[chosen], stops[chosen]
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    users.write_parquet(folder / "users.parquet")
    item_ids.write_parquet(folder / "item_ids.parquet")
    record = {"item_count": len(item_ids), "split": {**meta, "clock": scale.to_dict()}}
    (folder / "histories.json").write_text(json.dumps(record, indent=2), encoding="utf-8")
    return folder
