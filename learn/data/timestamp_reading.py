"""The column ``timestamp`` of a source: tell what it holds, and read it as whole ticks of one clock.

Numbers are surveyed in one pass, and only a column that holds other text is searched for dates. Ticks are Int64
wherever the source is exact; Float64 is left to an order with fractions and to sources that hold floats with fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from learn.data import timestamp_numbers as numbers
from learn.data.timestamp_numbers import NumberForm, NumberSurvey
from learn.data.timestamp_texts import (
    NANOSECONDS,
    TextSurvey,
    build_pattern,
    choose_part_orders,
    count_text_forms,
    list_patterns,
    read_texts,
)
from learn.data.timestamps import Declared, TimestampScale
from learn.errors import DataError

_DAY_SECONDS = 86_400
_TICKS = {"ms": 10**3, "us": 10**6, "ns": 10**9}
_TEXT, _READ, _DATE = "__timestamp_text", "__timestamp_read", "__timestamp_date"
_PART_ORDERS = ("day_first", "month_first")
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class _Ticks:
    """A column of ticks that is to be built.

    Attributes:
        ticks: Int64 or Float64; null where a value cannot be read.
        scale: What they are.
    """

    ticks: pl.Expr
    scale: TimestampScale


def read_timestamps(
    table: pl.LazyFrame, *, path: Path, declared: Declared = "auto", form: str = ""
) -> tuple[pl.LazyFrame, TimestampScale]:
    """Read the column ``timestamp`` as ticks, and keep in ``timestamp_text`` what could not be read.

    Args:
        table: Table with the column: numbers, dates, datetimes or text.
        path: The file it came from, for errors.
        declared: The setting ``validation.timestamps``.
        form: The setting ``data.timestamp_format``; empty: the data tell it.

    Returns:
        The table with ``timestamp`` (Int64, or Float64 where numbers have true fractions; null where a value cannot be
        read) and ``timestamp_text`` (String), and what the numbers are.

    Raises:
        DataError: The column's type can be no timestamp, or the data do not tell day from month.
        SettingsError: The format holds a directive that is unknown.
    """
    dtype = table.collect_schema()["timestamp"]
    given = pl.col("timestamp")
    if isinstance(dtype, pl.Datetime):
        per_second = _TICKS[dtype.time_unit]
        found = _Ticks(given.cast(pl.Int64), TimestampScale("date", per_second))
    elif isinstance(dtype, pl.Date):
        found = _Ticks(given.cast(pl.Int32).cast(pl.Int64) * _DAY_SECONDS, TimestampScale("date", 1))
    elif isinstance(dtype, pl.String) or dtype.is_decimal() or (dtype.is_numeric() and "%" in form):
        text = given if isinstance(dtype, pl.String) else given.cast(pl.String).str.strip_suffix(".0")
        table = table.with_columns(text.str.strip_chars().alias(_TEXT))
        table, found = _read_text_column(table, path=path, declared=declared, form=form)
    elif dtype.is_numeric():
        found = _read_number_column(table, dtype, declared=declared, form=form)
    else:
        raise DataError(
            f"The timestamps are stored as {dtype}.", where=path, fix="store them as numbers, dates or text"
        )
    scale = TimestampScale("order", 1) if declared == "order" else found.scale
    read = table.with_columns(found.ticks.alias(_READ))
    unread = pl.when(pl.col(_READ).is_null()).then(given.cast(pl.String))
    return read.with_columns(timestamp=_READ, timestamp_text=unread).drop(_READ, _TEXT, _DATE, strict=False), scale


def require_timestamps(table: pl.LazyFrame, *, path: Path, form: str = "") -> None:
    """Check that at least one timestamp of a written table was understood.

    Raises:
        DataError: None was; it names the first.
    """
    known = table.select(pl.col("timestamp").is_not_null().any()).collect(engine="streaming").item()
    if known:
        return
    first = (
        table.filter(pl.col("timestamp_text").str.strip_chars() != "")
        .select("row", "timestamp_text")
        .head(1)
        .collect(engine="streaming")
    )
    if first.is_empty():
        raise DataError("The column of the timestamps is empty.", where=path, fix="fill it, or map another column")
    row, text = first.row(0)
    raise DataError(
        f"No timestamp can be read{f' as `{form}`' if form else ''}; the first is `{text}`.",
        where=f"{path}, data row {row}",
        fix="fix `timestamp_format` under [data], or leave it out"
        if form
        else "write numbers or dates like 2024-12-31T23:59:59Z, or give their form under [data], as "
        '`timestamp_format = "%d/%m/%Y %H:%M"`',
    )


# --- Numbers -----------------------------------------------------------------------------------------------


def _read_number_column(table: pl.LazyFrame, dtype: pl.DataType, *, declared: Declared, form: str) -> _Ticks:
    number = pl.col("timestamp")
    has_fractions = False
    if dtype.is_float():
        number = _keep_finite(number.cast(pl.Float64))
        has_fractions = bool(table.select((number != number.floor()).any()).collect(engine="streaming").item())
    if not has_fractions:
        number = number.cast(pl.Int64, strict=False)
    found = table.select(**numbers.list_survey_columns(number, prefix="n")).collect(engine="streaming")
    survey = numbers.collect_number_survey(found, prefix="n")
    chosen = _choose_form(table, number, survey, has_fractions=has_fractions, declared=declared, form=form)
    return _build_number_ticks(number, chosen, has_fractions=has_fractions)


def _choose_form(
    table: pl.LazyFrame,
    number: pl.Expr,
    survey: NumberSurvey,
    *,
    has_fractions: bool,
    declared: Declared,
    form: str,
) -> NumberForm:
    if form and form not in _PART_ORDERS:
        return numbers.find_form(form)
    return numbers.choose_number_form(table, number, survey, has_fractions=has_fractions, declared=declared)


def _build_number_ticks(number: pl.Expr, form: NumberForm, *, has_fractions: bool) -> _Ticks:
    if form.word == "yyyymmdd":
        return _Ticks(numbers.read_digits(number), TimestampScale(form.unit, 1_000))
    if form is numbers.EXCEL:
        return _Ticks(numbers.read_excel(number), TimestampScale(form.unit, 10**6))
    scale = TimestampScale(form.unit, form.per_second)
    if not form.zero:
        return _Ticks(number, scale)
    whole = number.floor().cast(pl.Int64, strict=False) if has_fractions else number
    zero = form.zero * form.per_second
    return _Ticks(pl.when(whole >= -_LARGEST - zero).then(whole + zero), scale)


def _keep_finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)


# --- Text --------------------------------------------------------------------------------------------------


def _read_text_column(table: pl.LazyFrame, *, path: Path, declared: Declared, form: str) -> tuple[pl.LazyFrame, _Ticks]:
    text = pl.col(_TEXT)
    if "%" in form:
        return _read_pattern(table, form)
    integer = text.cast(pl.Int64, strict=False)
    is_other = integer.is_null() & (text != "")
    found = table.select(other=is_other.any(), **numbers.list_survey_columns(integer, prefix="i")).collect(
        engine="streaming"
    )
    survey = numbers.collect_number_survey(found, prefix="i")
    if not found["other"][0]:
        chosen = _choose_form(table, integer, survey, has_fractions=False, declared=declared, form=form)
        return table, _build_number_ticks(integer, chosen, has_fractions=False)

    number = _keep_finite(text.cast(pl.Float64, strict=False))
    others = table.filter(is_other)
    found = others.select(
        fraction=(number != number.floor()).any(),
        digits=_count_fraction_digits(text, number).max(),
        **numbers.list_survey_columns(number, prefix="f"),
    ).collect(engine="streaming")
    has_fractions, digits = bool(found["fraction"][0]), int(found["digits"][0] or 0)
    survey += numbers.collect_number_survey(found, prefix="f")
    words = others.filter(number.is_null())
    is_only_number = bool(form) and form not in _PART_ORDERS
    texts = TextSurvey({}, 1) if is_only_number else count_text_forms(words, name=_TEXT)
    orders = choose_part_orders(words, texts, name=_TEXT, declared=form, where=str(path))
    patterns = list_patterns(texts, orders)
    if texts.rows and texts.rows >= survey.count:
        return _read_dates(table, patterns, texts, integer=integer, survey=survey)
    whole = pl.coalesce(integer, number.cast(pl.Int64, strict=False))
    either = pl.coalesce(integer.cast(pl.Float64), number) if has_fractions else whole
    chosen = _choose_form(table, either, survey, has_fractions=has_fractions, declared=declared, form=form)
    if has_fractions and chosen in numbers.UNIX:
        built = _build_decimal_ticks(text, chosen, integer=integer, number=number, digits=digits)
    else:
        built = _build_number_ticks(either, chosen, has_fractions=has_fractions)
    # Among numbers that are a mere order a date has no place, and is not read.
    return _add_dates(table, built, patterns, texts) if texts.rows and built.scale.is_clock else (table, built)


def _read_pattern(table: pl.LazyFrame, form: str) -> tuple[pl.LazyFrame, _Ticks]:
    pattern = build_pattern(form)
    per_second = 1
    if "P<fraction>" in pattern:
        fine = pl.col(_TEXT).str.contains(r"[0-9]{6}[0-9]*[1-9]").any()
        per_second = NANOSECONDS if table.select(fine).collect(engine="streaming").item() else 10**6
    read = read_texts(table, [pattern], name=_TEXT, per_second=per_second, into=_DATE)
    return read, _Ticks(pl.col(_DATE), TimestampScale("date", per_second))


def _read_dates(
    table: pl.LazyFrame, patterns: list[str], texts: TextSurvey, *, integer: pl.Expr, survey: NumberSurvey
) -> tuple[pl.LazyFrame, _Ticks]:
    """Read a column of dates; a number among them is read by its own size, since it has no neighbours of its kind."""
    needed = [1_000 * bool(survey.count), *(form.per_second for form in numbers.UNIX if survey.count_within(form))]
    per_second = max(texts.finest, *needed)
    read = read_texts(table, patterns, name=_TEXT, per_second=per_second, into=_DATE)
    ticks = pl.col(_DATE)
    if survey.count:
        for form in numbers.UNIX:
            is_here = integer.is_between(form.first, form.last, closed="left")
            factor = max(1, per_second // form.per_second)
            ticks = pl.when(is_here).then(_multiply(integer, factor)).otherwise(ticks)
        ticks = pl.coalesce(ticks, _multiply(numbers.read_digits(integer), per_second // 1_000))
    return read, _Ticks(ticks, TimestampScale("date", per_second))


def _add_dates(
    table: pl.LazyFrame, built: _Ticks, patterns: list[str], texts: TextSurvey
) -> tuple[pl.LazyFrame, _Ticks]:
    own = built.scale.per_second
    per_second = max(own, texts.finest)
    read = read_texts(table, patterns, name=_TEXT, per_second=per_second, into=_DATE)
    ticks = pl.coalesce(_multiply(built.ticks, per_second // own), pl.col(_DATE))
    return read, _Ticks(ticks, TimestampScale(built.scale.unit, per_second))


def _multiply(ticks: pl.Expr, factor: int) -> pl.Expr:
    return pl.when(ticks.is_between(-(_LARGEST // factor), _LARGEST // factor)).then(ticks * factor)


def _count_fraction_digits(text: pl.Expr, number: pl.Expr) -> pl.Expr:
    digits = text.str.extract(r"\.([0-9]*[1-9])").str.len_chars()
    return pl.when(number.is_not_null()).then(digits)


def _build_decimal_ticks(text: pl.Expr, form: NumberForm, *, integer: pl.Expr, number: pl.Expr, digits: int) -> _Ticks:
    """Read Unix time written with a fraction to the nanosecond: as floats, neighbours of 100 ns would be one."""
    finest = NANOSECONDS // form.per_second
    factor = next((each for each in (10**3, 10**6, 10**9) if each >= 10**digits), finest)
    factor = min(factor, finest)
    width = len(str(factor)) - 1
    parts = text.str.extract_groups(r"^([+-]?)([0-9]{1,18})\.([0-9]*)$")
    fraction = parts.struct.field("3").str.slice(0, width).str.pad_end(width, "0").cast(pl.Int64, strict=False)
    whole = _multiply(parts.struct.field("2").cast(pl.Int64, strict=False), factor)
    size = whole + fraction.fill_null(0)
    exact = pl.when(parts.struct.field("1") == "-").then(-size).otherwise(size)
    # `1.7e9` has no digits to take apart.
    rounded = (number * factor).round().cast(pl.Int64, strict=False)
    ticks = pl.coalesce(_multiply(integer, factor), exact, rounded)
    return _Ticks(ticks, TimestampScale(form.unit, form.per_second * factor))
