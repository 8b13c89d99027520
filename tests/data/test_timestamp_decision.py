"""The clock of a table is decided once: validation, split, profile, drift and monitor see the same."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.config import Settings
from learn.config.data import ValidationSettings
from learn.data.check import check_folder
from learn.data.histories import CLOCK, Histories
from learn.data.splits import build_histories
from learn.data.tables import load_tables
from learn.data.timestamps import TimestampScale, detect_timestamp_scale, read_timestamp_scale
from learn.data.validation.derived_columns import find_last_moment
from learn.data.validation.validate import validate_tables
from learn.errors import DataError, InvalidDataError, SettingsError, SplitError
from learn.monitoring.watch import TableRead, read_source
from learn.registry.earlier import format_cut, has_later_cut

DAY = 86_400
START = 1_700_000_000
Decision = list[int] | list[float] | list[str]


def write_shop(folder: Path, timestamps: Decision, *, users: int = 6, item_ids: tuple[str, str] = ("i", "i")) -> Path:
    """A shop with these timestamps, dealt out to the users in turn."""
    folder.mkdir(parents=True)
    titles = [f"{item_ids[0]}{item},A steel kettle of kind {item}" for item in range(10)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *titles, ""]), encoding="utf-8")
    rows = [f"u{row % users},{item_ids[1]}{row * 7 % 10},{moment}" for row, moment in enumerate(timestamps)]
    text = "\n".join(["user_id,item_id,timestamp", *rows, ""])
    (folder / "interactions.csv").write_text(text, encoding="utf-8")
    return folder


def prepare(folder: Path, chosen: Settings) -> Histories:
    """Load, validate and split a shop, as a training does."""
    raw = load_tables(folder, folder / "raw", settings=chosen.data, timestamps=chosen.validation.timestamps)
    valid = validate_tables(raw.folder, folder / "valid", report=folder / "report.html", settings=chosen.validation)
    return Histories.open(build_histories(valid.folder, folder / "histories", settings=chosen.split).folder)


DIGITS = [int(f"202401{1 + row // 24:02}{row % 24:02}0000") for row in range(240)]
UNIX = [START + row * 3_600 for row in range(240)]
EIGHTIES = [f"198{row % 10}-01-{1 + row // 10:02}" for row in range(240)]
PLACES = list(range(240))


@pytest.mark.parametrize(
    ("timestamps", "declared", "unit", "year"),
    [
        (UNIX, "auto", "seconds", 2023),
        (UNIX, "unix", "seconds", 2023),
        (UNIX, "order", "order", None),
        (DIGITS, "auto", "date", 2024),
        (DIGITS, "order", "order", None),
        (EIGHTIES, "auto", "date", 1980),
        (EIGHTIES, "unix", "date", 1980),
        (EIGHTIES, "order", "order", None),
        (PLACES, "auto", "order", None),
        ([each * 10**6 for each in UNIX], "auto", "microseconds", 2023),
        # Nobody gave a year; the coarsest unit before 2100 is the one.
        ([320_000_000_000 + row * 3_600_000 for row in range(240)], "unix", "milliseconds", 1980),
    ],
)
def test_one_decision_is_seen_everywhere(
    tmp_path: Path, timestamps: Decision, declared: str, unit: str, year: int | None
) -> None:
    chosen = Settings.from_mapping({"validation": {"timestamps": declared, "earliest": "1900-01-01"}})
    shop = write_shop(tmp_path / "shop", timestamps)
    histories = prepare(shop, chosen)
    scales = [
        read_timestamp_scale(shop / "raw" / "interactions.parquet"),
        read_timestamp_scale(shop / "valid" / "interactions.parquet"),
        histories.scale,
    ]
    read = read_source(shop, tmp_path / "read", settings=chosen)
    assert isinstance(read, TableRead)
    assert set(scales) == {read.scale}
    assert read.scale.unit == unit
    assert histories.split["method"] == ("leave_one_out" if unit == "order" else "by_date")
    found = check_folder(shop, settings=chosen)
    assert (found.timestamp_unit, found.split) == (unit, histories.split["method"])
    assert (found.first or "None")[:4] == str(year)
    assert found.interactions.valid == 240
    if year is None:
        assert found.last is None
        assert not any(part.startswith("20") for part in histories.split["described"].split())
    else:
        assert str(year) in read.scale.format(histories.timestamps[0].item())


def test_respelt_ids_leave_the_decision_as_it_is(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", UNIX, item_ids=("00", "0"))
    chosen = Settings.from_mapping({"validation": {"timestamps": "order"}})
    assert prepare(shop, chosen).scale.unit == "order"


def test_cuts_given_as_numbers_split_an_order_as_the_message_advises(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", PLACES)
    by_date = Settings.from_mapping({"split": {"method": "by_date"}})
    with pytest.raises(SplitError) as caught:
        prepare(shop, by_date)
    assert "as numbers" in (caught.value.fix or "")
    cuts = by_date.override(split__validation_from="150", split__test_from="200")
    histories = prepare(shop, cuts)
    assert (histories.split["validation_from"], histories.split["test_from"]) == (150, 200)
    assert histories.scale.unit == "order"


def test_a_cut_is_in_the_unit_of_the_source(tmp_path: Path) -> None:
    fine = [f"2024-01-{1 + row // 24:02}T{row % 24:02}:00:00.000001" for row in range(240)]
    shop = write_shop(tmp_path / "shop", fine)
    seconds = int(dt.datetime(2024, 1, 8, tzinfo=dt.UTC).timestamp())
    chosen = Settings.from_mapping({"split": {"validation_from": "20240106", "test_from": str(seconds)}})
    described = prepare(shop, chosen).split["described"]
    assert "before 2024-01-06 00:00:00+00:00, validation before 2024-01-08 00:00:00+00:00" in described


# Hypothesis needs a folder separately for each example.
@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(24)), step=st.sampled_from([1, 100]), as_date=st.booleans())
def test_neighbours_a_nanosecond_apart_keep_their_order(
    order: list[int], step: int, as_date: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("near")
    moments = [START * 10**9 + place * step for place in order]
    texts = [f"2023-11-14T22:13:20.{each % 10**9:09}Z" if as_date else str(each) for each in moments]
    shop = write_shop(folder / "shop", texts, users=1)
    tables = load_tables(shop, shop / "raw", settings=Settings().data).folder
    split = build_histories(tables, shop / "histories", settings=Settings.from_mapping({"split": LEAVE}).split)
    histories = Histories.open(split.folder)
    assert histories.timestamps.tolist() == sorted(moments)
    assert histories.items.tolist() == [order.index(place) * 7 % 10 for place in range(24)]


LEAVE = {"method": "leave_one_out"}


# --- Where the data end -----------------------------------------------------------------------------------


def find_last(values: list[int] | list[float], scale: TimestampScale | None = None) -> float:
    table = pl.DataFrame({"timestamp": values}).lazy()
    return find_last_moment(table, scale or TimestampScale("seconds", 1))


def to_seconds(year: int) -> int:
    return int(dt.datetime(year, 1, 19, tzinfo=dt.UTC).timestamp())


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.integers(0, 300 * DAY), min_size=40, max_size=120),
    faults=st.lists(st.sampled_from([2038, 2070, 2099, 2150, 9999]), max_size=2),
    per_second=st.sampled_from([1, 1_000]),
    seed=st.integers(0, 9),
)
def test_what_comes_after_a_gap_of_a_year_is_a_fault(
    steps: list[int], faults: list[int], per_second: int, seed: int
) -> None:
    # The sum of all steps stays before 2038.
    moments = np.cumsum(np.array(steps) * (12 * 365 * DAY / max(1, sum(steps)))).astype(np.int64) + to_seconds(2010)
    gaps = np.diff(moments)
    if (gaps > 365 * DAY).any():
        return
    values = [*moments.tolist(), *(to_seconds(year) for year in faults)]
    shuffled = (np.random.default_rng(seed).permutation(values) * per_second).tolist()
    assert find_last(shuffled, TimestampScale("seconds", per_second)) == moments[-1] * per_second


@pytest.mark.parametrize(
    ("faults", "believed"),
    [([to_seconds(2038)] * 5, False), ([to_seconds(2038)] * 20, True), ([START * 1_000] * 90, False), ([], False)],
)
def test_more_than_may_be_lost_are_no_faults_before_2100(faults: list[int], believed: bool) -> None:
    values = [START + row * 3_600 for row in range(200)]
    assert find_last([*values, *faults]) == (max(faults) if believed else values[-1])


def test_a_table_without_a_moment_has_an_end_all_the_same() -> None:
    assert find_last([]) == find_last([to_seconds(2150)])


def test_the_day_of_the_run_decides_nothing(tmp_path: Path) -> None:
    year = 2090
    shop = write_shop(tmp_path / "shop", [to_seconds(year) + row * 3_600 for row in range(240)])
    found = check_folder(shop, settings=Settings())
    assert found.interactions.valid == 240
    assert (found.first or "").startswith(str(year))


def test_the_advice_on_days_out_of_range_works_when_followed(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", EIGHTIES)
    with pytest.raises(InvalidDataError) as caught:
        check_folder(shop, settings=Settings())
    assert "`validation.earliest`" in (caught.value.fix or "")
    assert 'validation.timestamps = "order"' in (caught.value.fix or "")
    for advice in ({"earliest": "1900-01-01"}, {"timestamps": "order"}):
        assert check_folder(shop, settings=Settings.from_mapping({"validation": advice})).interactions.valid == 240


# --- The scale itself -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    ticks=st.integers(-(2**62), 2**62),
    per_second=st.sampled_from([1, 10**3, 10**6, 10**7, 10**9]),
    finer=st.sampled_from([1, 1_000]),
)
def test_a_moment_on_a_finer_clock_and_back_is_the_same(ticks: int, per_second: int, finer: int) -> None:
    own, other = TimestampScale("date", per_second), TimestampScale("seconds", per_second * finer)
    there = own.convert(ticks, into=other)
    assert there == ticks * finer
    assert other.convert(there, into=own) == ticks
    assert TimestampScale.from_dict(own.to_dict()) == own


def test_moments_beyond_the_calendar_are_its_ends() -> None:
    scale = TimestampScale("seconds", 1)
    assert scale.to_datetime(2**62).year == 9999
    assert scale.to_datetime(-(2**62)).year == 1
    assert scale.to_datetime(1e300).year == 9999


@pytest.mark.parametrize("text", ["nan", "1/3", "yesterday", "1e30"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        TimestampScale("seconds", 1).parse(text, setting="split.test_from")


def test_a_word_of_the_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "interactions.parquet"
    pl.DataFrame({"timestamp": [1]}).write_parquet(path, metadata={"learn.timestamps": "{}"})
    with pytest.raises(DataError, match="load the tables again"):
        read_timestamp_scale(path)


def test_a_table_that_does_not_say_it_is_known_by_its_median(tmp_path: Path) -> None:
    path = tmp_path / "interactions.parquet"
    pl.DataFrame({"timestamp": UNIX}).write_parquet(path)
    assert read_timestamp_scale(path) == detect_timestamp_scale(float(np.median(UNIX)))
    assert read_timestamp_scale(path, declared="order").unit == "order"


def test_cuts_of_two_bundles_are_compared_as_moments() -> None:
    def split(moment: int, per_second: int, unit: str) -> dict[str, object]:
        cuts = {"validation_from": moment * per_second, "test_from": (moment + DAY) * per_second}
        return {"method": "by_date", **cuts, CLOCK: TimestampScale(unit, per_second).to_dict()}

    earlier, now = split(START + 1, 1, "date"), split(START, 1_000, "milliseconds")
    assert has_later_cut(earlier, now, cut="validation_from", of_now="validation_from")
    assert not has_later_cut(now, earlier, cut="validation_from", of_now="validation_from")
    assert format_cut(now, "validation_from") == "2023-11-14 22:13:20+00:00"
    # A bundle of an earlier version does not tell of its clock.
    old = {"method": "by_date", "validation_from": float(START), "test_from": float(START + DAY)}
    assert format_cut(old, "validation_from") == "2023-11-14 22:13:20+00:00"
    assert not has_later_cut(old, now, cut="validation_from", of_now="validation_from")


def test_latest_may_still_be_set(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", UNIX)
    chosen = Settings(validation=ValidationSettings(latest="2023-11-20", max_quarantined_share=0.9))
    assert (check_folder(shop, settings=chosen).last or "").startswith("2023-11-20T23:")
