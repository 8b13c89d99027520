"""Records of the traffic log: a service's answers and what people did with them, one JSON object per line.

The service writes these records, the monitor reads them. A file has both kinds, distinguished by ``kind``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

FILE_PATTERN = "traffic-*.jsonl"
"""Finished and growing files of a traffic log; the last line of a growing one may be incomplete."""

Arm = Literal["champion", "challenger", "shadow"]
"""Which model answered: the champion, the challenger (shown to the user), or the challenger in the shadow of the
champion's answer (never shown)."""

Event = Literal["shown", "clicked", "bought"]
Fallback = Literal["empty_history", "no_known_item"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    time: datetime
    """When, in UTC."""

    recommendation_id: str
    """Id of the answer, which feedback refers to."""

    user: str | None = None
    """The user's id, or its keyed hash; None if the request named no user."""


class AnswerRecord(_Record):
    """One list that a service answered with."""

    kind: Literal["answer"] = "answer"

    model_version: str
    """Version of the bundle that answered."""

    arm: Arm = "champion"
    """Which of the served models answered."""

    challenger_share: float | None = None
    """Planned share of users who see the challenger at that time; None if none was shown."""

    history: tuple[str, ...] = ()
    """Known item ids of the request, oldest first; only the newest ones of a long history."""

    history_length: int
    """Number of items of the whole history, unknown ones included."""

    unknown_items: int = 0
    """Number of items of the history that are not in the catalogue."""

    items: tuple[str, ...]
    """Item ids of the answer, best first."""

    scores: tuple[float, ...]
    """Their scores."""

    k: int
    """Items requested."""

    filtered: bool = False
    """Whether the request had filters in addition to the user's own history."""

    fallback: Fallback | None = None
    """Why the list was by popularity instead of by the user tower."""

    latency_milliseconds: float
    """Time from the request's arrival to its answer."""


class FeedbackRecord(_Record):
    """What a person did with one item of an answer."""

    kind: Literal["feedback"] = "feedback"

    item_id: str
    """The item."""

    event: Event
    """What was done."""


TrafficRecord = Annotated[AnswerRecord | FeedbackRecord, Field(discriminator="kind")]
RECORDS: TypeAdapter[AnswerRecord | FeedbackRecord] = TypeAdapter(TrafficRecord)
"""Reads one line of a traffic log, of either kind."""
