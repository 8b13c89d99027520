"""A small synthetic shop for tests: items in families, users who walk through one family at a time."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.config.data import SplitSettings
from learn.data.histories import Histories
from learn.data.splits import build_histories

FAMILIES, MEMBERS, CONTENT = 6, 8, 24


def content_vectors(*, width: int = CONTENT, seed: int = 0) -> NDArray[np.float32]:
    """(items, width) unit vectors in which the members of a family are alike."""
    draw = np.random.default_rng(seed)
    centres = np.repeat(draw.normal(size=(FAMILIES, width)), MEMBERS, axis=0)
    vectors = centres + 0.6 * draw.normal(size=centres.shape)
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def histories(folder: Path, *, users: int = 120, seed: int = 0) -> Histories:
    """Leave-one-out histories: each user steps through one family's items in order, with a little noise."""
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        family, member = draw.integers(FAMILIES), draw.integers(MEMBERS)
        for moment in range(int(draw.integers(4, 9))):
            step = 1 if draw.random() < 0.9 else int(draw.integers(MEMBERS))
            member = (member + step) % MEMBERS
            rows.append((f"u{user:03}", f"i{family * MEMBERS + member:02}", float(moment)))
    tables = folder / "tables"
    tables.mkdir(parents=True)
    ids = [f"i{item:02}" for item in range(FAMILIES * MEMBERS)]
    pl.DataFrame({"row": range(len(ids)), "item_id": ids, "title": ids}).write_parquet(tables / "items.parquet")
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").with_row_index("row")
    frame.write_parquet(tables / "interactions.parquet")
    summary = build_histories(tables, folder / "histories", settings=SplitSettings(method="leave_one_out"))
    return Histories.open(summary.folder)
