"""The clock of a table: what its column ``timestamp`` is, decided once when the table is read, and kept in its file.

Everything after obeys what the file says: validation, split, drift, profile and monitor. A file that LEARN did not
write holds no such word, and its numbers are known by their median.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import polars as pl

from learn.data.timestamp_numbers import FORMS, UNIX
from learn.errors import DataError, SettingsError

Declared = Literal["auto", "unix", "order"]
"""What the setting ``validation.timestamps`` may say."""

_METADATA = "learn.timestamps"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CALENDAR = tuple(
    (moment.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) for moment in (datetime.min, datetime.max)
)
_PER_SECOND = {form.unit: form.per_second for form in UNIX}
_LARGEST = 2**63


@dataclass(frozen=True)
class TimestampScale:
    """How a number in the table becomes a moment.

    Attributes:
        unit: What the source holds: ``seconds``, ``milliseconds``, ``microseconds`` or ``nanoseconds`` of Unix time,
            ``date`` for dates of any form, ``order`` where the numbers are no clock's.
        per_second: Ticks a second since 1970 of the table's own numbers; 1 for ``order``.
    """

    unit: str
    per_second: int

    @property
    def is_clock(self) -> bool:
        """Whether the numbers are moments of a calendar."""
        return self.unit != "order"

    def to_datetime(self, value: float) -> datetime:
        """Return the calendar moment of one timestamp, to the microsecond; outside the years 1 to 9999 their end.

        Raises:
            ValueError: The numbers are only an order.
        """
        if not self.is_clock:
            raise ValueError("an order has no calendar")
        microseconds = (
            value * 10**6 // self.per_second if isinstance(value, int) else round(value * 10**6 / self.per_second)
        )
        return _EPOCH + timedelta(microseconds=min(max(int(microseconds), _CALENDAR[0]), _CALENDAR[1]))

    def format(self, value: float) -> str:
        """Return a timestamp as a person reads it: a date, or the number itself where it is an order."""
        if self.is_clock:
            return str(self.to_datetime(value))
        return str(value) if isinstance(value, int) else f"{value:g}"

    def convert(self, value: float, *, into: TimestampScale) -> float:
        """Return the timestamp of the same moment on another clock; an int where it is whole ticks."""
        ticks = Fraction(value) * into.per_second / self.per_second
        return int(ticks) if ticks.denominator == 1 else float(ticks)

    def parse(self, text: str, *, setting: str) -> float:
        """Read a date or a number as a timestamp of this scale; whole ticks are an int, exact to the last digit.

        A number is in the unit of the source: Unix seconds where that holds dates.

        Raises:
            SettingsError: The text is neither, or a date where the timestamps are only an order.
        """
        number = self._parse_number(text)
        if number is None:
            number = self._parse_date(text, setting=setting)
        if abs(number) >= _LARGEST:
            raise SettingsError(f"`{text}` is beyond every calendar.", where=setting, fix="write it as 2024-12-31")
        return int(number) if number.denominator == 1 else float(number)

    def _parse_number(self, text: str) -> Fraction | None:
        # Eight digits are the day 20241231 where the source holds dates, and never a second of 1970.
        if "/" in text or (self.unit == "date" and len(text) == len("20241231") and text.isdigit()):
            return None
        try:
            return Fraction(text) * self.per_second / _PER_SECOND.get(self.unit, 1)
        except ValueError:
            return None

    def _parse_date(self, text: str, *, setting: str) -> Fraction:
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
        return Fraction((aware - _EPOCH) // timedelta(microseconds=1) * self.per_second, 10**6)

    def to_metadata(self) -> dict[str, str]:
        """Return what a Parquet file of the table says of it."""
        return {_METADATA: json.dumps(self.to_dict())}

    def to_dict(self) -> dict[str, Any]:
        """Return the scale as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TimestampScale:
        """Read what :meth:`to_dict` gave."""
        return cls(str(values["unit"]), int(values["per_second"]))


def detect_timestamp_scale(median: float, *, declared: Declared = "auto") -> TimestampScale:
    """Tell what the numbers of a table are that does not say it itself, by their median: Unix time, or an order.

    Args:
        median: Median of the column.
        declared: What the settings say; ``auto`` decides by the median, Unix time of the years 1990 to 2100.
    """
    if declared != "order":
        windows = [form for form in FORMS if form in UNIX and form.first <= median < form.last]
        if declared == "unix" and not windows:
            # Nobody gave a year: the coarsest unit that is before the year 2100.
            windows = [form for form in UNIX if median < form.last] or [UNIX[-1]]
        if windows:
            return TimestampScale(windows[0].unit, windows[0].per_second)
    return TimestampScale("order", 1)


def read_timestamp_scale(interactions: Path, *, declared: Declared = "auto") -> TimestampScale:
    """Return what the timestamps of a table in the contract's layout are: as the file says, else by their median.

    Args:
        interactions: The Parquet file.
        declared: What the settings say; a file that says it itself was read by them.

    Raises:
        DataError: The file's own word cannot be read.
    """
    said = pl.read_parquet_metadata(interactions).get(_METADATA)
    if said is not None:
        try:
            return TimestampScale.from_dict(json.loads(said))
        except (ValueError, KeyError, TypeError) as fault:
            raise DataError(
                f"What the file says of its timestamps cannot be read: `{said}`.",
                where=interactions,
                fix="load the tables again",
            ) from fault
    moment = pl.col("timestamp").cast(pl.Float64)
    middle = pl.scan_parquet(interactions, glob=False).select(moment.filter(moment.is_finite()).median())
    return detect_timestamp_scale(float(middle.collect(engine="streaming").item() or 0.0), declared=declared)
