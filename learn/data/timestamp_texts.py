"""Dates as text: find which forms a column holds, and read each in Polars as whole ticks since 1970.

A form is a regular expression whose groups name the parts of a date. Parts become days, seconds and nanoseconds by
whole numbers only, so that no digit of a fraction is lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import polars as pl

from learn.errors import DataError, SettingsError

NANOSECONDS = 1_000_000_000
_DAY_SECONDS = 86_400
_LARGEST = 2**63 - 1

_MONTHS = (
    "Jan(?:uary)?", "Feb(?:ruary)?", "Mar(?:ch)?", "Apr(?:il)?", "May", "June?", "July?", "Aug(?:ust)?",
    "Sept?(?:ember)?", "Oct(?:ober)?", "Nov(?:ember)?", "Dec(?:ember)?",
)  # fmt: skip
_MONTH_NUMBERS = {month[:3].lower(): number for number, month in enumerate(_MONTHS, start=1)}
_MONTH = rf"(?P<name>{'|'.join(_MONTHS)})"
_WEEKDAY = r"(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs?)?|Fri|Sat(?:ur)?|Sun)(?:day)?)\.?,?\s+"
# Names that RFC 2822 gives a meaning; others mean several zones (BST is British and Bangladeshi) and are not read.
_ZONE_HOURS = {
    "z": 0, "ut": 0, "utc": 0, "gmt": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8,
    "pdt": -7,
}  # fmt: skip
_OF_UTC = ("utc", "z", "gmt", "etc/utc", "etc/gmt")

_TIME = (
    r"(?P<hour>[0-9]{1,2})(?::?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2}))?)?(?:[.,](?P<fraction>[0-9]+))?"
    r"(?:\s*(?P<half>[ap])\.?m\.?)?"
)
# An offset decides; a name, a region in brackets or a comment after it only repeats it.
_ZONE = (
    r"\s*(?P<zone>(?:utc|gmt|ut)?\s?[+\-−][0-9]{1,2}(?::?[0-9]{2}(?::?[0-9]{2})?)?|[a-z]{1,4})?"
    r"(?:\s+[a-z]{1,5})?\s*(?:\[(?P<region>[^\]]*)\]|\([^)]*\))?"
)
_CLOCK = rf"(?:(?:t|_|,?\s+)\s*{_TIME})?{_ZONE}"
_CLOCK_OR_COLON = rf"(?:(?:t|:|,?\s+(?:at\s+)?)\s*{_TIME})?{_ZONE}"

_TEXT_FORMS: Mapping[str, str] = {
    "ymd": rf"(?P<year>[0-9]{{4}})[-/.](?P<month>[0-9]{{1,2}})[-/.](?P<day>[0-9]{{1,2}}){_CLOCK}",
    "basic": rf"(?P<year>[0-9]{{4}})(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}}){_CLOCK}",
    "week": rf"(?P<year>[0-9]{{4}})-?w(?P<week>[0-9]{{2}})(?:-?(?P<weekday>[1-7]))?{_CLOCK}",
    "ordinal": rf"(?P<year>[0-9]{{4}})-?(?P<ordinal>[0-9]{{3}}){_CLOCK}",
    "year_month": r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})",
    "named_day_first": (
        rf"(?:{_WEEKDAY})?(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?[\s\-/.]*{_MONTH}[.,]?[\s\-/,]*"
        rf"(?P<year>[0-9]{{4}}|[0-9]{{2}}){_CLOCK_OR_COLON}"
    ),
    "named_month_first": (
        rf"(?:{_WEEKDAY})?{_MONTH}[.,]?[\s\-/]+(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?:,\s*|\s+|[-/])"
        rf"(?P<year>[0-9]{{4}}){_CLOCK_OR_COLON}"
    ),
    "named_year_first": rf"(?P<year>[0-9]{{4}})[-/\s]*{_MONTH}[-/\s]*(?P<day>[0-9]{{1,2}}){_CLOCK_OR_COLON}",
    "year_last": rf"{_WEEKDAY}{_MONTH}\s+(?P<day>[0-9]{{1,2}})\s+{_TIME}{_ZONE}\s+(?P<year>[0-9]{{4}})",
    "json_date": r"\\*/Date\((?P<milliseconds>-?[0-9]{1,18})(?:[+-][0-9]{4})?\)\\*/",
}
# Two numbers before the year, of which either may be the day: by what divides them, and by the digits of the year.
_TWO_PARTS: Mapping[str, tuple[str, str]] = {
    "dotted": (r"\.", "(?P<year>[0-9]{4})"),
    "parted": (r"[-/]", "(?P<year>[0-9]{4})"),
    "short_year": (r"[-/.]", "(?P<year>[0-9]{2})"),
}

PartOrder = Literal["day_first", "month_first"]

_DIRECTIVES: Mapping[str, str] = {
    "Y": "(?P<year>[0-9]{4})", "y": "(?P<year>[0-9]{2})", "m": "(?P<month>[0-9]{1,2})", "d": r"(?P<day>\s?[0-9]{1,2})",
    "e": r"(?P<day>\s?[0-9]{1,2})", "H": r"(?P<hour>\s?[0-9]{1,2})", "I": r"(?P<hour>\s?[0-9]{1,2})",
    "M": "(?P<minute>[0-9]{1,2})", "S": "(?P<second>[0-9]{1,2})", "f": "(?P<fraction>[0-9]+)",
    ".f": r"(?:\.(?P<fraction>[0-9]+))?",
    "p": r"(?P<half>[ap])\.?m\.?", "b": _MONTH, "B": _MONTH, "h": _MONTH, "j": "(?P<ordinal>[0-9]{1,3})",
    "z": r"(?P<zone>z|[+\-−][0-9]{1,2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)", "Z": "(?P<zone>[a-z]{1,4})",
    "a": "[a-z]{2,9}", "A": "[a-z]{2,9}", "%": "%", "n": r"\s+", "t": r"\s+",
}  # fmt: skip
_SHORTHANDS = {"%T": "%H:%M:%S", "%R": "%H:%M", "%F": "%Y-%m-%d", "%D": "%m/%d/%y", "%-": "%"}


@dataclass(frozen=True)
class TextSurvey:
    """What dates a column of text holds.

    Attributes:
        forms: Name of each form that occurs -> its rows.
        finest: Ticks a second that no fraction needs more of: 1, or a power of 1,000.
    """

    forms: Mapping[str, int]
    finest: int

    @property
    def rows(self) -> int:
        """Rows that look like a date."""
        return sum(self.forms.values())


def count_text_forms(table: pl.LazyFrame, *, name: str) -> TextSurvey:
    """Count the forms of dates in a column of stripped text.

    Args:
        table: Rows whose text is not an integer; others only take time.
        name: The column.
    """
    text = pl.col(name)
    patterns = {**_TEXT_FORMS, **{form: _build_two_parts(form, "day_first") for form in _TWO_PARTS}}
    chosen: pl.Expr = pl.lit(None, dtype=pl.String)
    for form, pattern in reversed(patterns.items()):
        chosen = pl.when(text.str.contains(_build_anchored(pattern))).then(pl.lit(form)).otherwise(chosen)
    found = (
        table.select(
            form=chosen,
            fraction=text.str.contains(r"[Tt: ][0-9]{2,6}[.,][0-9]*[1-9]"),
            fine=text.str.contains(r"[Tt: ][0-9]{2,6}[.,][0-9]{6}[0-9]*[1-9]"),
        )
        .drop_nulls("form")
        .group_by("form")
        .agg(rows=pl.len(), fraction=pl.col("fraction").any(), fine=pl.col("fine").any())
        .sort("form")
        .collect(engine="streaming")
    )
    finest = NANOSECONDS if found["fine"].any() else 10**6 if found["fraction"].any() else 1
    forms = dict(zip(found["form"].to_list(), found["rows"].to_list(), strict=True))
    return TextSurvey(forms, max(finest, 1_000 if "json_date" in forms else 1))


def choose_part_orders(
    table: pl.LazyFrame, survey: TextSurvey, *, name: str, declared: str, where: str
) -> dict[str, PartOrder]:
    """Tell, for each form of two numbers and a year, which number is the day.

    The data show it where some first number is above 12 and no second one is, or the reverse. Between dots the day
    comes first: nobody writes months so. Two digits of a year may be first (``23-11-15``), so there the third part
    must be one that no day can be, or the month proved to come first.

    Args:
        table: The rows.
        survey: Forms that occur.
        name: The column of text.
        declared: ``day_first`` or ``month_first`` where the settings say so, else anything.
        where: The file, for the message.

    Raises:
        DataError: The data do not tell it; the message holds the settings that do.
    """
    orders: dict[str, PartOrder] = {}
    for form in (form for form in _TWO_PARTS if form in survey.forms):
        if declared in get_args(PartOrder):
            orders[form] = cast("PartOrder", declared)
            continue
        day_first, month_first, late_year = _count_proofs(table, form, name=name)
        if form == "dotted" and not month_first:
            orders[form] = "day_first"
        elif month_first and not day_first:
            orders[form] = "month_first"
        elif day_first and not month_first and (form != "short_year" or late_year):
            orders[form] = "day_first"
        else:
            raise _explain_doubt(table, survey, form, name=name, mixed=bool(day_first and month_first), where=where)
    return orders


def _count_proofs(table: pl.LazyFrame, form: str, *, name: str) -> tuple[int, int, int]:
    divider = _TWO_PARTS[form][0]
    above, below = "(?:1[3-9]|2[0-9]|3[01])", "(?:0?[1-9]|1[0-2])"
    text, shape = pl.col(name), _build_anchored(_build_two_parts(form, "day_first"))
    found = (
        table.filter(text.str.contains(shape))
        .select(
            day_first=text.str.contains(f"^{above}{divider}{below}{divider}").sum(),
            month_first=text.str.contains(f"^{below}{divider}{above}{divider}").sum(),
            late_year=text.str.contains(f"^[0-9]+{divider}[0-9]+{divider}(?:3[2-9]|[4-9][0-9]|00)(?:[^0-9]|$)").sum(),
        )
        .collect(engine="streaming")
    )
    return int(found["day_first"][0]), int(found["month_first"][0]), int(found["late_year"][0])


def _explain_doubt(
    table: pl.LazyFrame, survey: TextSurvey, form: str, *, name: str, mixed: bool, where: str
) -> DataError:
    text = pl.col(name)
    shown = table.filter(text.str.contains(_build_anchored(_build_two_parts(form, "day_first")))).select(text).head(1)
    first = str(shown.collect(engine="streaming").item())
    said = "some dates have the day first and some the month" if mixed else "the day or the month may come first"
    if form == "short_year" and not mixed:
        said = "the day, the month or the year may come first"
    patterns = _guess_patterns(first)
    known = pl.lit(value=True)
    for pattern in patterns[:1]:
        known = text.str.contains(_build_anchored(build_pattern(pattern)))
    is_one = len(survey.forms) == 1 and bool(table.select(known.fill_null(value=True).all()).collect().item())
    words = patterns if is_one else ("day_first", "month_first")
    return DataError(
        f"The timestamps are ambiguous: in `{first}` {said}.",
        where=f"{where}, column `timestamp`",
        fix=f'say which, under [data]: `timestamp_format = "{words[0]}"` or `timestamp_format = "{words[1]}"`'
        f' (on the command line: `--set "data.timestamp_format={words[1]}"`)',
    )


def _guess_patterns(text: str) -> tuple[str, str]:
    """Write the pattern of a date such as ``12/1/2010 8:26``, the day first and the month first."""
    divider = re.sub("[0-9]", "", text)[0]
    year = "%Y" if re.match(r"[0-9]+[-/.][0-9]+[-/.][0-9]{4}", text) else "%y"
    clock = re.search(r"([tT]|,?\s+)([0-9]{1,2}):([0-9]{2})(:[0-9]{2})?([.,][0-9]+)?(\s*)([aApP][mM])?", text)
    said = ""
    if clock:
        said = clock[1] + ("%I" if clock[7] else "%H") + ":%M" + (":%S" if clock[4] else "")
        said += (clock[5][0] + "%f" if clock[5] else "") + (clock[6] + "%p" if clock[7] else "")
    return f"%d{divider}%m{divider}{year}{said}", f"%m{divider}%d{divider}{year}{said}"


def _build_two_parts(form: str, order: PartOrder) -> str:
    divider, year = _TWO_PARTS[form]
    first, second = ("day", "month") if order == "day_first" else ("month", "day")
    return rf"(?P<{first}>[0-9]{{1,2}}){divider}(?P<{second}>[0-9]{{1,2}}){divider}{year}{_CLOCK}"


def build_pattern(pattern: str) -> str:
    """Turn a pattern as ``strptime`` has them into a regular expression of this file's groups.

    Raises:
        SettingsError: A directive is unknown or repeated, or no year can be read.
    """
    for short, long in _SHORTHANDS.items():
        pattern = pattern.replace(short, long)
    pieces = re.findall(r"%\.f|%.?|\s+|.", pattern, flags=re.DOTALL)
    built, seen = "", set[str]()
    for piece in pieces:
        if piece.isspace():
            built += r"\s+"
        elif piece[0] != "%":
            built += re.escape(piece)
        else:
            known = _DIRECTIVES.get(piece[1:])
            group = re.search(r"\?P<(\w+)>", known or "")
            if known is None or (group and group[1] in seen):
                what = "is unknown" if known is None else "repeats a part"
                raise SettingsError(
                    f"In `{pattern}` the directive `{piece}` {what}.",
                    where="data.timestamp_format",
                    fix=f"use, without repeats, {', '.join('%' + letter for letter in _DIRECTIVES)}",
                )
            seen |= {group[1]} if group else set()
            built += known
    if "year" not in seen:
        raise SettingsError(
            f"`{pattern}` reads no year.", where="data.timestamp_format", fix="add %Y, or %y for two digits"
        )
    return built


def list_patterns(survey: TextSurvey, orders: Mapping[str, PartOrder]) -> list[str]:
    """Return the regular expression of each form that occurs."""
    named = [pattern for form, pattern in _TEXT_FORMS.items() if form in survey.forms]
    return named + [_build_two_parts(form, orders[form]) for form in _TWO_PARTS if form in survey.forms]


def read_texts(table: pl.LazyFrame, patterns: list[str], *, name: str, per_second: int, into: str) -> pl.LazyFrame:
    """Add the dates of a text column as Int64 ticks since 1970, in UTC where they name no zone.

    Args:
        table: The rows.
        patterns: Regular expressions of the forms, of which the first that fits a row reads it.
        name: The column of stripped text.
        per_second: Ticks a second.
        into: Name of the column added; null where no form fits or the calendar has no such date.
    """
    ticks = []
    for number, pattern in enumerate(patterns):
        # A separate step: written into the expressions, the search would run once for each part of a date.
        parts = f"{into}_{number}"
        table = table.with_columns(pl.col(name).str.extract_groups(_build_anchored(pattern)).alias(parts))
        groups = re.findall(r"\?P<(\w+)>", pattern)
        ticks.append(_compute_ticks({group: pl.col(parts).struct.field(group) for group in groups}, per_second))
    found = pl.coalesce(ticks) if ticks else pl.lit(None, dtype=pl.Int64)
    return table.with_columns(found.alias(into)).drop([f"{into}_{number}" for number in range(len(patterns))])


def _build_anchored(pattern: str) -> str:
    return rf"(?i)^(?:{pattern})$"


# --- Parts to ticks ----------------------------------------------------------------------------------------

_Parts = Mapping[str, pl.Expr]


def _compute_ticks(parts: _Parts, per_second: int) -> pl.Expr:
    if "milliseconds" in parts:
        return _scale_ticks(parts["milliseconds"].cast(pl.Int64, strict=False), 1_000, per_second)
    days = _compute_days(parts)
    seconds, nanoseconds = _compute_clock(parts)
    whole = days * _DAY_SECONDS + seconds + nanoseconds // NANOSECONDS
    rest = nanoseconds % NANOSECONDS // (NANOSECONDS // per_second)
    # Beyond it whole numbers of 64 bits have no room for nanoseconds: the years 1677 to 2262.
    fits = whole.is_between(-(_LARGEST // per_second) + 1, _LARGEST // per_second - 1)
    return pl.when(fits).then(whole * per_second + rest)


def _scale_ticks(ticks: pl.Expr, given: int, wanted: int) -> pl.Expr:
    if wanted < given:
        return ticks // (given // wanted)
    factor = wanted // given
    return pl.when(ticks.is_between(-(_LARGEST // factor), _LARGEST // factor)).then(ticks * factor)


def _read_number(parts: _Parts, name: str, *, missing: int | None = None) -> pl.Expr:
    if name not in parts:
        return pl.lit(missing, dtype=pl.Int64)
    number = parts[name].str.strip_chars().cast(pl.Int64, strict=False)
    return number if missing is None else number.fill_null(missing)


def _compute_days(parts: _Parts) -> pl.Expr:
    year = _read_number(parts, "year")
    # POSIX: two digits are the years 1969 to 2068.
    year = (
        pl.when(parts["year"].str.len_chars() == 2)
        .then(year + pl.when(year < 69).then(2000).otherwise(1900))
        .otherwise(year)
    )
    if "week" in parts:
        return _count_week_days(year, _read_number(parts, "week"), _read_number(parts, "weekday", missing=1))
    if "ordinal" in parts:
        ordinal = _read_number(parts, "ordinal")
        fits = (year >= 1) & ordinal.is_between(1, 365 + _is_leap(year).cast(pl.Int64))
        return pl.when(fits).then(count_days(year, pl.lit(1), pl.lit(1)) + ordinal - 1)
    month = _read_number(parts, "month", missing=1)
    if "name" in parts:
        start = parts["name"].str.slice(0, 3).str.to_lowercase()
        month = start.replace_strict(_MONTH_NUMBERS, default=None, return_dtype=pl.Int64)
    return count_days(year, month, _read_number(parts, "day", missing=1))


def _is_leap(year: pl.Expr) -> pl.Expr:
    return (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))


def count_days(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Return the days from 1970 to a date of the Gregorian calendar, Int64; null if there is no such date."""
    shifted = year - (month <= 2).cast(pl.Int64)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    february = 28 + _is_leap(year).cast(pl.Int64)
    length = pl.when(month == 2).then(february).when(month.is_in([4, 6, 9, 11])).then(30).otherwise(31)
    return pl.when((year >= 1) & month.is_between(1, 12) & (day >= 1) & (day <= length)).then(days)


def _count_week_days(year: pl.Expr, week: pl.Expr, weekday: pl.Expr) -> pl.Expr:
    one = pl.lit(1, dtype=pl.Int64)
    fourth = count_days(year, one, pl.lit(4, dtype=pl.Int64))
    # The fourth of January is in week 1; day 0 of 1970 was a Thursday.
    monday = fourth - (fourth + 3) % 7 + (week - 1) * 7
    in_year = (monday + 3 < count_days(year + 1, one, one)) & (week >= 1)
    return pl.when(in_year).then(monday + weekday - 1)


def _compute_clock(parts: _Parts) -> tuple[pl.Expr, pl.Expr]:
    """Return seconds of the day less the zone, and the nanoseconds of a fraction; null if there is no such time."""
    hour, minute, second = (_read_number(parts, name, missing=0) for name in ("hour", "minute", "second"))
    valid = (hour < 24) & (minute < 60) & (second < 61) | (hour == 24) & (minute == 0) & (second == 0)
    if "half" in parts:
        half = parts["half"].str.to_lowercase()
        later = pl.when(half == "p").then(hour % 12 + 12).otherwise(hour % 12)
        valid = valid & (half.is_null() | (hour <= 12))
        hour = pl.when(half.is_null()).then(hour).otherwise(later)
    seconds = hour * 3_600 + minute * 60 + second
    fraction = pl.lit(0, dtype=pl.Int64)
    if "fraction" in parts:
        digits = parts["fraction"].str.slice(0, 9).str.pad_end(9, "0").cast(pl.Int64, strict=False).fill_null(0)
        # A fraction is of the last part that is there: ISO 8601 knows half minutes.
        part = pl.lit(1, dtype=pl.Int64)
        if "second" in parts and "minute" in parts:
            of_hour = pl.when(parts["minute"].is_not_null()).then(60).otherwise(3_600)
            part = pl.when(parts["second"].is_not_null()).then(1).otherwise(of_hour).cast(pl.Int64)
        fraction = digits * part
    return pl.when(valid).then(seconds - _compute_offset(parts)), fraction


def _compute_offset(parts: _Parts) -> pl.Expr:
    if "zone" not in parts:
        return pl.lit(0, dtype=pl.Int64)
    zone = parts["zone"].str.to_lowercase()
    offset = zone.str.extract_groups(r"([+\-−])([0-9]{1,2}):?([0-9]{2})?:?([0-9]{2})?$")
    sizes = [offset.struct.field(str(place)).cast(pl.Int64, strict=False).fill_null(0) for place in (2, 3, 4)]
    ahead = sizes[0] * 3_600 + sizes[1] * 60 + sizes[2]
    sign = offset.struct.field("1")
    named = zone.replace_strict(_ZONE_HOURS, default=None, return_dtype=pl.Int64) * 3_600
    given = pl.when(sign.is_null()).then(named).when(sign == "+").then(ahead).otherwise(-ahead)
    bare = pl.lit(0, dtype=pl.Int64)
    if "region" in parts:
        # A region without an offset would need its rules of summer time; it is not taken for UTC.
        region = parts["region"].str.to_lowercase()
        bare = pl.when(region.is_null() | region.is_in(_OF_UTC)).then(bare)
    return pl.when(zone.is_null()).then(bare).otherwise(given)
