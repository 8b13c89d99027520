"""Records of the traffic log: what a service answered and what people did with it, one JSON object a line.

The service writes these records, the monitor reads them. A file holds both kinds, told apart by ``kind``.
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
    """Names the answer; feedback carries it back."""

    user: str | None = None
    """The user's id, or its keyed hash; None if the request named no user."""


class AnswerRecord(_Record):
    """One list that a service answered with."""

    kind: Literal["answer"] = "answer"

    model_version: str
    """Version of the bundle that answered."""

    arm: Arm = "champion"
    """Which of the models served side by side it was."""

    challenger_share: float | None = None
    """Share of the users who were to see the challenger at that moment; None if none was shown."""

    history: tuple[str, ...] = ()
    """Known item ids of the request, oldest first, its newest ones where it was long."""

    history_length: int
    """Items of the whole history, unknown ones among them."""

    unknown_items: int = 0
    """How many items of the history the catalogue does not hold."""

    items: tuple[str, ...]
    """Item ids of the answer, best first."""

    scores: tuple[float, ...]
    """Their scores."""

    k: int
    """Items requested."""

    filtered: bool = False
    """Whether the request held filters next to the user's own history."""

    fallback: Fallback | None = None
    """Why the list was popularity instead of the user tower's."""

    latency_milliseconds: float
    """From the request's arrival to its answer."""


class FeedbackRecord(_Record):
    """What a person did with one item of an answer."""

    kind: Literal["feedback"] = "feedback"

    item_id: str
    """The item."""

    event: Event
    """What was done."""


TrafficRecord = Annotated[AnswerRecord | FeedbackRecord, Field(discriminator="kind")]
RECORDS: TypeAdapter[AnswerRecord | FeedbackRecord] = TypeAdapter(TrafficRecord)
"""Reads one line of a traffic log, whichever kind it is."""
