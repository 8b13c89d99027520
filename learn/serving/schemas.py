"""Requests and responses of the service, as the OpenAPI page shows them."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationInfo, field_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from learn.serving.catalogue import AnyOf, Between
from learn.serving.filters import Filters, Selection, ValueCap
from learn.serving.recommender import Recommendation, RecommendedItem
from learn.traffic import Arm, Event, Fallback

# A text "10" where a number belongs is a mistake of the caller's, and a silent guess would hide it.
Count = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Text = Annotated[str, Strict()]
ItemId = Annotated[Text, Field(min_length=1)]
UserId = Annotated[Text, Field(min_length=1, max_length=200)]

_MOST_VALUES, _MOST_COLUMNS, _MOST_CAPS = 10_000, 20, 10

# OpenAPI 3.0 pages show one example of a whole body, not the fields' own.
_ASKED: JsonDict = {"history": ["item_17", "item_42"], "k": 10, "exclude_seen": True, "diversity": 0.2}
_ITEM: JsonDict = {"item_id": "item_7", "title": "Oak bookshelf, five boards", "score": 0.62, "rank": 1}
_ANSWERED: JsonDict = {
    "recommendation_id": "5f2c8a52-6f0e-4f6e-9a0b-0c1d3a0d7f11",
    "items": [_ITEM],
    "model_version": "0f3a9c54d2e1b768",
    "arm": "champion",
    "unknown_items": [],
    "fallback": None,
}


class Request(BaseModel):
    """A body, or a part of one: an unknown field is a mistake."""

    model_config = ConfigDict(extra="forbid", title="request", use_attribute_docstrings=True, validate_by_name=False)


class Answered(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(use_attribute_docstrings=True, protected_namespaces=())


class NumberRange(Request):
    """A range of numbers, both ends included; an end that is left out is open."""

    minimum: Annotated[Number | None, Field(alias="min", examples=[5])] = None
    """Least number."""

    maximum: Annotated[Number | None, Field(alias="max", examples=[20])] = None
    """Largest number."""

    @field_validator("maximum")
    @classmethod
    def _require_order(cls, maximum: float | None, info: ValidationInfo) -> float | None:
        minimum = info.data.get("minimum")
        if maximum is not None and minimum is not None and maximum < minimum:
            raise PydanticCustomError("empty_range", "max must not be below min")
        return maximum


Values = Annotated[list[Switch | Number | Text], Field(min_length=1, max_length=_MOST_VALUES)]
ColumnName = Annotated[Text, Field(min_length=1, max_length=100)]


class ItemSelection(Request):
    """Some items of the catalogue."""

    item_ids: Annotated[list[ItemId] | None, Field(max_length=_MOST_VALUES, examples=[["item_3"]])] = None
    """By id; unknown ids are ignored."""

    columns: Annotated[
        dict[ColumnName, Values | NumberRange],
        Field(max_length=_MOST_COLUMNS, examples=[{"brand": ["Acme"], "price": {"min": 5, "max": 20}}]),
    ] = {}
    """By the values of columns: a list of values, or `{"min": …, "max": …}` for numbers. An item whose column holds a
    list is selected by any of its entries; one that holds nothing is not selected."""

    def to_selection(self) -> Selection:
        """Return what the recommender filters by."""
        return Selection(
            item_ids=self.item_ids,
            columns={
                name: Between(found.minimum, found.maximum) if isinstance(found, NumberRange) else AnyOf(tuple(found))
                for name, found in self.columns.items()
            },
        )


class CapPerValue(Request):
    """A bound on the items of one value."""

    column: Annotated[ColumnName, Field(examples=["brand"])]
    """A column of texts or flags; items that hold nothing there are not counted."""

    at_most: Annotated[Count, Field(ge=1, examples=[2])]
    """Items of one value that may stand in the list."""


class ListRequest(Request):
    """How long a list is wanted, and of which items."""

    k: Annotated[Count, Field(ge=1, examples=[10])] = 10
    """Items wanted. Fewer come back where fewer are left by the filters."""

    include_only: Annotated[ItemSelection | None, Field(examples=[{"columns": {"in_stock": [True]}}])] = None
    """Only items that fulfil all of this."""

    exclude: Annotated[ItemSelection | None, Field(examples=[{"item_ids": ["item_3"]}])] = None
    """No item that fulfils any of this."""

    diversity: Annotated[Number, Field(ge=0, le=1, examples=[0.2])] = 0.0
    """0: the best items; towards 1: items less and less alike (maximal marginal relevance)."""

    caps: Annotated[
        list[CapPerValue], Field(max_length=_MOST_CAPS, examples=[[{"column": "brand", "at_most": 2}]])
    ] = []
    """Bounds on the items of one value of a column."""

    def to_filters(self) -> Filters:
        """Return what the recommender filters by."""
        return Filters(
            include_only=self.include_only.to_selection() if self.include_only else None,
            exclude=self.exclude.to_selection() if self.exclude else None,
            caps=tuple(ValueCap(cap.column, cap.at_most) for cap in self.caps),
            diversity=self.diversity,
        )


class RecommendRequest(ListRequest):
    """Whom to recommend to, and what."""

    model_config = ConfigDict(json_schema_extra={"example": _ASKED})

    history: Annotated[list[ItemId], Field(examples=[["item_17", "item_42"]])]
    """Item ids the user interacted with, oldest first, newest last; may be empty, may repeat."""

    timestamps: Annotated[list[Number] | None, Field(examples=[[1_700_000_000, 1_700_086_400]])] = None
    """When, one number for each item of the history; where they are given, the history is sorted by them."""

    user_id: Annotated[UserId | None, Field(examples=["user_5"])] = None
    """Who asks: it decides between champion and challenger, changes nothing else, and stands in the traffic log."""

    exclude_seen: Annotated[Switch, Field(examples=[True])] = True
    """Leave out the items of the history."""

    @field_validator("timestamps")
    @classmethod
    def _require_equal_length(cls, timestamps: list[float] | None, info: ValidationInfo) -> list[float] | None:
        history = info.data.get("history")
        if timestamps is not None and history is not None and len(timestamps) != len(history):
            raise PydanticCustomError(
                "unequal_length",
                "timestamps must hold one number for each item of the history: {items}, not {numbers}",
                {"items": len(history), "numbers": len(timestamps)},
            )
        return timestamps

    def sort_history(self) -> list[str]:
        """Return the history, oldest first; items of one moment keep their order."""
        if self.timestamps is None:
            return self.history
        return [self.history[place] for place in np.argsort(self.timestamps, kind="stable")]


class RecommendBatchRequest(Request):
    """Several requests at once."""

    model_config = ConfigDict(json_schema_extra={"example": {"requests": [_ASKED]}})

    requests: Annotated[list[RecommendRequest], Field(min_length=1)]
    """Requests as `recommend` takes them; at most `serving.max_batch`."""


class RecommendResponse(Answered):
    """The recommended items, and what to know about them."""

    model_config = ConfigDict(json_schema_extra={"example": _ANSWERED})

    recommendation_id: Annotated[str, Field(examples=[_ANSWERED["recommendation_id"]])]
    """Names this answer; `feedback` carries it back."""

    items: tuple[RecommendedItem, ...]
    """Best first."""

    model_version: Annotated[str, Field(examples=["0f3a9c54d2e1b768"])]
    """Version of the bundle that answered."""

    arm: Annotated[Arm, Field(examples=["champion"])]
    """Which of the models served side by side that was: the champion, or the challenger, which a share of users get."""

    unknown_items: Annotated[list[str], Field(examples=[[]])]
    """Ids of the history that the catalogue does not hold, each once; they were ignored."""

    fallback: Annotated[Fallback | None, Field(examples=[None])]
    """Set where the list is the most popular of the last window, because nothing is known of the user:
    ``empty_history``, or ``no_known_item`` where every id of the history was unknown."""

    @classmethod
    def from_recommendation(
        cls, recommendation: Recommendation, *, recommendation_id: str, model_version: str, arm: Arm
    ) -> RecommendResponse:
        """Put a recommendation into the words of the answer."""
        # Unchecked: the fields are ours.
        return cls.model_construct(
            recommendation_id=recommendation_id,
            items=recommendation.items,
            model_version=model_version,
            arm=arm,
            unknown_items=list(recommendation.unknown_items),
            fallback=recommendation.fallback,
        )


class RecommendBatchResponse(Answered):
    """The answers to several requests."""

    model_config = ConfigDict(json_schema_extra={"example": {"answers": [_ANSWERED]}})

    answers: list[RecommendResponse]
    """One answer a request, in their order."""


class SimilarItemsRequest(ListRequest):
    """What to find items like."""

    model_config = ConfigDict(json_schema_extra={"example": {"item_id": "item_17", "k": 10}})

    item_id: Annotated[ItemId | None, Field(examples=["item_17"])] = None
    """An item of the catalogue; either this or `text`."""

    text: Annotated[Text | None, Field(min_length=1, max_length=10_000, examples=["a wooden chess set"])] = None
    """Words that the encoder reads as if they were an item's; either this or `item_id`."""


class SimilarItemsResponse(Answered):
    """The items most like one."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_ITEM], "model_version": "0f3a9c54d2e1b768"}})

    items: tuple[RecommendedItem, ...]
    """Best first, scored by the cosine of the items' vectors."""

    model_version: Annotated[str, Field(examples=["0f3a9c54d2e1b768"])]
    """Version of the bundle that answered."""


_LONGEST_ID, _LONGEST_TEXT, _MOST_ENTRIES, _MOST_ITEM_COLUMNS = 200, 20_000, 100, 50
_VERSION = "0f3a9c54d2e1b768"

Vector = list[float]
NewItemId = Annotated[Text, Field(min_length=1, max_length=_LONGEST_ID)]
LongText = Annotated[Text, Field(max_length=_LONGEST_TEXT)]
CellValue = Switch | Number | LongText | Annotated[list[LongText], Field(max_length=_MOST_ENTRIES)] | None


class EmbedUserRequest(Request):
    """Whose vectors are wanted."""

    model_config = ConfigDict(json_schema_extra={"example": {"histories": [["item_17", "item_42"]]}})

    histories: Annotated[list[list[ItemId]], Field(min_length=1, examples=[[["item_17", "item_42"]]])]
    """One history a user, oldest item first; at most `serving.max_batch`."""


class EmbedItemsRequest(Request):
    """Which items' vectors are wanted."""

    model_config = ConfigDict(json_schema_extra={"example": {"item_ids": ["item_17", "item_42"]}})

    item_ids: Annotated[list[ItemId], Field(min_length=1, examples=[["item_17", "item_42"]])]
    """Items; at most `serving.max_batch`."""


class VectorsResponse(Answered):
    """Vectors; the inner product of a user's and an item's is the score."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"vectors": [[0.1, -0.2], None], "model_version": _VERSION, "unknown_items": ["x"]}
        }
    )

    vectors: list[Vector | None]
    """One a history or an item, in their order; null where nothing is known of it."""

    model_version: Annotated[str, Field(examples=[_VERSION])]
    """Version of the bundle they come from; vectors of different versions do not go together."""

    unknown_items: Annotated[list[str], Field(examples=[["item_0"]])]
    """Ids that the catalogue does not hold, each once."""


class NewItem(Request):
    """An item to add or to change."""

    item_id: Annotated[NewItemId, Field(examples=["item_900"])]
    """Its id: a new one, or one of the catalogue."""

    columns: Annotated[
        dict[ColumnName, CellValue],
        Field(min_length=1, max_length=_MOST_ITEM_COLUMNS, examples=[{"title": "Walnut bookshelf", "in_stock": True}]),
    ]
    """Its columns by name; of an item that is known, those not named stay as they are, and null empties one."""


class UpsertItemsRequest(Request):
    """Items to add or to change."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {"item_id": "item_900", "columns": {"title": "Walnut bookshelf", "price": 89.0, "in_stock": True}}
                ]
            }
        }
    )

    items: Annotated[list[NewItem], Field(min_length=1)]
    """At most `serving.max_batch`."""


class DeleteItemsRequest(Request):
    """Items to take out of the catalogue."""

    model_config = ConfigDict(json_schema_extra={"example": {"item_ids": ["item_900"]}})

    item_ids: Annotated[list[NewItemId], Field(min_length=1, examples=[["item_900"]])]
    """At most `serving.max_batch`."""


class ItemsResponse(Answered):
    """What was done, for good: it outlives a restart."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"changed": 1, "unknown_items": [], "model_version": _VERSION, "items": 17_001}}
    )

    changed: Annotated[int, Field(examples=[1])]
    """Items added, changed or deleted."""

    unknown_items: Annotated[list[str], Field(examples=[[]])]
    """Ids to delete that the catalogue did not hold, each once."""

    items: Annotated[int, Field(examples=[17_001])]
    """Items of the catalogue now."""

    model_version: Annotated[str, Field(examples=[_VERSION])]
    """Version of the bundle that serves."""


class FeedbackRequest(Request):
    """What a person did with one item of an answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "recommendation_id": "5f2c8a52-6f0e-4f6e-9a0b-0c1d3a0d7f11",
                "item_id": "item_7",
                "event": "clicked",
                "user_id": "user_5",
            }
        }
    )

    recommendation_id: Annotated[UUID, Field(examples=["5f2c8a52-6f0e-4f6e-9a0b-0c1d3a0d7f11"])]
    """Of the answer that the item stood in."""

    item_id: Annotated[NewItemId, Field(examples=["item_7"])]
    """The item."""

    event: Annotated[Event, Field(examples=["clicked"])]
    """`shown`, `clicked` or `bought`."""

    user_id: Annotated[UserId | None, Field(examples=["user_5"])] = None
    """Who it was."""


class FeedbackResponse(Answered):
    """That it was taken."""

    model_config = ConfigDict(json_schema_extra={"example": {"accepted": True}})

    accepted: Annotated[Literal[True], Field(examples=[True])] = True
    """Always true; what was not taken gets a 4xx."""
