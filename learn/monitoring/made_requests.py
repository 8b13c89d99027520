"""Requests out of a table of interactions: those that the service would have had.

Each user active in the window is asked about once, at a random place of theirs in it, with the history before
that place; the item at that place stands for the traffic.

Shape legend: N interactions, U users, R requests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.data.histories import Histories
from learn.errors import DriftError
from learn.monitoring.views import (
    REQUEST_COLUMNS,
    KnownHistories,
    Sizes,
    View,
    WatchedModel,
    item_vectors,
    places_of,
    top_lists,
    user_vectors,
)


@dataclass(frozen=True)
class UserRuns:
    """Interactions of all users, flat, each user's in time order.

    Attributes:
        places: (N,) int64 row of the item in the model's catalogue, -1 for one it does not hold.
        item_ids: (N,) ids beside them.
        starts: (U,) int64 first position of each user.
        windows: (U,) int64 first position in the window looked at; the stop where there is none.
        stops: (U,) int64 one past the last position.
        whole: Whether the runs begin with each user's first interaction.
    """

    places: NDArray[np.int64]
    item_ids: pl.Series
    starts: NDArray[np.int64]
    windows: NDArray[np.int64]
    stops: NDArray[np.int64]
    whole: bool = True


def history_runs(histories: Histories) -> UserRuns:
    """Return what a run was split into; its newest window is what comes after each user's training part."""
    items = np.asarray(histories.items).astype(np.int64)
    return UserRuns(
        places=items,
        item_ids=pl.Series(histories.item_ids, dtype=pl.String).gather(items),
        starts=np.asarray(histories.offsets[:-1]),
        windows=np.asarray(histories.train_stops),
        stops=np.asarray(histories.offsets[1:]),
    )


def table_runs(interactions: pl.DataFrame, model: WatchedModel, *, since: float | None) -> UserRuns:
    """Return a table's interactions by user.

    Args:
        interactions: ``user_id``, ``item_id`` and ``timestamp``.
        model: Whose catalogue the items are looked up in.
        since: Interactions from this timestamp on are the window, earlier ones are history. None: everybody's last
            interaction is the window, as where timestamps are only an order.
    """
    ordered = interactions.sort("user_id", "timestamp", maintain_order=True)
    lengths = ordered.group_by("user_id", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
    stops = np.cumsum(lengths)
    starts = stops - lengths
    windows = stops - 1
    if since is not None:
        earlier = np.concatenate([[0], np.cumsum(ordered["timestamp"].to_numpy() < since)])
        windows = starts + earlier[stops] - earlier[starts]
    return UserRuns(
        places=places_of(ordered["item_id"], model.items),
        item_ids=ordered["item_id"].cast(pl.String),
        starts=starts,
        windows=windows,
        stops=stops,
        # A table that begins with the window knows nobody's past.
        whole=bool((windows > starts).any()),
    )


def made_view(name: str, runs: UserRuns, model: WatchedModel, *, items: pl.DataFrame, sizes: Sizes, seed: int) -> View:
    """Make the requests that the service would have had, with the model's answers.

    Args:
        name: What people call it.
        runs: Everybody's interactions.
        model: Who answers.
        items: Describes the items, also those that the model does not know.
        sizes: How much to draw.
        seed: Of the draw of users and places.

    Raises:
        DriftError: Nobody is active in the window.
    """
    rng = np.random.default_rng([seed, len(runs.stops)])
    active = np.flatnonzero(runs.stops > runs.windows)
    if not len(active):
        raise DriftError(
            "Nobody is active in the window that is looked at.", where=name, fix="begin earlier, with `--since`"
        )
    users = np.sort(rng.permutation(active)[: sizes.rows])
    at = rng.integers(runs.windows[users], runs.stops[users])  # (R,)
    known = _known_before(runs, runs.starts[users], at)
    asked = runs.item_ids.gather(at)
    return View(
        name,
        _requests(asked, at - runs.starts[users], known, model, k=sizes.k),
        items,
        item_vectors(asked, model, rows=sizes.vectors, seed=seed),
        user_vectors(known, model.scorer, rows=sizes.vectors, seed=seed),
        unknown_share=_unknown_share(runs),
        histories_whole=runs.whole,
    )


def _unknown_share(runs: UserRuns) -> float:
    """Share of the window's interactions with an item that the catalogue does not hold."""
    unknown = np.concatenate([[0], np.cumsum(runs.places < 0)])
    rows = np.maximum(runs.stops - runs.windows, 0).sum()
    return float((unknown[runs.stops] - unknown[np.minimum(runs.windows, runs.stops)]).sum() / max(1, rows))


def _known_before(runs: UserRuns, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> KnownHistories:
    lengths = stops - starts
    first = np.cumsum(lengths) - lengths
    positions = np.arange(lengths.sum()) + np.repeat(starts - first, lengths)
    places = runs.places[positions]
    owners = np.repeat(np.arange(len(starts)), lengths)
    known = places >= 0
    return KnownHistories.of(places[known].astype(np.int32), np.bincount(owners[known], minlength=len(starts)))


def _requests(
    asked: pl.Series, totals: NDArray[np.int64], known: KnownHistories, model: WatchedModel, *, k: int
) -> pl.DataFrame:
    lengths = known.stops - known.starts
    lists, scores = top_lists(known, model.scorer, k=k)
    named = model.items["item_id"].to_numpy()[lists]  # (R, k)
    from_towers = (lengths > 0).tolist()
    return pl.DataFrame(
        {
            "history_length": totals,
            "unknown_items": totals - lengths,
            "answered_by": np.where(lengths > 0, "towers", np.where(totals > 0, "no_known_item", "empty_history")),
            "item_id": asked,
            "items": [row if full else None for row, full in zip(named.tolist(), from_towers, strict=True)],
            "scores": [row if full else None for row, full in zip(scores.tolist(), from_towers, strict=True)],
        },
        schema=REQUEST_COLUMNS,
    )
