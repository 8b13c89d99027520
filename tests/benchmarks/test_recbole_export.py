"""The split as RecBole reads it: nothing lost, nothing of the future, nobody asked with nothing."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.recbole.export import export_split
from learn.config.data import SplitSettings
from learn.data.histories import Histories
from learn.data.splits import build_histories
from tests.evaluation.synthetic_histories import split_histories
from tests.synthetic_shop import histories

Row = tuple[int, list[int], int]


def read_rows(path: Path) -> list[Row]:
    header, *lines = path.read_text(encoding="ascii").splitlines()
    assert header == "user_id:token\titem_id_list:token_seq\titem_id:token"
    fields = (line.split("\t") for line in lines)
    return [(int(user), [int(item) for item in history.split(" ")], int(item)) for user, history, item in fields]


def exported(split: Histories, folder: Path, *, max_history: int = 50) -> dict[str, list[Row]]:
    export_split(split, folder, name="shop", max_history=max_history)
    return {part: read_rows(folder / f"shop.{part}.inter") for part in ("train", "valid", "test")}


def training_part(split: Histories, user: int) -> NDArray[np.int32]:
    return split.items[split.offsets[user] : split.train_stops[user]]


def test_each_user_is_asked_with_the_same_history_for_the_same_target(tmp_path: Path) -> None:
    split = histories(tmp_path)
    rows = exported(split, tmp_path / "export")
    for name, examples in (("valid", split.open_examples("validation")), ("test", split.open_examples("test"))):
        spans = zip(examples.users, examples.starts, examples.stops, examples.targets, strict=True)
        assert rows[name] == [(user, split.items[start:stop].tolist(), target) for user, start, stop, target in spans]
        assert len(rows[name]) == split.user_count


def test_the_training_rows_of_a_user_tell_the_training_part_and_no_more(tmp_path: Path) -> None:
    split = histories(tmp_path)
    rows = exported(split, tmp_path / "export")["train"]
    for user in range(split.user_count):
        part = training_part(split, user).tolist()
        assert [row for row in rows if row[0] == user] == [
            (user, part[:length], part[length]) for length in range(1, len(part))
        ]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=9), min_size=1, max_size=5), st.integers(1, 4))
def test_a_long_history_keeps_its_newest_items(
    tmp_path_factory: pytest.TempPathFactory, users: list[list[int]], max_history: int
) -> None:
    folder = tmp_path_factory.mktemp("shop")
    split = split_histories(folder, users, item_count=10)
    rows = exported(split, folder / "export", max_history=max_history)
    for user, items in enumerate(users):
        assert rows["test"][user] == (user, items[:-1][-max_history:], items[-1])
        assert rows["valid"][user] == (user, items[:-2][-max_history:], items[-2])
    assert all(len(history) <= max_history for part in rows.values() for _, history, _ in part)


def test_items_nobody_touched_are_in_the_catalogue(tmp_path: Path) -> None:
    split = split_histories(tmp_path, [[0, 1, 2, 3]], item_count=7)
    export_split(split, tmp_path / "export", name="shop", max_history=50)
    lines = (tmp_path / "export" / "shop.item").read_text(encoding="ascii").splitlines()
    assert lines == ["item_id:token", *map(str, range(7))]


def test_a_new_user_is_left_out_since_there_is_nothing_to_ask_with(tmp_path: Path) -> None:
    moments = {"old": [0.0, 1.0, 2.0, 3.0], "new": [2.0, 4.0]}
    rows = [(user, f"i{place}", moment) for user, times in moments.items() for place, moment in enumerate(times)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").with_row_index("row")
    frame.write_parquet(tmp_path / "interactions.parquet")
    pl.DataFrame({"item_id": [f"i{place}" for place in range(4)]}).write_parquet(tmp_path / "items.parquet")
    cuts = SplitSettings(method="by_date", validation_from="2", test_from="3")
    build_histories(tmp_path, tmp_path / "histories", settings=cuts)
    split = Histories.open(tmp_path / "histories")
    assert [split.user_ids[user] for user in split.open_examples("validation").users] == ["new", "old"]
    asked = exported(split, tmp_path / "export")["valid"]
    assert [split.user_ids[user] for user, _, _ in asked] == ["old"]
