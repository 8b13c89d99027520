"""What the numbers in a ``timestamp`` column are: Unix time in some unit, or only an order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from learn.errors import SettingsError

# The median of real Unix times lies after 1990 in seconds and each finer unit is a thousand times larger.
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

    def moment(self, value: float) -> datetime:
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


def timestamp_scale(median: float, *, declared: Literal["auto", "unix", "order"] = "auto") -> TimestampScale:
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
