"""The column ``timestamp``: read it from numbers, dates or text, and detect its unit or that it is only an order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl

from learn.errors import DataError, SettingsError

# The median of real Unix times is after 1990 in seconds and each finer unit is a thousand times larger.
_UNITS = (("nanoseconds", 1e9), ("microseconds", 1e6), ("milliseconds", 1e3), ("seconds", 1.0))
_YEAR_1990_SECONDS = 631_152_000.0


@dataclass(frozen=True)
class TimestampScale:
    """How a number in the table becomes a moment.

    Attributes:
        unit: Name of the unit, or ``order`` where the numbers are no clock's.
        per_second: Ticks per second; 1 for ``order``.
    """

    unit: str
    per_second: float

    @property
    def is_clock(self) -> bool:
        """Whether the numbers are moments of a calendar."""
        return self.unit != "order"

    def to_datetime(self, value: float) -> datetime:
        """Return the calendar moment of one timestamp.

        Raises:
            ValueError: The numbers are only an order.
        """
        if not self.is_clock:
            raise ValueError("an order has no calendar")
        return datetime.fromtimestamp(value / self.per_second, tz=UTC)

    def parse(self, text: str, *, setting: str) -> float:
        """Read a date or a number as a timestamp of this scale.

        Raises:
            SettingsError: The text is neither, or a date where the timestamps are only an order.
        """
        try:
            return float(text)
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as fault:
            raise SettingsError(
                f"`{text}` is neither a date nor a number.", where=setting, fix="write it as 2024-12-31 or as a number"
            ) from fault
        if not self.is_clock:
            raise SettingsError(
                f"`{text}` is a date, but the timestamps of this data are only an order.",
                where=setting,
                fix="give a number, or use `--split leave_one_out`",
            )
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.timestamp() * self.per_second


def detect_timestamp_scale(median: float, *, declared: Literal["auto", "unix", "order"] = "auto") -> TimestampScale:
    """Tell what the timestamps of a table are by their median.

    Args:
        median: Median of the column.
        declared: What the settings say; ``auto`` decides by the median.
    """
    if declared != "order":
        for unit, per_second in _UNITS:
            if median >= _YEAR_1990_SECONDS * per_second:
                return TimestampScale(unit, per_second)
    return TimestampScale("seconds", 1.0) if declared == "unix" else TimestampScale("order", 1.0)


_ISO = (
    r"^(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})"
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d+)?))?)?"
    r"\s*(?:Z|z|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>\d{2}):?(?P<zone_minute>\d{2})?)?$"
)
_DAY_SECONDS = 86_400
_TICKS = {"ms": 1e3, "us": 1e6, "ns": 1e9}
_PARTS, _NUMBER = "__timestamp_parts", "__timestamp_number"


def read_timestamps(table: pl.LazyFrame, *, path: Path) -> pl.LazyFrame:
    """Read the column ``timestamp`` as Float64 and keep in ``timestamp_text`` what could not be read.

    Numbers stay as they are, dates and datetimes become Unix seconds (in UTC where they name no zone), text is read as
    either. What is neither becomes null.

    Args:
        table: Table with the column.
        path: The file it came from, for the error.

    Raises:
        DataError: The column's type can be no timestamp.
    """
    dtype = table.collect_schema()["timestamp"]
    given = pl.col("timestamp")
    if isinstance(dtype, pl.String):
        number = _keep_finite(given.str.strip_chars().cast(pl.Float64, strict=False))
        if _holds_texts(table):
            # A step of its own: written into the expressions below, the search would run once for each part of a date.
            table = table.with_columns(given.str.strip_chars().str.extract_groups(_ISO).alias(_PARTS))
            number = pl.coalesce(number, _compute_iso_seconds(pl.col(_PARTS)))
    else:
        number = _read_stored_number(given, dtype, path=path)
    read = table.with_columns(number.alias(_NUMBER))
    unread = pl.when(pl.col(_NUMBER).is_null()).then(given.cast(pl.String))
    return read.with_columns(timestamp=_NUMBER, timestamp_text=unread).drop(_NUMBER, _PARTS, strict=False)


def _read_stored_number(column: pl.Expr, dtype: pl.DataType, *, path: Path) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        return column.cast(pl.Int64).cast(pl.Float64) / _TICKS[dtype.time_unit]
    if isinstance(dtype, pl.Date):
        return column.cast(pl.Int32).cast(pl.Float64) * _DAY_SECONDS
    if dtype.is_numeric():
        return _keep_finite(column.cast(pl.Float64))
    raise DataError(
        f"The timestamps are stored as {dtype}.", where=path, fix="store them as numbers, dates or text in ISO 8601"
    )


def _keep_finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)


def _holds_texts(table: pl.LazyFrame) -> bool:
    """Tell whether any timestamp is neither empty nor a number: only then is the slow search for dates needed."""
    text = pl.col("timestamp").str.strip_chars()
    strange = (text.cast(pl.Float64, strict=False).is_null() & (text != "")).any()
    return bool(table.select(strange).collect(engine="streaming").item())


def _compute_iso_seconds(parts: pl.Expr) -> pl.Expr:
    def read_number(name: str) -> pl.Expr:
        return parts.struct.field(name).cast(pl.Float64, strict=False).fill_null(0.0)

    day_text = pl.concat_str(
        parts.struct.field("year"),
        parts.struct.field("month").str.zfill(2),
        parts.struct.field("day").str.zfill(2),
        separator="-",
    )
    day = day_text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int32).cast(pl.Float64)
    on_the_clock = (read_number("hour") < 24) & (read_number("minute") < 60) & (read_number("second") < 61)
    clock = read_number("hour") * 3_600 + read_number("minute") * 60 + read_number("second")
    ahead = read_number("zone_hour") * 3_600 + read_number("zone_minute") * 60
    zone = pl.when(parts.struct.field("sign") == "-").then(-ahead).otherwise(ahead)
    return pl.when(on_the_clock).then(day * _DAY_SECONDS + clock - zone)


def require_timestamps(table: pl.LazyFrame, *, path: Path) -> None:
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
        f"No timestamp can be read; the first is `{text}`.",
        where=f"{path}, data row {row}",
        fix="write numbers (Unix seconds, or any order) or dates like 2024-12-31 or 2024-12-31T23:59:59Z",
    )
