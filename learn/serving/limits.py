"""Requests held against the service's limits, and every refusal in one form: a 400 that names the field."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from learn.config import ServingSettings
from learn.errors import RequestError
from learn.serving.messages import ListRequest, RecommendRequest

Place = tuple[str | int, ...]

# `include_only.columns.NAME`: the name of a column may hold dots itself.
_PARTS = 3


def check_list(request: ListRequest, limits: ServingSettings, *, at: Place = ()) -> None:
    """Hold ``k`` and ``history`` against their limits.

    Args:
        request: The request.
        limits: The limits.
        at: Where it stands in the body.

    Raises:
        ValidationError: One is over its limit; the error names the field, as for any other mistake.
    """
    if request.k > limits.max_k:
        raise refusal((*at, "k"), f"k may be at most {limits.max_k}")
    if isinstance(request, RecommendRequest):
        check_length(request.history, limits.max_history, at=(*at, "history"))


def check_length(values: Sequence[object], limit: int, *, at: Place) -> None:
    """Refuse a list that is too long.

    Raises:
        ValidationError: It is.
    """
    if len(values) > limit:
        raise refusal(at, f"{at[-1]} may hold at most {limit} entries, not {len(values)}")


def named(fault: RequestError, *, at: Place = ()) -> ValidationError:
    """Turn what the recommender refused into the error that every other mistake gets."""
    place = (fault.where or "body").split(".", _PARTS - 1)
    return refusal((*at, *place), " ".join(filter(None, (fault.what, fault.fix and f"What to do: {fault.fix}."))))


def refusal(at: Place, message: str) -> ValidationError:
    """Return the error for one field."""
    # The text is an argument, since braces in a template of its own would be read as places for arguments.
    said = PydanticCustomError("refused", "{message}", {"message": message})
    return ValidationError.from_exception_data("request", [InitErrorDetails(type=said, loc=at, input=None)])
