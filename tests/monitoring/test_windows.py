"""Windows: bad input first, then that they hold the rows they should."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learn.errors import DriftError
from learn.monitoring.samples import Window, build_history_window, build_table_window, find_positions

ITEMS = pl.DataFrame({"item_id": ["a", "b", "c"], "title": ["red mug", "blue mug", "lamp"]})


def test_an_item_that_does_not_exist_is_named() -> None:
    with pytest.raises(DriftError, match="names item 3, but there are 3 items"):
        Window("newest", pl.DataFrame({"item": [0, 3]}), ITEMS)


def test_interactions_without_items_are_refused() -> None:
    with pytest.raises(DriftError, match="no column `item`"):
        Window("newest", pl.DataFrame({"thing": [0]}), ITEMS)


def test_vectors_of_another_catalogue_are_refused() -> None:
    with pytest.raises(DriftError, match="2 item vectors for 3 items"):
        Window("newest", pl.DataFrame({"item": [0]}), ITEMS, np.zeros((2, 4), np.float32))


def test_tables_without_a_common_item_are_refused() -> None:
    table = pl.DataFrame({"user_id": ["u"], "item_id": ["z"], "timestamp": [1.0]})
    with pytest.raises(DriftError, match="None of the interactions"):
        build_table_window("current", interactions=table, items=ITEMS)


def test_a_table_window_numbers_the_items_and_leaves_unknown_ones_out() -> None:
    table = pl.DataFrame({"user_id": ["u", "v", "v"], "item_id": ["c", "z", "a"], "timestamp": [1.0, 2.0, 3.0]})
    window = build_table_window("current", interactions=table, items=ITEMS)
    assert window.interactions["item"].to_list() == [2, 0]
    assert window.interactions.columns == ["item", "user", "timestamp"]


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=8), st.integers(0, 10))
@settings(deadline=None)
def test_two_windows_part_every_history_at_the_moment(histories: list[list[int]], moment: int) -> None:
    times = np.asarray([time for history in histories for time in sorted(history)], dtype=np.float64)
    offsets = np.concatenate([[0], np.cumsum([len(history) for history in histories])]).astype(np.int64)
    indices = (np.arange(len(times)) % 3).astype(np.int32)
    cut = find_positions(moment, offsets=offsets, timestamps=times)

    def window(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> pl.DataFrame:
        made = build_history_window(
            "w", starts=starts, stops=stops, item_indices=indices, timestamps=times, items=ITEMS
        )
        return made.interactions

    before, after = window(offsets[:-1], cut), window(cut, offsets[1:])
    assert (before["timestamp"] < moment).all()
    assert (after["timestamp"] >= moment).all()
    assert before.height + after.height == len(times)
    assert before["user"].value_counts().height == sum(any(time < moment for time in part) for part in histories)
