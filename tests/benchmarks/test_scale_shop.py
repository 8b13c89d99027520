"""The synthetic shop of the scale benchmark is as large as asked, skewed as real ones are, and the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scale.synthetic_shop import Shop, draw_history_lengths, write_shop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"), Shop(300_000, 6_000, 4_000))


def test_it_is_as_large_as_asked_and_in_the_order_of_time(folder: Path) -> None:
    log, items = pl.read_parquet(folder / "interactions.parquet"), pl.read_parquet(folder / "items.parquet")
    assert (len(log), len(items), items["item_id"].n_unique()) == (300_000, 4_000, 4_000)
    assert log["timestamp"].is_sorted()
    assert log["user_id"].n_unique() == 6_000


def test_few_items_get_much_and_few_users_do_much(folder: Path) -> None:
    log = pl.read_parquet(folder / "interactions.parquet")
    of_items = np.sort(log["item_id"].value_counts()["count"].to_numpy())[::-1]
    of_users = log["user_id"].value_counts()["count"].to_numpy()
    assert of_items[:40].sum() > 0.2 * len(log)
    assert np.mean(of_users) > 1.4 * np.median(of_users)


def test_people_come_back_week_after_week(folder: Path) -> None:
    log = pl.read_parquet(folder / "interactions.parquet")
    weeks = log.select("user_id", week=pl.col("timestamp") // (7 * 86_400)).unique()["user_id"].value_counts()["count"]
    assert weeks.to_numpy().mean() > 7
    newest = log.filter(pl.col("timestamp") >= log["timestamp"].quantile(0.9))["user_id"].n_unique()
    assert newest > 0.4 * 6_000


def test_what_comes_next_can_be_learned(folder: Path) -> None:
    log = pl.read_parquet(folder / "interactions.parquet").sort("user_id", "timestamp", maintain_order=True)
    pairs = log.select("item_id", after=pl.col("item_id").shift(-1).over("user_id")).drop_nulls()
    best = pairs.group_by("item_id", "after").len().group_by("item_id").agg(pl.col("len").max())
    # By popularity alone the best guess would be right in one case of fifty.
    assert best["len"].to_numpy().sum() > 0.15 * len(pairs)


def test_two_rows_in_a_thousand_are_at_fault(folder: Path) -> None:
    log, items = pl.read_parquet(folder / "interactions.parquet"), pl.read_parquet(folder / "items.parquet")
    unknown = log.join(items, on="item_id", how="anti")
    repeated = len(log) - log.unique().height
    assert 100 < len(unknown) < 600
    assert 100 < repeated < 900


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    made = [write_shop(tmp_path / str(n), Shop(20_000, 500, 300, seed)) for n, seed in enumerate((1, 1, 2))]
    files = [(folder / "interactions.parquet").read_bytes() for folder in made]
    assert files[0] == files[1] != files[2]


@given(users=st.integers(1, 500), more=st.integers(0, 20_000), seed=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_histories_add_up_and_nobody_has_less_than_two(users: int, more: int, seed: int) -> None:
    lengths = draw_history_lengths(Shop(2 * users + more, users, 10, seed))
    assert (len(lengths), lengths.sum()) == (users, 2 * users + more)
    assert lengths.min() >= 2
