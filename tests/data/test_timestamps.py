"""Timestamps: written in every form, moments are read back to the nanosecond, and doubt is explained with a remedy."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Sequence
from email.utils import format_datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.config.data import TIMESTAMP_WORDS, DataSettings
from learn.config.settings import Settings
from learn.data.tables import load_tables
from learn.data.timestamp_numbers import FORMS
from learn.data.timestamps import Declared, TimestampScale, read_timestamp_scale
from learn.errors import DataError, SettingsError

# Newer systems write it before AM and PM.
NARROW = "\u202f"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
Read = tuple[list[int | float | None], list[str | None], TimestampScale]


def read_column(
    folder: Path, column: pl.Series | Sequence[str], *, form: str = "", timestamps: Declared = "auto"
) -> Read:
    """Load a table with these timestamps; return what was read, what was not, and the scale."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "items.csv").write_text("item_id,title\ni,a title\n", encoding="utf-8")
    series = column if isinstance(column, pl.Series) else pl.Series(column, dtype=pl.String)
    frame = pl.DataFrame({"user_id": ["u"] * len(series), "item_id": ["i"] * len(series), "timestamp": series})
    frame.write_parquet(folder / "interactions.parquet")
    chosen = DataSettings(timestamp_format=form)
    out = load_tables(folder, folder / "out", settings=chosen, timestamps=timestamps).folder / "interactions.parquet"
    table = pl.read_parquet(out)
    return table["timestamp"].to_list(), table["timestamp_text"].to_list(), read_timestamp_scale(out)


def to_nanoseconds(read: Read) -> list[int | None]:
    ticks, _, scale = read
    return [None if tick is None else int(tick) * (10**9 // scale.per_second) for tick in ticks]


def to_seconds(moment: dt.datetime) -> int:
    return (moment - EPOCH) // dt.timedelta(seconds=1)


# Whole seconds from year 1 on, as text that needs no more; and what is finer, where nanoseconds have room.
_SECONDS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)).map(
    lambda each: each.replace(microsecond=0, tzinfo=dt.UTC)
)
_RECENT = st.datetimes(dt.datetime(1991, 1, 1), dt.datetime(2099, 12, 30)).map(
    lambda each: each.replace(microsecond=0, tzinfo=dt.UTC)
)
_LONG = [dt.date(2000, month, 1).strftime("%B") for month in range(1, 13)]
_NAMES = [month[:3] for month in _LONG]
_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def _write_clock(each: dt.datetime) -> str:
    return f"{each.hour:02}:{each.minute:02}:{each.second:02}"


def _write_half(each: dt.datetime, *, blank: str = " ") -> str:
    return f"{each.hour % 12 or 12}:{each.minute:02}:{each.second:02}{blank}{'PM' if each.hour >= 12 else 'AM'}"


def _write_week(each: dt.datetime, *, dash: str) -> str:
    year, week, day = each.isocalendar()
    return f"{year:04}{dash}W{week:02}{dash}{day}"


WRITERS: dict[str, Callable[[dt.datetime], str]] = {
    "iso": lambda each: f"{each.date().isoformat()}T{_write_clock(each)}Z",
    "lower": lambda each: f"{each.date().isoformat()}t{_write_clock(each)}z",
    "blank": lambda each: f"{each.date().isoformat()} {_write_clock(each)}",
    "slashes": lambda each: f"{each.year:04}/{each.month}/{each.day} {_write_clock(each)}",
    "utc": lambda each: f"{each.date().isoformat()} {_write_clock(each)} UTC",
    "go": lambda each: f"{each.date().isoformat()} {_write_clock(each)}.000 +0000 UTC",
    "java": lambda each: f"{each.date().isoformat()}T{_write_clock(each)}Z[UTC]",
    "comma": lambda each: f"{each.date().isoformat()}T{_write_clock(each)},000Z",
    "basic": lambda each: f"{each:%m%d}".join([f"{each.year:04}", f"T{_write_clock(each).replace(':', '')}Z"]),
    "week": lambda each: f"{_write_week(each, dash='-')}T{_write_clock(each)}",
    "basic week": lambda each: f"{_write_week(each, dash='')}T{_write_clock(each)}Z",
    "ordinal": lambda each: f"{each.year:04}-{each.timetuple().tm_yday:03}T{_write_clock(each)}",
    "am and pm": lambda each: f"{each.date().isoformat()} {_write_half(each)}",
    "dots": lambda each: f"{each.day:02}.{each.month:02}.{each.year:04} {_write_clock(each)}",
    "short dots": lambda each: f"{each.day}.{each.month}.{each.year:04}, {_write_clock(each)}",
    "named": lambda each: f"{each.day}-{_NAMES[each.month - 1]}-{each.year:04} {_write_clock(each)}",
    "upper": lambda each: f"{each.day:02}{_NAMES[each.month - 1].upper()}{each.year:04}:{_write_clock(each)}",
    "american": lambda each: f"{_LONG[each.month - 1]} {each.day}, {each.year:04} {_write_half(each)}",
    "at": lambda each: f"{_LONG[each.month - 1]} {each.day}th, {each.year:04} at {_write_half(each)}",
    "narrow": lambda each: f"{_NAMES[each.month - 1]} {each.day}, {each.year:04}, {_write_half(each, blank=NARROW)}",
    "apache": lambda each: f"{each.day:02}/{_NAMES[each.month - 1]}/{each.year:04}:{_write_clock(each)} +0000",
    "rfc 2822": lambda each: (
        f"{_DAYS[each.weekday()]}, {each.day:02} {_NAMES[each.month - 1]} {each.year:04} {_write_clock(each)} GMT"
    ),
    "twitter": lambda each: (
        f"{_DAYS[each.weekday()]} {_NAMES[each.month - 1]} {each.day:02} {_write_clock(each)} +0000 {each.year:04}"
    ),
    "asctime": lambda each: (
        f"{_DAYS[each.weekday()]} {_NAMES[each.month - 1]} {each.day:>2} {_write_clock(each)} {each.year:04}"
    ),
    "javascript": lambda each: (
        f"{_DAYS[each.weekday()]} {_NAMES[each.month - 1]} {each.day:02} {each.year:04} {_write_clock(each)}"
        " GMT+0000 (Coordinated Universal Time)"
    ),
    "dotnet json": lambda each: f"/Date({to_seconds(each) * 1_000})/",
    "escaped dotnet json": lambda each: f"\\/Date({to_seconds(each) * 1_000}+0100)\\/",
}


@settings(max_examples=60, deadline=None)
@given(moments=st.lists(_SECONDS, min_size=1, max_size=12), data=st.data())
def test_a_column_may_mix_all_forms_of_text(
    moments: list[dt.datetime], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = data.draw(st.lists(st.sampled_from(list(WRITERS)), min_size=len(moments), max_size=len(moments)))
    texts = [WRITERS[name](moment) for name, moment in zip(names, moments, strict=True)]
    ticks, unread, scale = read_column(tmp_path_factory.mktemp("mixed"), texts)
    assert unread == [None] * len(texts)
    assert ticks == [to_seconds(moment) * scale.per_second for moment in moments]
    assert scale.unit == "date"


@pytest.mark.parametrize("name", WRITERS)
def test_each_form_is_read_by_itself(tmp_path: Path, name: str) -> None:
    moments = [
        dt.datetime(year, month, day, hour, 5, 9, tzinfo=dt.UTC)
        for (year, month, day), hour in itertools.product(
            [(1, 1, 3), (1900, 2, 28), (2000, 2, 29), (2024, 12, 31), (9999, 12, 31)], [0, 11, 12, 23]
        )
    ]
    ticks, unread, scale = read_column(tmp_path, [WRITERS[name](moment) for moment in moments])
    assert unread == [None] * len(moments)
    assert ticks == [to_seconds(moment) * scale.per_second for moment in moments]


_NANOSECONDS = st.integers(-9_000_000_000 * 10**9, 9_000_000_000 * 10**9)


@settings(max_examples=60, deadline=None)
@given(
    moments=st.lists(_NANOSECONDS, min_size=1, max_size=8),
    offset=st.integers(-14 * 60, 14 * 60),
    style=st.integers(0, 2),
    mark=st.sampled_from(".,"),
)
def test_nine_digits_and_any_zone_are_exact(
    moments: list[int], offset: int, style: int, mark: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sign, size = "-" if offset < 0 else "+", abs(offset)
    if style == 2:
        size, offset = size // 60 * 60, size // 60 * 60 * (-1 if offset < 0 else 1)
    zone = (f"{sign}{size // 60:02}:{size % 60:02}", f" {sign}{size // 60:02}{size % 60:02}", f"{sign}{size // 60:02}")
    texts = []
    for moment in moments:
        local = EPOCH + dt.timedelta(seconds=moment // 10**9 + offset * 60)
        texts.append(f"{local:%Y-%m-%dT%H:%M:%S}{mark}{moment % 10**9:09}{zone[style]}")
    assert to_nanoseconds(read_column(tmp_path_factory.mktemp("nine"), texts)) == moments


@settings(max_examples=30, deadline=None)
@given(moments=st.lists(_SECONDS, min_size=1, max_size=6), hours=st.integers(-12, 14))
def test_mail_dates_are_those_that_python_writes(
    moments: list[dt.datetime], hours: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    zone = dt.timezone(dt.timedelta(hours=hours))
    moments = [moment for moment in moments if 2 < moment.year < 9998]
    local = [moment.astimezone(zone) for moment in moments] or [EPOCH]
    ticks, _, scale = read_column(tmp_path_factory.mktemp("mail"), [format_datetime(each) for each in local])
    assert ticks == [to_seconds(each) * scale.per_second for each in local]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-05", "2024-01-05"),
        ("2024-01", "2024-01-01"),
        ("2024-W01", "2024-01-01"),
        ("2020-W53-7", "2021-01-03"),
        ("2024-366", "2024-12-31"),
        ("20240105Z", "2024-01-05"),
        ("2024-01-05T10", "2024-01-05T10:00"),
        ("2024-01-05T10:30", "2024-01-05T10:30"),
        ("2024-01-05T10:30,5", "2024-01-05T10:30:30"),
        ("2024-01-05T10.25Z", "2024-01-05T10:15"),
        ("20240105T101112,123456Z", "2024-01-05T10:11:12.123456"),
        ("20240105 101112", "2024-01-05T10:11:12"),
        ("2024-01-05T24:00:00Z", "2024-01-06"),
        ("2016-12-31T23:59:60Z", "2017-01-01"),
        ("2024-01-05T10:00+01:00[Europe/Berlin]", "2024-01-05T09:00"),
        ("2024-01-05T10:00:00−05", "2024-01-05T15:00"),
        ("Fri, 5 Jan 2024 10:00:00 EST", "2024-01-05T15:00"),
        ("Friday, 05-Jan-24 10:00:00 GMT", "2024-01-05T10:00"),
        ("Sept. 5, 2024 1:00 p.m.", "2024-09-05T13:00"),
        ("12:30 AM", None),
        ("2024-01-05T10:00[Europe/Berlin]", None),
        ("2024-01-05 10:00 BST", None),
        ("2024-01-05 13:00 PM", None),
        ("2023-366", None),
        ("2021-W53-1", None),
        ("2024-00-10", None),
        ("0000-00-00 00:00:00", None),
        ("31-Feb-2024", None),
        ("2024-01-05T24:00:01Z", None),
        ("Marketing 5, 2024", None),
        ("٢٠٢٤-٠١-٠٥", None),
    ],
)
def test_single_texts(tmp_path: Path, text: str, moment: str | None) -> None:
    read = read_column(tmp_path, [text, "2020-01-01"])
    expected = None
    if moment:
        expected = (dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)
    found = to_nanoseconds(read)[0]
    assert found == (None if expected is None else expected * 1_000)
    assert read[1] == [None if moment else text, None]


# --- Day and month -----------------------------------------------------------------------------------------


def _write_parted(each: dt.datetime, order: str, mark: str) -> str:
    parts = (each.day, each.month) if order == "day_first" else (each.month, each.day)
    return f"{parts[0]}{mark}{parts[1]}{mark}{each.year:04} {each.hour}:{each.minute:02}"


@settings(max_examples=50, deadline=None)
@given(
    moments=st.lists(_RECENT.map(lambda each: each.replace(second=0)), min_size=1, max_size=10),
    order=st.sampled_from(["day_first", "month_first"]),
    mark=st.sampled_from("/-"),
)
def test_day_and_month_are_known_by_the_data_or_by_the_setting_that_the_message_gives(
    moments: list[dt.datetime], order: str, mark: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("parted")
    texts = [_write_parted(each, order, mark) for each in moments]
    expected = [to_seconds(each) for each in moments]
    if any(each.day > 12 for each in moments):
        assert read_column(folder, texts)[0] == expected
        return
    with pytest.raises(DataError) as caught:
        read_column(folder, texts)
    patterns = [f"%d{mark}%m{mark}%Y %H:%M", f"%m{mark}%d{mark}%Y %H:%M"]
    assert all(f'timestamp_format = "{pattern}"' in (caught.value.fix or "") for pattern in patterns)
    chosen = patterns[order == "month_first"]
    assert read_column(folder, texts, form=chosen)[0] == expected
    assert read_column(folder, texts, form=order)[0] == expected


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        # Beyond doubt: the second part is no month, or the year can be no day.
        (["12/1/10 8:26", "12/13/10 8:28"], [(2010, 12, 1), (2010, 12, 13)]),
        (["13/12/98", "01/02/98"], [(1998, 12, 13), (1998, 2, 1)]),
        (["05.01.2024", "31.12.2023"], [(2024, 1, 5), (2023, 12, 31)]),
        # The day, the month or the year.
        (["23-11-15", "23-11-16"], None),
        (["05.01.24"], None),
        # Some rows say one thing, some another.
        (["13/1/2024", "1/13/2024"], None),
    ],
)
def test_two_parts_are_read_where_nothing_else_can_be_meant(
    tmp_path: Path, texts: list[str], days: list[tuple[int, int, int]] | None
) -> None:
    if days is None:
        with pytest.raises(DataError, match="timestamp_format"):
            read_column(tmp_path, texts)
        return
    ticks, _, scale = read_column(tmp_path, texts)
    assert [scale.to_datetime(tick or 0).date() for tick in ticks] == [dt.date(*day) for day in days]


def test_a_column_of_several_forms_in_doubt_is_given_a_word(tmp_path: Path) -> None:
    texts = ["1/2/2024 10:00", "1/3/2024", "2024-01-05"]
    with pytest.raises(DataError, match='`timestamp_format = "day_first"`'):
        read_column(tmp_path, texts)
    ticks, unread, scale = read_column(tmp_path, texts, form="day_first")
    assert [str(scale.to_datetime(tick or 0).date()) for tick in ticks] == ["2024-02-01", "2024-03-01", "2024-01-05"]
    assert unread == [None] * 3


# --- Numbers -----------------------------------------------------------------------------------------------

_ZEROS = {"filetime": (10**7, -11_644_473_600), "chrome": (10**6, -11_644_473_600), "dotnet": (10**7, -62_135_596_800)}


@settings(max_examples=80, deadline=None)
@given(
    moments=st.lists(st.integers(1_000_000_000 * 10**9, 4_000_000_000 * 10**9), min_size=1, max_size=8),
    word=st.sampled_from(["seconds", "milliseconds", "microseconds", "nanoseconds", *_ZEROS]),
    as_text=st.booleans(),
    named=st.booleans(),
)
def test_numbers_of_every_clock_are_exact(
    moments: list[int], word: str, as_text: bool, named: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    units = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
    per_second, zero = _ZEROS.get(word, (units.get(word, 0), 0))
    exact = [moment // (10**9 // per_second) * (10**9 // per_second) for moment in moments]
    written = [moment // (10**9 // per_second) - zero * per_second for moment in exact]
    column = pl.Series([str(each) for each in written]) if as_text else pl.Series(written, dtype=pl.Int64)
    read = read_column(tmp_path_factory.mktemp("numbers"), column, form=word if named else "")
    assert to_nanoseconds(read) == exact
    assert read[2].unit == (word if word in units else "date")


@settings(max_examples=40, deadline=None)
@given(
    moments=st.lists(_RECENT, min_size=1, max_size=8),
    form=st.sampled_from(["%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y%m%d%H%M%S123"]),
    kind=st.sampled_from([pl.Int64, pl.Float64, pl.String]),
)
def test_digits_of_a_date_are_read(
    moments: list[dt.datetime], form: str, kind: type[pl.DataType], tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [each.strftime(form) for each in moments]
    column = pl.Series(texts) if kind is pl.String else pl.Series([int(text) for text in texts]).cast(kind)
    ticks, _, scale = read_column(tmp_path_factory.mktemp("digits"), column)
    plain = form.removesuffix("123")
    milliseconds = 123 * form.endswith("123")
    if kind is pl.Float64 and milliseconds:
        # A float of 17 digits holds only even numbers.
        milliseconds = 0
        ticks = [tick // 1_000 * 1_000 for tick in ticks if tick is not None]
    said = [to_seconds(dt.datetime.strptime(each.strftime(plain), plain).replace(tzinfo=dt.UTC)) for each in moments]
    assert ticks == [each * 1_000 + milliseconds for each in said]
    assert scale == TimestampScale("date", 1_000)


def test_digits_that_are_mostly_no_days_are_an_order(tmp_path: Path) -> None:
    few = list(range(20_231_201, 20_231_229)) + list(range(20_231_314, 20_231_321))
    ticks, unread, scale = read_column(tmp_path / "few", pl.Series(few))
    assert (scale.unit, sum(text is not None for text in unread)) == ("date", 7)
    assert sum(tick is None for tick in ticks) == 7
    many = list(range(20_231_332, 20_231_399))
    ticks, _, scale = read_column(tmp_path / "many", pl.Series(many))
    assert (ticks, scale.unit) == (many, "order")


@settings(max_examples=40, deadline=None)
@given(moments=st.lists(_RECENT, min_size=1, max_size=8), as_text=st.booleans(), digits=st.sampled_from([10, 17]))
def test_days_of_excel_with_a_time_are_known_by_their_fractions(
    moments: list[dt.datetime], as_text: bool, digits: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    moments = [each.replace(hour=10, minute=7) for each in moments]
    serials = [(each - dt.datetime(1899, 12, 30, tzinfo=dt.UTC)) / dt.timedelta(days=1) for each in moments]
    column = pl.Series([f"{each:.{digits}g}" if digits == 17 else f"{each:.10f}" for each in serials])
    read = read_column(tmp_path_factory.mktemp("excel"), column if as_text else column.cast(pl.Float64))
    assert to_nanoseconds(read) == [to_seconds(each) * 10**9 for each in moments]


def test_whole_days_of_excel_are_an_order_until_the_setting_says_it(tmp_path: Path) -> None:
    days = pl.Series([45_296, 45_297])
    assert read_column(tmp_path / "plain", days)[2].unit == "order"
    ticks, _, scale = read_column(tmp_path / "set", days, form="excel")
    assert str(scale.to_datetime(ticks[0] or 0).date()) == "2024-01-05"


@settings(max_examples=40, deadline=None)
@given(
    numbers=st.lists(st.integers(1_000_000_000 * 10**9, 4_000_000_000 * 10**9), min_size=2, max_size=8, unique=True),
    digits=st.integers(0, 6),
)
def test_milliseconds_written_with_a_fraction_stay_apart(
    numbers: list[int], digits: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    step = 10 ** (6 - digits)
    exact = [number // step * step for number in numbers]
    texts = [f"{number // 10**6}" + f".{number % 10**6:06}"[: digits + 1] * bool(digits) for number in exact]
    read = read_column(tmp_path_factory.mktemp("fractions"), texts)
    assert to_nanoseconds(read) == exact
    assert read[2].unit == "milliseconds"


def test_an_order_with_fractions_stays_one(tmp_path: Path) -> None:
    for column in (pl.Series([0.5, 1.5, 2.25]), pl.Series(["0.5", "1.5", "2.25"])):
        ticks, _, scale = read_column(tmp_path, column)
        assert (ticks, scale.unit) == ([0.5, 1.5, 2.25], "order")


@pytest.mark.parametrize("kind", [pl.Datetime("ms"), pl.Datetime("us", "Asia/Tokyo"), pl.Datetime("ns"), pl.Date()])
def test_dates_of_parquet_are_exact_and_null_stays_null(tmp_path: Path, kind: pl.DataType) -> None:
    moments = [dt.datetime(2024, 1, 5, 10, 0, 0, 123_000), None]
    column = pl.Series(moments).cast(pl.Datetime("us")).cast(kind) if not isinstance(kind, pl.Datetime) else None
    if column is None:
        plain = pl.Series(moments).cast(pl.Datetime(kind.time_unit))  # type: ignore[attr-defined]
        zone = kind.time_zone  # type: ignore[attr-defined]
        column = plain.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else plain
    read = read_column(tmp_path, column)
    whole = dt.datetime(2024, 1, 5, tzinfo=dt.UTC) if isinstance(kind, pl.Date) else moments[0]
    assert whole is not None
    micros = (whole.replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)
    assert to_nanoseconds(read) == [micros * 1_000, None]
    assert read[1] == [None, None]


def test_numbers_among_dates_are_read_by_their_size(tmp_path: Path) -> None:
    texts = ["2024-01-05T10:00:00Z", "1704448800", "1704448800000", "20240105", "20240105100000", "7", "2024-01-05"]
    read = read_column(tmp_path, [*texts, *["2024-01-05"] * 6])
    moment = 1_704_448_800 * 10**9
    day = 1_704_412_800 * 10**9
    assert to_nanoseconds(read)[:7] == [moment, moment, moment, day, moment, None, day]
    assert read[1][5] == "7"


def test_dates_among_numbers_are_read_only_where_these_are_a_write_clock(tmp_path: Path) -> None:
    clock = read_column(tmp_path / "clock", ["1704448800", "1704448801", "2024-01-05T10:00:02.5Z"])
    assert to_nanoseconds(clock) == [1_704_448_800 * 10**9, 1_704_448_801 * 10**9, 1_704_448_802_500_000_000]
    order = read_column(tmp_path / "order", ["1", "2", "2024-01-05"])
    assert order[:2] == ([1, 2, None], [None, None, "2024-01-05"])


# --- Settings ----------------------------------------------------------------------------------------------


def test_the_words_of_the_setting_are_the_forms_there_are() -> None:
    assert {form.word for form in FORMS} == set(TIMESTAMP_WORDS) - {"day_first", "month_first"}


def test_a_wrong_word_is_answered_with_the_right_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({"data": {"timestamp_format": "exel"}})
    assert all(word in str(caught.value) for word in TIMESTAMP_WORDS)
    assert "did you mean `excel`?" in str(caught.value)


@pytest.mark.parametrize(("form", "said"), [("%Y-%Q", "unknown"), ("%Y %Y", "repeats"), ("%H:%M", "no year")])
def test_a_wrong_pattern_is_explained(tmp_path: Path, form: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_column(tmp_path, ["2024-01-05"], form=form)


@pytest.mark.parametrize(
    ("form", "text", "moment"),
    [
        ("%d/%m/%y %I:%M %p", "05/01/24 1:07 PM", "2024-01-05T13:07:00"),
        ("%Y-%m-%d %H.%M.%S.%f", "2024-01-05 10.11.12.250", "2024-01-05T10:11:12.250"),
        ("%F %T%.f", "2024-01-05 10:11:12", "2024-01-05T10:11:12"),
        ("%A %d %B %Y", "Friday 05 January 2024", "2024-01-05"),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-05T10:00:00+0530", "2024-01-05T04:30:00"),
        ("%Y%j", "2024005", "2024-01-05"),
        ("[%d|%m|%Y]", "[05|01|2024]", "2024-01-05"),
    ],
)
def test_a_pattern_reads_what_it_says(tmp_path: Path, form: str, text: str, moment: str) -> None:
    read = read_column(tmp_path, [text, "what it does not say"], form=form)
    micros = (dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)
    assert to_nanoseconds(read) == [micros * 1_000, None]
    assert read[1] == [None, "what it does not say"]


def test_a_pattern_reads_whole_numbers_too(tmp_path: Path) -> None:
    ticks, _, scale = read_column(tmp_path, pl.Series([20_240_105, 20_240_106]), form="%Y%d%m")
    assert [str(scale.to_datetime(tick or 0).date()) for tick in ticks] == ["2024-05-01", "2024-06-01"]


def test_a_form_that_fits_nothing_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No timestamp can be read as `%Y/%m/%d`; the first is `2024-01-05`"):
        read_column(tmp_path, ["2024-01-05"], form="%Y/%m/%d")
