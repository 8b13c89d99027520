"""Requests as a service sees them, with its answers: one request a user, simulated from a table or read from a log.

A person's requests are alike, and a test that treats them as independent raises false alarms. From a table of
interactions, each user active in the window gets one request at a random place, with the history before it. The
item at the place represents the traffic. From a log, one answer of each user is drawn without reading the log into
memory.

Shape legend: N interactions, U users, R requests, k places of a list, n items of the catalogue, d vector width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from learn.config import Settings
from learn.data import Histories
from learn.errors import DriftError
from learn.model import TowerScorer
from learn.traffic import TrafficRead

REQUEST_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "history_length": pl.Int64,
    "unknown_items": pl.Int64,
    "answered_by": pl.String,
    "item_id": pl.String,
    "items": pl.List(pl.String),
    "scores": pl.List(pl.Float64),
}
"""One request: items of the history, those of them that the model does not know, who answered (``towers``, or why
popularity did), the item that stands for the traffic (null if there is none), and the list with its scores (null
where the list says nothing of the model: popularity's, filtered, or of another model)."""

DESCRIBED = ("title", "description", "category", "brand", "price")
"""Columns of the table of items that are compared."""

_BLOCK_USERS = 256
_SHARED_SEED = 7


@dataclass(frozen=True)
class Sizes:
    """How much is drawn; it bounds time, memory and the page, whatever the traffic.

    Attributes:
        rows: Most requests.
        vectors: Most vectors of each kind.
        k: Places of a list.
    """

    rows: int
    vectors: int
    k: int

    @classmethod
    def from_settings(cls, settings: Settings) -> Sizes:
        """Take the sizes from the settings."""
        return cls(settings.drift.sample_rows, settings.drift.sample_vectors, settings.monitoring.k)


@dataclass(frozen=True)
class View:
    """One side of a comparison.

    Attributes:
        name: What people call it.
        requests: As in :data:`REQUEST_COLUMNS`, one a user.
        items: ``item_id`` and the existing columns of :data:`DESCRIBED`, at least for the items of the requests.
        item_vectors: (m, d) vectors of the requests' items, as often as they occur; None: not measured.
        user_vectors: (u, d) vectors of the requests' users; None: not measured.
        unknown_share: Share of the traffic's items that the model does not know.
        histories_whole: Whether the histories reach back to each user's first interaction.
    """

    name: str
    requests: pl.DataFrame
    items: pl.DataFrame
    item_vectors: NDArray[np.float32] | None
    user_vectors: NDArray[np.float32] | None
    unknown_share: float = 0.0
    histories_whole: bool = True


@dataclass(frozen=True)
class MonitoredModel:
    """The monitored model, from its bundle.

    Attributes:
        version: Of the bundle.
        weights_sha256: Hash of its weights.
        items: The catalogue in item-index order, with ``item_id``.
        scorer: Its towers with the catalogue encoded.
    """

    version: str
    weights_sha256: str
    items: pl.DataFrame
    scorer: TowerScorer


@dataclass(frozen=True)
class KnownHistories:
    """Items of each request's history that the model knows, flat: request r has ``items[starts[r]:stops[r]]``."""

    items: NDArray[np.int32]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @classmethod
    def from_flat(cls, items: NDArray[np.int32], lengths: NDArray[np.int64]) -> KnownHistories:
        """Cut flat items into runs of the given lengths."""
        stops = np.cumsum(lengths, dtype=np.int64)
        return cls(items, stops - lengths, stops)


@torch.inference_mode()
def rank_known(known: KnownHistories, scorer: TowerScorer, *, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rank the catalogue for each request, the history left out, as in service.

    Returns:
        (R, k) item indices and (R, k) scores, best first; rows of empty histories have no meaning.
    """
    k = min(k, len(scorer.item_vectors))
    lists, scores = np.empty((len(known.starts), k), np.int64), np.empty((len(known.starts), k))
    for begin in range(0, len(known.starts), _BLOCK_USERS):
        block = slice(begin, begin + _BLOCK_USERS)
        starts, stops = known.starts[block], known.stops[block]
        found = scorer.encode_runs(known.items, starts, stops) @ scorer.item_vectors.T  # (B, n)
        users = np.repeat(np.arange(len(starts)), stops - starts)
        seen = known.items[starts[0] : stops[-1]]
        found[torch.from_numpy(users), torch.from_numpy(seen.astype(np.int64))] = -torch.inf
        best = torch.topk(found, k)
        lists[block], scores[block] = best.indices.cpu().numpy(), best.values.cpu().numpy()
    return lists, scores


def sample_user_vectors(known: KnownHistories, scorer: TowerScorer, *, rows: int, seed: int) -> NDArray[np.float32]:
    """Return (m, d) vectors of at most ``rows`` requests that have a history."""
    full = np.flatnonzero(known.stops > known.starts)
    chosen = np.sort(np.random.default_rng([seed, _SHARED_SEED]).permutation(full)[:rows])
    found: NDArray[np.float32] = (
        scorer.encode_runs(known.items, known.starts[chosen], known.stops[chosen]).cpu().numpy()
    )
    return found


def sample_item_vectors(item_ids: pl.Series, model: MonitoredModel, *, rows: int, seed: int) -> NDArray[np.float32]:
    """Return (m, d) vectors of at most ``rows`` of these items, as often as they occur; unknown ones are left out."""
    places = find_places(item_ids, model.items)
    known = places[places >= 0]
    chosen = np.sort(np.random.default_rng([seed, _SHARED_SEED]).permutation(len(known))[:rows])
    vectors: NDArray[np.float32] = model.scorer.item_vectors[torch.from_numpy(known[chosen])].cpu().numpy()
    return vectors


def find_places(item_ids: pl.Series, items: pl.DataFrame) -> NDArray[np.int64]:
    """Return the row in ``items`` of each id, -1 if there is none or the id is null."""
    numbers = items.select("item_id").with_row_index("place")
    asked = pl.DataFrame({"item_id": item_ids.cast(pl.String)})
    found = asked.join(numbers, on="item_id", how="left", maintain_order="left")["place"]
    return found.cast(pl.Int64).fill_null(-1).to_numpy()


@dataclass(frozen=True)
class UserRuns:
    """Interactions of all users, flat, each user's in time order.

    Attributes:
        places: (N,) int64 row of the item in the model's catalogue, -1 for one it does not hold.
        item_ids: (N,) ids next to them.
        starts: (U,) int64 first position of each user.
        windows: (U,) int64 first position in the window looked at; the stop if there is none.
        stops: (U,) int64 one past the last position.
        whole: Whether the runs begin with each user's first interaction.
    """

    places: NDArray[np.int64]
    item_ids: pl.Series
    starts: NDArray[np.int64]
    windows: NDArray[np.int64]
    stops: NDArray[np.int64]
    whole: bool = True


def read_history_runs(histories: Histories) -> UserRuns:
    """Return the split of a run; its newest window is everything after each user's training part."""
    items = np.asarray(histories.items).astype(np.int64)
    return UserRuns(
        places=items,
        item_ids=pl.Series(histories.item_ids, dtype=pl.String).gather(items),
        starts=np.asarray(histories.offsets[:-1]),
        windows=np.asarray(histories.train_stops),
        stops=np.asarray(histories.offsets[1:]),
    )


def read_table_runs(interactions: pl.DataFrame, model: MonitoredModel, *, since: float | None) -> UserRuns:
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
        places=find_places(ordered["item_id"], model.items),
        item_ids=ordered["item_id"].cast(pl.String),
        starts=starts,
        windows=windows,
        stops=stops,
        # A table that begins with the window has no earlier interactions of anyone.
        whole=bool((windows > starts).any()),
    )


def simulate_requests(
    name: str, runs: UserRuns, model: MonitoredModel, *, items: pl.DataFrame, sizes: Sizes, seed: int
) -> View:
    """Simulate the requests that the service would have had, with the model's answers.

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
            "There is no interaction in the compared window.", where=name, fix="let it begin earlier with `--since`"
        )
    users = np.sort(rng.permutation(active)[: sizes.rows])
    at = rng.integers(runs.windows[users], runs.stops[users])  # (R,)
    known = _collect_known_before(runs, runs.starts[users], at)
    asked = runs.item_ids.gather(at)
    return View(
        name,
        _build_requests(asked, at - runs.starts[users], known, model, k=sizes.k),
        items,
        sample_item_vectors(asked, model, rows=sizes.vectors, seed=seed),
        sample_user_vectors(known, model.scorer, rows=sizes.vectors, seed=seed),
        unknown_share=_measure_unknown_share(runs),
        histories_whole=runs.whole,
    )


def _measure_unknown_share(runs: UserRuns) -> float:
    """Return the share of the window's interactions with items that are not in the catalogue."""
    unknown = np.concatenate([[0], np.cumsum(runs.places < 0)])
    rows = np.maximum(runs.stops - runs.windows, 0).sum()
    return float((unknown[runs.stops] - unknown[np.minimum(runs.windows, runs.stops)]).sum() / max(1, rows))


def _collect_known_before(runs: UserRuns, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> KnownHistories:
    lengths = stops - starts
    first = np.cumsum(lengths) - lengths
    positions = np.arange(lengths.sum()) + np.repeat(starts - first, lengths)
    places = runs.places[positions]
    owners = np.repeat(np.arange(len(starts)), lengths)
    known = places >= 0
    return KnownHistories.from_flat(places[known].astype(np.int32), np.bincount(owners[known], minlength=len(starts)))


def _build_requests(
    asked: pl.Series, totals: NDArray[np.int64], known: KnownHistories, model: MonitoredModel, *, k: int
) -> pl.DataFrame:
    lengths = known.stops - known.starts
    lists, scores = rank_known(known, model.scorer, k=k)
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


UNIT = pl.coalesce("user", pl.concat_str(pl.lit("?"), "recommendation_id"))
"""The person who is counted once: the user, or the answer itself if the request named none."""

SHOWN = pl.col("arm") != "shadow"
"""Answers that somebody saw."""


def sample_logged_requests(name: str, read: TrafficRead, model: MonitoredModel, *, sizes: Sizes, seed: int) -> View:
    """Draw requests from a traffic log: at most one of each user, every user as likely as any other.

    Histories are taken as they were logged. Lists and scores count where this model's towers answered without filters.

    Args:
        name: What people call it.
        read: The log as tables.
        model: Whose towers encode the histories, and whose lists are looked at.
        sizes: How much to draw.
        seed: Of the draw.
    """
    drawn = _sample_answers(read, rows=sizes.rows, seed=seed)
    history = drawn.select(pl.int_range(pl.len()).alias("row"), "history").explode("history").drop_nulls()
    places = find_places(history["history"], model.items)
    owners = history["row"].to_numpy()[places >= 0]
    lengths = np.bincount(owners, minlength=drawn.height).astype(np.int64)
    known = KnownHistories.from_flat(places[places >= 0].astype(np.int32), lengths)
    requests = _build_logged_requests(drawn, history.filter(pl.Series(places >= 0)), model, k=sizes.k)
    return View(
        name,
        requests,
        model.items,
        sample_item_vectors(requests["item_id"], model, rows=sizes.vectors, seed=seed),
        sample_user_vectors(known, model.scorer, rows=sizes.vectors, seed=seed),
        unknown_share=_measure_logged_unknown_share(read),
    )


def _sample_answers(read: TrafficRead, *, rows: int, seed: int) -> pl.DataFrame:
    answers = pl.scan_parquet(read.answers).filter(SHOWN)
    # Two columns of hashes for everybody; whole rows only for the drawn ones.
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
    # The streaming engine keeps no order, and the same log must give the same page.
    return drawn.unique("unit", keep="first").sort("unit", "answer").drop("unit", "answer")


def _build_logged_requests(drawn: pl.DataFrame, known: pl.DataFrame, model: MonitoredModel, *, k: int) -> pl.DataFrame:
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


def _measure_logged_unknown_share(read: TrafficRead) -> float:
    sums = (
        pl.scan_parquet(read.answers)
        .filter(SHOWN)
        .select(pl.col("unknown_items").sum(), pl.col("history_length").sum())
        .collect(engine="streaming")
    )
    return float(sums["unknown_items"][0] / max(1, sums["history_length"][0]))
