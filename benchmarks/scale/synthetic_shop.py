"""A synthetic shop of any size: items with texts, and a log of interactions with the skew of real ones.

    python -m benchmarks.scale.synthetic_shop FOLDER --interactions 1000000 --users 20000 --items 20000

What is like real life: few items get most of the interactions (Zipf) and users' histories are of log-normal length;
people come in sessions, stay with a few clusters of items, and within one often continue to a certain next item, so
that there is something to learn; the log is in the order of time, not of users, as logs do; two rows in a thousand are
at fault. Memory holds some numbers for each user and one slice of the log, whatever its length.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.content.tiny_encoder import WORDS

_Long = NDArray[np.int64]

_BEGIN, _END = 1_577_836_800, 1_704_067_200  # the years 2020 to 2023, Unix seconds
_SLICES, _SLICE_ROWS = 208, 250_000
"""Slices of time are weeks, or shorter where a week has more rows than memory must hold: within one, a user has one
session at the most."""
_ITEMS_AT_ONCE = 50_000
_CLUSTER_ITEMS = 100
_SESSION_ROWS = 5
_LENGTH_SPREAD = 1.1
_FAVOURITES, _FAITHFUL = 3, 0.8
"""Clusters that a user likes, and the share of sessions spent in one of them."""
_GOES_ON = 0.35
"""Share of the steps within a session that lead to the item's own successor."""
_REPEATED, _UNKNOWN = 0.001, 0.001


@dataclass(frozen=True)
class Shop:
    """How large a synthetic shop is.

    Attributes:
        interactions: Rows of the log.
        users: Users; each has two interactions at least.
        items: Items of the catalogue.
        seed: Of every draw.
    """

    interactions: int
    users: int
    items: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.interactions < 2 * self.users or self.items < 1:
            raise ValueError("every user needs two interactions, and the shop an item")

    @property
    def clusters(self) -> int:
        """Clusters of items."""
        return max(1, self.items // _CLUSTER_ITEMS)


def write_shop(folder: Path, shop: Shop) -> Path:
    """Write ``items.parquet`` and ``interactions.parquet``; the same bytes for the same shop.

    Args:
        folder: The data folder; made where it is missing.
        shop: Its size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "items.parquet", _iterate_items(shop))
    _write(folder / "interactions.parquet", _log(shop))
    return folder


def draw_history_lengths(shop: Shop) -> _Long:
    """Return (users,) int64: interactions of each user, log-normal, together those of the shop."""
    draw = np.random.default_rng((shop.seed, 0))
    weights = draw.lognormal(sigma=_LENGTH_SPREAD, size=shop.users)
    spare = shop.interactions - 2 * shop.users
    lengths: _Long = 2 + np.floor(weights * (spare / weights.sum())).astype(np.int64)
    lengths[: shop.interactions - int(lengths.sum())] += 1
    return lengths


def _write(path: Path, frames: Iterator[pl.DataFrame]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for frame in frames:
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


# --- Items -------------------------------------------------------------------------------------------------


def _iterate_items(shop: Shop) -> Iterator[pl.DataFrame]:
    draw = np.random.default_rng((shop.seed, 1))
    words = np.array(WORDS)
    for begin in range(0, shop.items, _ITEMS_AT_ONCE):
        ranks = np.arange(begin, min(shop.items, begin + _ITEMS_AT_ONCE), dtype=np.int64)
        cluster = ranks % shop.clusters
        # A cluster's two words say what its items are; the rest of a title is the item's own.
        kinds = words[cluster % len(words)], words[(cluster // len(words)) % len(words)]
        own = words[draw.integers(len(words), size=(2, len(ranks)))]
        yield pl.DataFrame(
            {
                "item_id": _build_item_ids(ranks, shop),
                "title": [
                    f"{a} {b} {first} {second} {number}"
                    for first, second, a, b, number in zip(*kinds, *own, ranks, strict=True)
                ],
                "brand": own[0],
                "category": kinds[0],
                "price": np.round(draw.lognormal(3.0, 0.8, len(ranks)), 2),
            }
        )


def _build_item_ids(ranks: _Long, shop: Shop) -> pl.Series:
    return _build_ids("B", ranks, shop.items)


def _build_ids(letter: str, numbers: _Long, count: int) -> pl.Series:
    """Name things so that the order of the names does not depend on them."""
    step = next(step for step in range(int(0.618 * count) + 1, 2 * count + 2) if math.gcd(step, count) == 1)
    text = pl.Series((numbers * step) % count).cast(pl.String).str.zfill(9)
    return letter + text


# --- The log -----------------------------------------------------------------------------------------------


def _log(shop: Shop) -> Iterator[pl.DataFrame]:
    draw = np.random.default_rng((shop.seed, 2))
    left = draw_history_lengths(shop)
    sessions = -(-left // _SESSION_ROWS)
    slices = max(_SLICES, -(-shop.interactions // _SLICE_ROWS))
    width = (_END - _BEGIN) / slices
    chances = _compute_chances(shop)
    for number in range(slices):
        begun = draw.binomial(sessions, 1 / (slices - number))
        rows = np.minimum(begun * _SESSION_ROWS, left)
        sessions, left = sessions - begun, left - rows
        users = np.flatnonzero(rows)
        if len(users):
            yield _slice(users, rows[users], shop, chances, begin=_BEGIN + number * width, width=width, draw=draw)


def _compute_chances(shop: Shop) -> NDArray[np.float64]:
    """Return (places,) cumulated Zipf shares of the places in a cluster."""
    shares = 1 / np.arange(1, -(-shop.items // shop.clusters) + 1)
    cumulated: NDArray[np.float64] = np.cumsum(shares) / shares.sum()
    return cumulated


def _slice(
    users: _Long,
    rows: _Long,
    shop: Shop,
    chances: NDArray[np.float64],
    *,
    begin: float,
    width: float,
    draw: np.random.Generator,
) -> pl.DataFrame:
    """Make one session of each of these users, with so many rows."""
    session = np.repeat(np.arange(len(users)), rows)
    first = np.cumsum(rows) - rows
    pause = draw.exponential(60.0, len(session))
    elapsed = np.cumsum(pause)
    start = begin + draw.random(len(users)) * width
    # A session near the end of the slice waits for its beginning, so that slices stay in order.
    moment = np.minimum(start[session] + elapsed - elapsed[first][session], begin + width - 1)
    log = pl.DataFrame(
        {
            "user": users[session],
            "rank": _choose_items(session, first, users, shop, chances, draw),
            "timestamp": np.floor(moment).astype(np.int64),
            "event": draw.random(len(session)) < 0.1,
        }
    ).sort("timestamp", maintain_order=True)
    return _with_faults(log, shop, draw).select(
        user_id=_build_ids("u", log["user"].to_numpy(), shop.users),
        item_id="item_id",
        timestamp="timestamp",
        event=pl.when("event").then(pl.lit("purchase")).otherwise(pl.lit("view")),
    )


def _choose_items(
    session: _Long,
    first: _Long,
    users: _Long,
    shop: Shop,
    chances: NDArray[np.float64],
    draw: np.random.Generator,
) -> _Long:
    """Return (rows,) int64 popularity ranks of the items."""
    cluster = _draw_clusters(users, shop, draw)[session]
    place = np.searchsorted(chances, draw.random(len(session)))
    position = np.arange(len(session))
    is_fresh = draw.random(len(session)) >= _GOES_ON
    is_fresh[first] = True
    drawn_at = np.maximum.accumulate(np.where(is_fresh, position, 0))
    place = (place[drawn_at] + position - drawn_at) % len(chances)
    rank = cluster + place * shop.clusters
    # The last place of some clusters is empty.
    return np.where(rank < shop.items, rank, cluster)


def _draw_clusters(users: _Long, shop: Shop, draw: np.random.Generator) -> _Long:
    """Return (sessions,) int64: mostly one of the user's favourite clusters, which are a matter of their number."""
    favourite = draw.integers(_FAVOURITES, size=len(users))
    mixed = (users * _FAVOURITES + favourite + 1) * 0.6180339887498949 % 1.0
    share = np.where(draw.random(len(users)) < _FAITHFUL, mixed, draw.random(len(users)))
    # The cube makes a few clusters everybody's.
    clusters: _Long = (share**3 * shop.clusters).astype(np.int64)
    return clusters


def _with_faults(log: pl.DataFrame, shop: Shop, draw: np.random.Generator) -> pl.DataFrame:
    """Name the items; some rows have an unknown item, or repeat the row before."""
    item = _build_item_ids(log["rank"].to_numpy(), shop)
    unknown = pl.Series(draw.random(len(log)) < _UNKNOWN)
    named = log.with_columns(item_id=pl.select(pl.when(unknown).then("X" + item).otherwise(item)).to_series())
    position = np.arange(len(log))
    again = draw.random(len(log)) < _REPEATED
    again[0] = False
    return named[np.where(again, position - 1, position)]


def main() -> None:
    """Write a shop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.synthetic_shop", description=__doc__)
    parser.add_argument("folder", type=Path)
    for name in ("interactions", "users", "items"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shop = Shop(options.interactions, options.users, options.items, options.seed)
    write_shop(options.folder, shop)
    print(json.dumps(asdict(shop)))


if __name__ == "__main__":
    main()
