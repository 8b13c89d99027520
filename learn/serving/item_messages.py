"""What the service is asked and what it answers about vectors, items and feedback, as its OpenAPI page shows it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from learn.data.traffic import Event
from learn.serving.messages import Answered, Asked, ColumnName, ItemId, Number, Switch, Text, UserId

_LONGEST_ID, _LONGEST_TEXT, _MOST_ENTRIES, _MOST_COLUMNS = 200, 20_000, 100, 50
_VERSION = "0f3a9c54d2e1b768"

Vector = list[float]
NewItemId = Annotated[Text, Field(min_length=1, max_length=_LONGEST_ID)]
LongText = Annotated[Text, Field(max_length=_LONGEST_TEXT)]
CellValue = Switch | Number | LongText | Annotated[list[LongText], Field(max_length=_MOST_ENTRIES)] | None


class EmbedUserRequest(Asked):
    """Whose vectors are wanted."""

    model_config = ConfigDict(json_schema_extra={"example": {"histories": [["item_17", "item_42"]]}})

    histories: Annotated[list[list[ItemId]], Field(min_length=1, examples=[[["item_17", "item_42"]]])]
    """One history a user, oldest item first; at most `serving.max_batch`."""


class EmbedItemsRequest(Asked):
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


class NewItem(Asked):
    """An item to add or to change."""

    item_id: Annotated[NewItemId, Field(examples=["item_900"])]
    """Its id: a new one, or one of the catalogue."""

    columns: Annotated[
        dict[ColumnName, CellValue],
        Field(min_length=1, max_length=_MOST_COLUMNS, examples=[{"title": "Walnut bookshelf", "in_stock": True}]),
    ]
    """Its columns by name; of an item that is known, those not named stay as they are, and null empties one."""


class UpsertItemsRequest(Asked):
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


class DeleteItemsRequest(Asked):
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


class FeedbackRequest(Asked):
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
