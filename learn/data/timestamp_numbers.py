"""Numbers as timestamps: Unix time, the clocks of Windows, Chrome, .NET and Excel, digits of a date, or an order.

Which it is, the median tells: each form has a window of numbers that are moments of the years 1990 to 2100, and no two
windows meet. The median is found by counting what is below the windows' ends, so one pass in a stream is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from learn.data.timestamp_texts import count_days

YEAR_1990, YEAR_2100 = 631_152_000, 4_102_444_800
"""The years that timestamps of a shop are believed in, as Unix seconds."""

_YEAR_1601, _YEAR_1 = -11_644_473_600, -62_135_596_800
_DAY_SECONDS = 86_400
# The day that Excel numbers 0, so that every day from March 1900 on is right.
_EXCEL_DAYS = 25_569


@dataclass(frozen=True)
class NumberForm:
    """How a number is a moment.

    Attributes:
        word: As the setting ``data.timestamp_format`` names it; ``order`` for none.
        unit: Name of the unit for people: that of Unix time, ``date`` for other clocks, or ``order``.
        per_second: Steps of the number in a second.
        zero: Unix seconds of the number 0.
        first: Smallest median of this form.
        last: One past the largest.
    """

    word: str
    unit: str
    per_second: int
    zero: int
    first: int
    last: int


def _make_clock_form(word: str, unit: str, per_second: int, zero: int = 0) -> NumberForm:
    first, last = ((year - zero) * per_second for year in (YEAR_1990, YEAR_2100))
    return NumberForm(word, unit, per_second, zero, first, last)


def _make_digits_form(zeros: int) -> NumberForm:
    # From the year 1900 on: birthdays are dates too, and no other form is there.
    return NumberForm("yyyymmdd", "date", 1, 0, 19_000_101 * 10**zeros, 21_001_232 * 10**zeros)


ORDER = NumberForm("order", "order", 1, 0, 0, 0)
UNIX = (
    _make_clock_form("seconds", "seconds", 1),
    _make_clock_form("milliseconds", "milliseconds", 10**3),
    _make_clock_form("microseconds", "microseconds", 10**6),
    _make_clock_form("nanoseconds", "nanoseconds", 10**9),
)
_DOTNET = _make_clock_form("dotnet", "date", 10**7, _YEAR_1)
# Excel's numbers are days; its window is in days, and the fractions are read apart.
EXCEL = NumberForm(
    "excel", "date", 1, 0, YEAR_1990 // _DAY_SECONDS + _EXCEL_DAYS, YEAR_2100 // _DAY_SECONDS + _EXCEL_DAYS
)
# Ticks of .NET of 2001 to 2100 are the nanoseconds of 1990, and so the ticks come first: no shop is that old.
FORMS = (
    *UNIX[:3],
    _DOTNET,
    UNIX[3],
    _make_clock_form("filetime", "date", 10**7, _YEAR_1601),
    _make_clock_form("chrome", "date", 10**6, _YEAR_1601),
    *(_make_digits_form(zeros) for zeros in (0, 4, 6, 9)),
    EXCEL,
)
_DIGITS = {8: 0, 12: 4, 14: 6, 17: 9}


def find_form(word: str) -> NumberForm:
    """Return the form that the setting ``data.timestamp_format`` names by this word."""
    return next(form for form in FORMS if form.word == word)


_ENDS = sorted({end for form in FORMS for end in (form.first, form.last)})


@dataclass(frozen=True)
class NumberSurvey:
    """Where the numbers of a column are.

    Attributes:
        count: Numbers.
        below: End of a window -> numbers below it.
    """

    count: int
    below: Mapping[int, int]

    def __add__(self, other: NumberSurvey) -> NumberSurvey:
        return NumberSurvey(self.count + other.count, {end: self.below[end] + other.below[end] for end in _ENDS})

    def has_median_below(self, end: int) -> bool:
        """Whether the lower one of the two in the middle is below an end of a window."""
        return self.below[end] > (self.count - 1) // 2

    def count_within(self, form: NumberForm) -> int:
        """Numbers in a form's window."""
        return self.below[form.last] - self.below[form.first]

    def find_window(self) -> NumberForm:
        """Return the form in whose window the median is, ``ORDER`` if in none."""
        if not self.count:
            return ORDER
        held = (form for form in FORMS if self.has_median_below(form.last) and not self.has_median_below(form.first))
        return next(held, ORDER)

    def find_unix_unit(self) -> NumberForm:
        """Return the coarsest unit of Unix time in which the median is before the year 2100."""
        return next((form for form in UNIX if self.has_median_below(form.last)), UNIX[-1])


def list_survey_columns(number: pl.Expr, *, prefix: str) -> dict[str, pl.Expr]:
    """Return what :func:`collect_number_survey` needs, to be selected from the table."""
    counts = {f"{prefix}{end}": (number < end).sum() for end in _ENDS}
    return {f"{prefix}count": number.count(), **counts}


def collect_number_survey(found: pl.DataFrame, *, prefix: str) -> NumberSurvey:
    """Read the survey out of the one row that was selected."""
    below = {end: int(found[f"{prefix}{end}"][0] or 0) for end in _ENDS}
    return NumberSurvey(int(found[f"{prefix}count"][0] or 0), below)


def choose_number_form(
    table: pl.LazyFrame, number: pl.Expr, survey: NumberSurvey, *, has_fractions: bool, declared: str
) -> NumberForm:
    """Tell what the numbers of a column are.

    Digits of a date are one if at least half are days of the calendar; Excel's days if some have a fraction and every
    fraction is a whole second of a day.

    Args:
        table: The rows.
        number: The numbers; null if there is none.
        survey: Where they are.
        has_fractions: Whether one is no whole number.
        declared: ``auto``, ``unix`` or ``order``, as the settings say.
    """
    form = ORDER if declared == "order" else survey.find_window()
    if form.word == "yyyymmdd":
        valid = table.select(read_digits(number).count()).collect(engine="streaming").item()
        form = form if 2 * valid >= survey.count else ORDER
    elif form is EXCEL:
        clock = number.cast(pl.Float64) % 1 * _DAY_SECONDS
        is_whole = ((clock - clock.round()).abs() < 0.01).all()
        known = has_fractions and table.select(is_whole).collect(engine="streaming").item()
        form = form if known else ORDER
    return survey.find_unix_unit() if form is ORDER and declared == "unix" else form


def read_digits(number: pl.Expr) -> pl.Expr:
    """Read ``YYYYMMDD``, with ``hhmm``, ``hhmmss`` or also milliseconds after it, as Unix milliseconds, Int64."""
    whole = number.cast(pl.Int64, strict=False)
    milliseconds = pl.lit(None, dtype=pl.Int64)
    for zeros in _DIGITS.values():
        form = _make_digits_form(zeros)
        date = whole // 10**zeros
        # Missing digits of the time are zeros: all have nine after it.
        clock = whole % 10**zeros * 10 ** (9 - zeros)
        hour, minute, second, rest = clock // 10**7, clock // 10**5 % 100, clock // 1_000 % 100, clock % 1_000
        days = count_days(date // 10_000, date // 100 % 100, date % 100)
        moment = (days * _DAY_SECONDS + hour * 3_600 + minute * 60 + second) * 1_000 + rest
        fits = whole.is_between(form.first, form.last, closed="left") & (hour < 24) & (minute < 60) & (second < 61)
        milliseconds = pl.when(fits).then(moment).otherwise(milliseconds)
    return milliseconds


def read_excel(number: pl.Expr) -> pl.Expr:
    """Read the days of Excel as Unix microseconds, Int64; within half a millisecond of a second it is that second."""
    given = number.cast(pl.Float64)
    day = given.floor()
    micros = ((given - day) * (_DAY_SECONDS * 10**6)).round().cast(pl.Int64, strict=False)
    second = (micros + 500_000) // 10**6 * 10**6
    exact = pl.when((micros - second).abs() < 500).then(second).otherwise(micros)
    # Excel knows the days from 1900 to 9999.
    days = pl.when(day.is_between(0, 2_958_465)).then(day).cast(pl.Int64, strict=False) - _EXCEL_DAYS
    return days * (_DAY_SECONDS * 10**6) + exact
