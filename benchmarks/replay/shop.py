"""The shop of the replay: `online_retail` up to any day, with an event in the middle, and a broken copy of it.

A row is a person's first purchase of an item: the lists leave out what somebody has bought already. From the day of
the event on a fifth of the items is sold under a new number, as after a change of suppliers: what was learned of the
old numbers cannot score the new ones, though their titles are the same.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from learn.errors import DataError
from learn.storage import atomic_files

NAME = "online_retail"
_RENUMBERED_OF = 5
_KEPT_ROWS = 3


@dataclass(frozen=True)
class Visit:
    """One person's purchases of one day.

    Attributes:
        user: Who.
        before: Item ids bought before the list was requested, oldest first.
        after: Item ids bought after it, on the same day.
        moment: When it was requested.
    """

    user: str
    before: tuple[str, ...]
    after: frozenset[str]
    moment: datetime


@dataclass(frozen=True)
class Shop:
    """What happened in the shop.

    Attributes:
        items: ``item_id`` and ``title``.
        interactions: ``user_id``, ``item_id``, ``timestamp`` (Unix seconds), by time.
    """

    items: pl.DataFrame
    interactions: pl.DataFrame

    def list_visits(self, day: date) -> list[Visit]:
        """Return the visits of a day, each with a request at a random place, by time."""
        begin, end = to_seconds(day), to_seconds(day + timedelta(days=1))
        known = self.interactions.filter(pl.col("timestamp") < end).sort("timestamp", maintain_order=True)
        today = known.filter(pl.col("timestamp") >= begin)["user_id"].unique(maintain_order=True).implode()
        visits = []
        for (user,), rows in known.filter(pl.col("user_id").is_in(today)).group_by("user_id", maintain_order=True):
            earlier = rows.filter(pl.col("timestamp") < begin).height
            draw = random.Random(f"{user} {day}")  # noqa: S311 - a benchmark's draw is no secret
            place = draw.randrange(earlier, rows.height)
            ids = rows["item_id"].to_list()
            moment = datetime.fromtimestamp(rows["timestamp"][place], tz=UTC)
            visits.append(Visit(str(user), tuple(ids[:place]), frozenset(ids[place:]), moment))
        return sorted(visits, key=lambda visit: (visit.moment, visit.user))

    def write(self, folder: Path, *, until: date, shuffled: bool = False) -> None:
        """Write the data folder as it is after a day.

        Args:
            folder: Of the tables.
            until: The last day that is in them.
            shuffled: Whether the items of all rows but each person's last three are dealt out again, which leaves the
                popularity as it is and makes the histories meaningless. Of the three, two are what models are chosen
                and judged by, and one is left to recommend from.

        Raises:
            StorageError: The disk is full or not writable.
        """
        rows = self.interactions.filter(pl.col("timestamp") < to_seconds(until + timedelta(days=1)))
        items = self.items.filter(pl.col("item_id").is_in(rows["item_id"].unique().implode()))
        if shuffled:
            after = pl.int_range(pl.len()).reverse().over("user_id")
            marked = rows.with_row_index("place").with_columns(after=after)
            dealt = marked.filter(pl.col("after") >= _KEPT_ROWS)["place"]
            ids = rows["item_id"][dealt].to_list()
            random.Random(0).shuffle(ids)  # noqa: S311 - as above
            rows = rows.with_columns(item_id=rows["item_id"].scatter(dealt, ids))
        with atomic_files(folder, names=("items.parquet", "interactions.parquet")) as stage:
            items.write_parquet(stage / "items.parquet")
            rows.write_parquet(stage / "interactions.parquet")


def open_shop(data: Path, *, begin: date, event: date) -> Shop:
    """Read the shop.

    Args:
        data: Folder of the public data sets.
        begin: First day of the interactions.
        event: First day on which a fifth of the items goes by new numbers.

    Raises:
        DataError: The data set is not there.
    """
    try:
        items = pl.read_ndjson(data / NAME / "items.jsonl.gz")
        rows = pl.read_csv(
            data / NAME / "interactions.tsv.gz",
            separator="\t",
            schema_overrides={"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64},
        )
    except OSError as fault:
        raise DataError(
            f"The public data set `{NAME}` is not there: {fault.strerror}.",
            where=data / NAME,
            fix="name the folder that holds it with --data, or in LEARN_REAL_DATA",
        ) from fault
    return make_shop(items.select("item_id", "title"), rows, begin=begin, event=event)


def make_shop(items: pl.DataFrame, interactions: pl.DataFrame, *, begin: date, event: date) -> Shop:
    """Cut, renumber, and keep first purchases, as :func:`open_shop` describes them."""
    renumbered = [item for item in items["item_id"].to_list() if zlib.crc32(item.encode()) % _RENUMBERED_OF == 0]
    new = pl.col("item_id").is_in(renumbered) & (pl.col("timestamp") >= to_seconds(event))
    numbered = pl.when(new).then(pl.col("item_id") + "-N").otherwise(pl.col("item_id"))
    rows = (
        interactions.filter(pl.col("timestamp") >= to_seconds(begin))
        .with_columns(item_id=numbered)
        # Stable: within a visit the order of the lines of the bill is kept.
        .sort("timestamp", maintain_order=True)
        .unique(["user_id", "item_id"], keep="first", maintain_order=True)
    )
    copies = items.filter(pl.col("item_id").is_in(renumbered)).with_columns(item_id=pl.col("item_id") + "-N")
    return Shop(pl.concat([items, copies]), rows)


def to_seconds(day: date) -> int:
    """Return the first second of a day, in UTC."""
    return int(datetime.combine(day, time(), tzinfo=UTC).timestamp())
