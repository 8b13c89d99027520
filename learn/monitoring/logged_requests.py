"""Requests out of a traffic log: one answer of each user, drawn without ever holding the log in memory."""

from __future__ import annotations

import numpy as np
import polars as pl

from learn.monitoring.traffic_log import TrafficRead
from learn.monitoring.views import (
    REQUEST_COLUMNS,
    KnownHistories,
    Sizes,
    View,
    WatchedModel,
    item_vectors,
    places_of,
    user_vectors,
)

UNIT = pl.coalesce("user", pl.concat_str(pl.lit("?"), "recommendation_id"))
"""Who is counted once: the user, or the answer itself where the request named none."""

SHOWN = pl.col("arm") != "shadow"
"""Answers that somebody saw."""


def logged_view(name: str, read: TrafficRead, model: WatchedModel, *, sizes: Sizes, seed: int) -> View:
    """Draw requests from a traffic log: at most one of each user, every user as likely as any other.

    Histories are taken as they were logged. Lists and scores count where this model's towers answered without filters.

    Args:
        name: What people call it.
        read: The log as tables.
        model: Whose towers encode the histories, and whose lists are looked at.
        sizes: How much to draw.
        seed: Of the draw.
    """
    drawn = _one_answer_a_user(read, rows=sizes.rows, seed=seed)
    history = drawn.select(pl.int_range(pl.len()).alias("row"), "history").explode("history").drop_nulls()
    places = places_of(history["history"], model.items)
    owners = history["row"].to_numpy()[places >= 0]
    lengths = np.bincount(owners, minlength=drawn.height).astype(np.int64)
    known = KnownHistories.of(places[places >= 0].astype(np.int32), lengths)
    requests = _requests(drawn, history.filter(pl.Series(places >= 0)), model, k=sizes.k)
    return View(
        name,
        requests,
        model.items,
        item_vectors(requests["item_id"], model, rows=sizes.vectors, seed=seed),
        user_vectors(known, model.scorer, rows=sizes.vectors, seed=seed),
        unknown_share=_unknown_share(read),
    )


def _one_answer_a_user(read: TrafficRead, *, rows: int, seed: int) -> pl.DataFrame:
    answers = pl.scan_parquet(read.answers).filter(SHOWN)
    # Two columns of hashes for everybody; whole rows for those drawn alone.
    order = (
        answers.select(unit=UNIT.hash(seed), answer=pl.col("recommendation_id").hash(seed + 1))
        .group_by("unit")
        .agg(pl.col("answer").min())
        .bottom_k(rows, by="unit")
        .collect(engine="streaming")
    )
    drawn = (
        answers.with_columns(unit=UNIT.hash(seed), answer=pl.col("recommendation_id").hash(seed + 1))
        .join(order.lazy(), on=["unit", "answer"], how="semi")
        .collect(engine="streaming")
    )
    # The streaming engine keeps no order, and the same log shall give the same page.
    return drawn.unique("unit", keep="first").sort("unit", "answer").drop("unit", "answer")


def _requests(drawn: pl.DataFrame, known: pl.DataFrame, model: WatchedModel, *, k: int) -> pl.DataFrame:
    newest = known.group_by("row").agg(pl.col("history").last().alias("item_id"))
    of_model = pl.col("fallback").is_null() & ~pl.col("filtered") & (pl.col("model_version") == model.version)
    listed = of_model & (pl.col("items").list.len() >= k)
    return (
        drawn.with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int64))
        .join(newest, on="row", how="left", maintain_order="left")
        .select(
            "history_length",
            "unknown_items",
            pl.col("fallback").fill_null("towers").alias("answered_by"),
            "item_id",
            pl.when(listed).then(pl.col("items").list.head(k)).alias("items"),
            pl.when(listed).then(pl.col("scores").list.head(k)).alias("scores"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in REQUEST_COLUMNS.items())
    )


def _unknown_share(read: TrafficRead) -> float:
    sums = (
        pl.scan_parquet(read.answers)
        .filter(SHOWN)
        .select(pl.col("unknown_items").sum(), pl.col("history_length").sum())
        .collect(engine="streaming")
    )
    return float(sums["unknown_items"][0] / max(1, sums["history_length"][0]))
