"""What the service is asked and what it answers, as its OpenAPI page shows it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError
from pydantic.config import JsonDict
from pydantic_core import InitErrorDetails, PydanticCustomError

from learn.config import ServingSettings
from learn.serving.recommender import Fallback, Recommendation

# A text "10" where a number belongs is a mistake of the caller's, and a silent guess would hide it.
Count = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]
ItemId = Annotated[str, Strict(), Field(min_length=1)]

# OpenAPI 3.0 pages show one example of a whole body, not the fields' own.
_ASKED: JsonDict = {"history": ["item_17", "item_42"], "k": 10, "exclude_seen": True}
_ANSWERED: JsonDict = {
    "items": [{"item_id": "item_7", "title": "Oak bookshelf, five boards", "score": 0.62, "rank": 1}],
    "model_version": "0f3a9c54d2e1b768",
    "unknown_ids": [],
    "fallback": None,
}


class RecommendRequest(BaseModel):
    """Whom to recommend to, and how much."""

    model_config = ConfigDict(
        extra="forbid", title="request", use_attribute_docstrings=True, json_schema_extra={"example": _ASKED}
    )

    history: Annotated[list[ItemId], Field(examples=[["item_17", "item_42"]])]
    """Item ids the user interacted with, oldest first, newest last; may be empty, may repeat."""

    k: Annotated[Count, Field(ge=1, examples=[10])] = 10
    """Items wanted. Fewer come back where the catalogue holds fewer."""

    exclude_seen: Annotated[Switch, Field(examples=[True])] = True
    """Leave out the items of the history."""


class ScoredItem(BaseModel):
    """One recommended item."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    item_id: Annotated[str, Field(examples=["item_7"])]
    """The item."""

    title: Annotated[str | None, Field(examples=["Oak bookshelf, five boards"])]
    """Its title, where it has one."""

    score: Annotated[float, Field(examples=[0.62])]
    """Inner product of user and item vector, -1 to 1; in a fallback, interactions in the last window."""

    rank: Annotated[int, Field(examples=[1])]
    """1 for the best."""


class RecommendResponse(BaseModel):
    """The recommended items, and what to know about them."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, protected_namespaces=(), json_schema_extra={"example": _ANSWERED}
    )

    items: list[ScoredItem]
    """Best first."""

    model_version: Annotated[str, Field(examples=["0f3a9c54d2e1b768"])]
    """Version of the bundle that answered."""

    unknown_ids: Annotated[list[str], Field(examples=[[]])]
    """Ids of the history that the catalogue does not hold, each once; they were ignored."""

    fallback: Annotated[Fallback | None, Field(examples=[None])]
    """Set where the list is the most popular of the last window, because nothing is known of the user:
    ``empty_history``, or ``no_known_item`` where every id of the history was unknown."""

    @classmethod
    def of(cls, recommendation: Recommendation, *, model_version: str) -> RecommendResponse:
        """Put a recommendation into the words of the answer."""
        return cls(
            items=[
                ScoredItem(item_id=item.item_id, title=item.title, score=item.score, rank=item.rank)
                for item in recommendation.items
            ],
            model_version=model_version,
            unknown_ids=list(recommendation.unknown_ids),
            fallback=recommendation.fallback,
        )


def check_limits(request: RecommendRequest, limits: ServingSettings) -> None:
    """Hold a request against the limits of the bundle that serves it.

    Raises:
        ValidationError: ``k`` or ``history`` is over its limit; the error names the field, as for any other mistake.
    """
    over: list[InitErrorDetails] = []
    if request.k > limits.max_k:
        message = PydanticCustomError("too_large", "k may be at most {limit}", {"limit": limits.max_k})
        over.append(InitErrorDetails(type=message, loc=("k",), input=request.k))
    if len(request.history) > limits.max_history:
        message = PydanticCustomError(
            "too_long",
            "history may hold at most {limit} items, not {actual}",
            {"limit": limits.max_history, "actual": len(request.history)},
        )
        over.append(InitErrorDetails(type=message, loc=("history",), input=None))
    if over:
        raise ValidationError.from_exception_data("request", over)
