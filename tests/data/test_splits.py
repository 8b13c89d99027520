"""Splits: nothing after a cut is seen before it, and every interaction lands in exactly one place."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.config.data import SplitSettings
from learn.data.histories import Histories
from learn.data.splits import build_histories
from learn.data.timestamps import detect_timestamp_scale
from learn.errors import DataError, SettingsError, SplitError

DAY = 86_400.0
START = datetime(2024, 1, 1, tzinfo=UTC).timestamp()

Rows = list[tuple[str, str, float]]


def write_tables(folder: Path, rows: Rows, *, items: int = 6) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"i{n}" for n in range(items)]
    pl.DataFrame({"row": range(items), "item_id": ids, "title": ids}).write_parquet(folder / "items.parquet")
    users, item_ids, timestamps = zip(*rows, strict=True) if rows else ((), (), ())
    frame = pl.DataFrame(
        {"row": range(len(rows)), "user_id": users, "item_id": item_ids, "timestamp": timestamps},
        schema={"row": pl.Int64, "user_id": pl.String, "item_id": pl.String, "timestamp": pl.Float64},
    )
    frame.write_parquet(folder / "interactions.parquet")
    return folder


def built(tmp_path: Path, rows: Rows, **chosen: object) -> Histories:
    tables = write_tables(tmp_path / "tables", rows)
    summary = build_histories(tables, tmp_path / "histories", settings=SplitSettings.model_validate(chosen))
    return Histories.open(summary.folder)


interactions = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.sampled_from([f"i{n}" for n in range(6)]),
        st.integers(0, 30).map(lambda d: START + d * DAY),
    ),
    min_size=12,
    max_size=60,
)


@given(rows=interactions)
@settings(max_examples=40, deadline=None)
def test_by_date_shows_no_example_anything_from_after_its_cut(
    rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        histories = built(tmp_path_factory.mktemp("split"), rows, method="by_date")
    except SplitError:
        return
    cuts = {"validation": histories.split["validation_from"], "test": histories.split["test_from"]}
    times = np.asarray(histories.timestamps)
    assert (times[histories.mark_training()] < cuts["validation"]).all()
    for part in ("validation", "test"):
        examples = histories.open_examples(part)
        for start, stop, target in zip(examples.starts, examples.stops, examples.targets, strict=True):
            assert (times[start:stop] < cuts[part]).all()
            assert times[stop] >= cuts[part]
            assert histories.items[stop] == target


@given(rows=interactions)
@settings(max_examples=40, deadline=None)
def test_leave_one_out_asks_for_the_last_two_items_of_each_user(
    rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        histories = built(tmp_path_factory.mktemp("split"), rows, method="leave_one_out")
    except SplitError:
        return
    assert len(histories.items) == len(rows)
    counts = np.diff(histories.offsets)
    test, validation = histories.open_examples("test"), histories.open_examples("validation")
    assert len(test) == (counts >= 2).sum()
    assert len(validation) == (counts >= 3).sum()
    assert (test.stops == histories.offsets[1:][test.users] - 1).all()
    assert (validation.stops == histories.train_stops[validation.users]).all()


def test_histories_stand_in_time_order_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [("a", f"i{n}", START + day * DAY) for n, day in enumerate([5, 1, 3, 0])]
    histories = built(tmp_path, rows, method="leave_one_out")
    assert histories.items.tolist() == [3, 1, 2, 0]


def test_ties_keep_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [("a", f"i{n}", START) for n in (4, 2, 5, 1)]
    assert built(tmp_path, rows, method="leave_one_out").items.tolist() == [4, 2, 5, 1]


def test_popularity_counts_the_training_part_alone(tmp_path: Path) -> None:
    rows = [("a", item, START + n) for n, item in enumerate(["i0", "i0", "i1", "i2", "i3"])]
    assert built(tmp_path, rows, method="leave_one_out").count_popularity().tolist() == [2, 1, 0, 0, 0, 0]


def test_auto_is_by_date_for_dates_and_leave_one_out_for_an_order(tmp_path: Path) -> None:
    dated = [(user, f"i{n % 6}", START + n * DAY) for n in range(20) for user in "ab"]
    assert built(tmp_path / "dated", dated).split["method"] == "by_date"
    ordered = [(user, f"i{n}", float(n)) for n in range(6) for user in "ab"]
    assert built(tmp_path / "ordered", ordered).split["method"] == "leave_one_out"


def test_a_cut_may_be_a_date_and_holds_to_the_second(tmp_path: Path) -> None:
    rows = [("a", f"i{n}", START + n * DAY) for n in range(6)]
    chosen = {"method": "by_date", "validation_from": "2024-01-04", "test_from": "2024-01-05T00:00:00"}
    histories = built(tmp_path, rows, **chosen)
    assert histories.train_stops.tolist() == [3]
    assert histories.open_examples("validation").targets.tolist() == [3]
    assert histories.open_examples("test").targets.tolist() == [4]


def test_a_new_user_has_an_empty_history(tmp_path: Path) -> None:
    rows = [("a", f"i{n % 6}", START + n * DAY) for n in range(20)] + [("z", "i0", START + 19.5 * DAY)]
    histories = built(tmp_path, rows, method="by_date")
    test = histories.open_examples("test")
    assert [stop - start for start, stop in zip(test.starts, test.stops, strict=True)] == [18, 0]


def test_by_date_on_an_order_says_what_to_do(tmp_path: Path) -> None:
    rows = [(user, f"i{n}", float(n)) for n in range(6) for user in "ab"]
    with pytest.raises(SplitError, match="leave_one_out"):
        built(tmp_path, rows, method="by_date")


def test_no_user_with_two_interactions_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="two interactions"):
        built(tmp_path, [(f"u{n}", "i1", START + n) for n in range(9)])
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


@pytest.mark.parametrize("test_from", ["2024-01-02", "2024-01-05"])
def test_a_crossed_or_empty_window_is_refused(tmp_path: Path, test_from: str) -> None:
    rows = [("a", f"i{n}", START + n * DAY) for n in range(6)]
    with pytest.raises(SplitError, match="validation window is empty: it would begin at 2024-01-05"):
        built(tmp_path, rows, method="by_date", validation_from="2024-01-05", test_from=test_from)


@pytest.mark.parametrize(
    ("cuts", "empty"),
    [
        (("2023-12-30", "2024-01-04"), "training"),
        (("2024-01-06T12:00:00", "2024-01-06T13:00:00"), "validation and the test"),
        (("2024-01-04", "2024-01-07"), "test"),
    ],
)
def test_a_split_with_an_empty_part_is_refused_and_leaves_nothing(
    tmp_path: Path, cuts: tuple[str, str], empty: str
) -> None:
    rows = [("a", f"i{n}", START + n * DAY) for n in range(6)]
    with pytest.raises(SplitError, match=f"The {empty} part would be empty"):
        built(tmp_path, rows, method="by_date", validation_from=cuts[0], test_from=cuts[1])
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


def test_a_cut_that_is_no_date_is_refused(tmp_path: Path) -> None:
    rows = [("a", f"i{n}", START + n * DAY) for n in range(6)]
    with pytest.raises(SettingsError, match="neither a date nor a number"):
        built(tmp_path, rows, method="by_date", validation_from="yesterday", test_from="2024-01-02")


def test_damaged_histories_are_refused(tmp_path: Path) -> None:
    rows = [("a", f"i{n}", START + n * DAY) for n in range(6)]
    histories = built(tmp_path, rows, method="leave_one_out")
    (histories.folder / "items.npy").write_bytes(b"not an array")
    with pytest.raises(DataError, match="cannot be read"):
        Histories.open(histories.folder)


@pytest.mark.parametrize(
    ("median", "unit"),
    [(1.7e9, "seconds"), (1.7e12, "milliseconds"), (1.7e15, "microseconds"), (1.7e18, "nanoseconds"), (12.0, "order")],
)
def test_the_unit_of_a_clock_is_told_by_its_size(median: float, unit: str) -> None:
    scale = detect_timestamp_scale(median)
    assert scale.unit == unit
    if scale.is_clock:
        assert scale.to_datetime(median).year == 2023


def test_too_few_dates_for_three_parts_are_split_by_user(tmp_path: Path) -> None:
    """By itself only: a split by date that was set is refused."""
    rows: Rows = [(f"u{n % 9}", f"i{n % 5}", 1_700_000_000 + n // 9) for n in range(27)]
    tables = write_tables(tmp_path / "tables", rows)
    split = build_histories(tables, tmp_path / "auto", settings=SplitSettings(validation_share=0.01, test_share=0.01))
    assert split.method == "leave_one_out"
    assert "No split by date" in split.described
    with pytest.raises(SplitError):
        build_histories(
            tables,
            tmp_path / "dated",
            settings=SplitSettings(method="by_date", validation_share=0.01, test_share=0.01),
        )
