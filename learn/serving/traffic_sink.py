"""Where answers and feedback go, seen from the service."""

from __future__ import annotations

from typing import Protocol

from learn.data.traffic import AnswerRecord, FeedbackRecord


class TrafficSink(Protocol):
    """Takes records off the request's path: it neither waits nor raises.

    Attributes:
        written: Records in files.
        dropped: Records that are lost.
        write_faults: How often the disk refused a write.
    """

    written: int
    dropped: int
    write_faults: int

    def answer(self, record: AnswerRecord) -> None:
        """Take what was answered."""

    def feedback(self, record: FeedbackRecord) -> None:
        """Take what a person made of it."""

    def close(self) -> None:
        """Keep what was taken, and end."""


class NoTraffic:
    """Keeps nothing."""

    written = dropped = write_faults = 0

    def answer(self, record: AnswerRecord) -> None:
        """Drop what was answered."""

    def feedback(self, record: FeedbackRecord) -> None:
        """Drop what a person made of it."""

    def close(self) -> None:
        """End; there is nothing to keep."""
