"""Requests and responses of the playground, as the OpenAPI page shows them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from learn.serving.schemas import Answered, Count, ItemId, Request, Text

_LONGEST_QUERY, _MOST_FOUND, _MOST_VALUES, _MOST_NEAREST = 200, 100, 200, 10
_VERSION = "0f3a9c54d2e1b768"
_CELLS: JsonDict = {"brand": "Acme", "price": 89}
_ITEM: JsonDict = {"item_id": "item_7", "title": "Oak bookshelf, five boards", "columns": _CELLS}

ModelVersion = Annotated[str, Field(examples=[_VERSION])]
Shown = str | bool | int | float | list[str]


class DescribedItem(Answered):
    """An item, and what it holds in the columns that can be filtered by."""

    item_id: Annotated[str, Field(examples=["item_7"])]
    """The item."""

    title: Annotated[str | None, Field(examples=["Oak bookshelf, five boards"])]
    """Its title, where it has one."""

    columns: Annotated[dict[str, Shown], Field(examples=[_CELLS])]
    """Its values by column; columns where it holds nothing are left out."""


class SearchItemsRequest(Request):
    """Words to find items by."""

    model_config = ConfigDict(json_schema_extra={"example": {"query": "oak shelf", "limit": 10}})

    query: Annotated[Text, Field(max_length=_LONGEST_QUERY, examples=["oak shelf"])]
    """Each word must stand somewhere in the title or the id, whatever its case and accents; without a word, the most
    popular items are found."""

    limit: Annotated[Count, Field(ge=1, le=_MOST_FOUND, examples=[10])] = 10
    """Items wanted."""


class SearchItemsResponse(Answered):
    """What was found."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [_ITEM], "found": 1, "model_version": _VERSION}},
    )

    items: list[DescribedItem]
    """What begins with the query first, then the more popular first."""

    found: Annotated[int, Field(examples=[1])]
    """Items that match, also those beyond the limit."""

    model_version: ModelVersion
    """Version of the bundle whose catalogue was searched."""


class DescribeItemsRequest(Request):
    """Which items are to be described."""

    model_config = ConfigDict(json_schema_extra={"example": {"item_ids": ["item_7", "item_0"]}})

    item_ids: Annotated[list[ItemId], Field(min_length=1, examples=[["item_7", "item_0"]])]
    """Items; at most `serving.max_batch`."""


class DescribeItemsResponse(Answered):
    """Titles and columns of items."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [_ITEM], "unknown_items": ["item_0"], "model_version": _VERSION}}
    )

    items: list[DescribedItem]
    """The known ones, each once, in the order asked."""

    unknown_items: Annotated[list[str], Field(examples=[["item_0"]])]
    """Ids that the catalogue does not hold, each once."""

    model_version: ModelVersion
    """Version of the bundle whose catalogue was read."""


class CatalogueRequest(Request):
    """How much of each column is wanted."""

    model_config = ConfigDict(json_schema_extra={"example": {"values": 20}})

    values: Annotated[Count, Field(ge=1, le=_MOST_VALUES, examples=[20])] = 20
    """Values of each column, the commonest first."""


class CommonValue(Answered):
    """A value of a column."""

    value: Annotated[str | bool, Field(examples=["Acme"])]
    """The value; of a column of lists, one entry."""

    items: Annotated[int, Field(examples=[120])]
    """Items that hold it."""


class ColumnSummary(Answered):
    """A column that lists can be filtered by."""

    name: Annotated[str, Field(examples=["brand"])]
    """Its name."""

    kind: Annotated[Literal["text", "flag", "list", "number"], Field(examples=["text"])]
    """What it holds. Texts and flags can be capped, too."""

    items: Annotated[int, Field(examples=[16_200])]
    """Items that hold something in it."""

    distinct: Annotated[int | None, Field(examples=[85])]
    """Different values; null of numbers."""

    values: Annotated[list[CommonValue], Field(examples=[[{"value": "Acme", "items": 120}]])]
    """The commonest values; none of numbers."""

    minimum: Annotated[float | None, Field(examples=[None])]
    """Least number; null of other columns."""

    maximum: Annotated[float | None, Field(examples=[None])]
    """Largest number; null of other columns."""


class CatalogueResponse(Answered):
    """What a list can be filtered by."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": 17_000,
                "columns": [
                    {
                        "name": "brand",
                        "kind": "text",
                        "items": 16_200,
                        "distinct": 85,
                        "values": [{"value": "Acme", "items": 120}],
                        "minimum": None,
                        "maximum": None,
                    }
                ],
                "max_k": 1_000,
                "model_version": _VERSION,
            }
        }
    )

    items: Annotated[int, Field(examples=[17_000])]
    """Items of the catalogue."""

    columns: list[ColumnSummary]
    """Columns that can be filtered by."""

    max_k: Annotated[int, Field(examples=[1_000])]
    """Longest list that may be asked for."""

    model_version: ModelVersion
    """Version of the bundle whose catalogue this is."""


class ExplainRequest(Request):
    """Which items are to be explained, and by what history."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"history": ["item_17", "item_42"], "item_ids": ["item_7"], "nearest": 2}}
    )

    history: Annotated[list[ItemId], Field(examples=[["item_17", "item_42"]])]
    """The history that `recommend` was asked with, oldest first."""

    item_ids: Annotated[list[ItemId], Field(min_length=1, examples=[["item_7"]])]
    """Items that came back; at most `serving.max_batch`."""

    nearest: Annotated[Count, Field(ge=1, le=_MOST_NEAREST, examples=[2])] = 3
    """Items of the history wanted for each."""


class NearItem(Answered):
    """An item of the history."""

    item_id: Annotated[str, Field(examples=["item_42"])]
    """The item."""

    title: Annotated[str | None, Field(examples=["Pine bookshelf"])]
    """Its title, where it has one."""

    similarity: Annotated[float, Field(examples=[0.81])]
    """Cosine of the two items' vectors, -1 to 1."""


class Explanation(Answered):
    """What of a history lies nearest to an item."""

    item_id: Annotated[str, Field(examples=["item_7"])]
    """The item explained."""

    nearest: list[NearItem]
    """Items of the history, the nearest first, each once."""


class ExplainResponse(Answered):
    """Which items of the history lie nearest to each item."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "explanations": [
                    {
                        "item_id": "item_7",
                        "nearest": [{"item_id": "item_42", "title": "Pine bookshelf", "similarity": 0.81}],
                    }
                ],
                "history_read": 2,
                "unknown_items": [],
                "model_version": _VERSION,
            }
        }
    )

    explanations: list[Explanation]
    """One for each known item, in the order asked."""

    history_read: Annotated[int, Field(examples=[2])]
    """Entries of the history that the user tower reads: the newest known ones, as many as it was trained for."""

    unknown_items: Annotated[list[str], Field(examples=[[]])]
    """Ids, of the history and of the items, that the catalogue does not hold, each once."""

    model_version: ModelVersion
    """Version of the bundle whose vectors were compared."""
