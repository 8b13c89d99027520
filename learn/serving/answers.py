"""Turn a checked request into its answer; every refusal names the field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from time import perf_counter

import bentoml
import numpy as np
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from learn.config import ServingSettings
from learn.errors import BundleError, EncoderError, RequestError
from learn.serving.deployment import ServedModel
from learn.serving.live_items import LiveItems
from learn.serving.recommender import Query, Recommendation, Recommender, Vector
from learn.serving.schemas import (
    EmbedItemsRequest,
    EmbedUserRequest,
    FeedbackRequest,
    ItemsResponse,
    ListRequest,
    RecommendRequest,
    RecommendResponse,
    SimilarItemsRequest,
    SimilarItemsResponse,
    VectorsResponse,
)
from learn.traffic import AnswerRecord, FeedbackRecord

Place = tuple[str | int, ...]

# `include_only.columns.NAME`: the name of a column may contain dots.
_PARTS = 3


def check_list(request: ListRequest, limits: ServingSettings, *, at: Place = ()) -> None:
    """Check ``k`` and ``history`` against their limits.

    Args:
        request: The request.
        limits: The limits.
        at: Path of the request in the body.

    Raises:
        ValidationError: One is over its limit; the error names the field, as for any other mistake.
    """
    if request.k > limits.max_k:
        raise refuse_field((*at, "k"), f"k may be at most {limits.max_k}")
    if isinstance(request, RecommendRequest):
        check_length(request.history, limits.max_history, at=(*at, "history"))


def check_length(values: Sequence[object], limit: int, *, at: Place) -> None:
    """Refuse a list that is too long.

    Raises:
        ValidationError: The list is too long.
    """
    if len(values) > limit:
        raise refuse_field(at, f"{at[-1]} may hold at most {limit} entries, not {len(values)}")


def name_field(fault: RequestError, *, at: Place = ()) -> ValidationError:
    """Turn a refusal of the recommender into the error of all other mistakes."""
    place = (fault.where or "body").split(".", _PARTS - 1)
    return refuse_field((*at, *place), " ".join(filter(None, (fault.what, fault.fix and f"What to do: {fault.fix}."))))


def refuse_field(at: Place, message: str) -> ValidationError:
    """Return the error for one field."""
    # The text is an argument, because braces in a template would be read as placeholders.
    said = PydanticCustomError("refused", "{message}", {"message": message})
    return ValidationError.from_exception_data("request", [InitErrorDetails(type=said, loc=at, input=None)])


_LOGGED_HISTORY = 100


class CannotReadTextError(bentoml.exceptions.BentoMLException):
    """This service has no encoder to read new texts with: a conflict with its state, not an internal error."""

    error_code = HTTPStatus.CONFLICT


@contextmanager
def name_refusals(*, at: Place = ()) -> Iterator[None]:
    """Turn refusals into answers of the 4xx kind that name the field.

    Raises:
        ValidationError: The request is not possible.
        CannotReadTextError: A text must be read, and the service has no encoder.
    """
    try:
        yield
    except RequestError as fault:
        raise name_field(fault, at=at) from fault
    except (EncoderError, BundleError) as fault:
        raise CannotReadTextError(f"This service cannot read new texts. {fault.what}") from fault


def answer_similar_items(
    recommender: Recommender, request: SimilarItemsRequest, live_items: LiveItems | None = None
) -> SimilarItemsResponse:
    """Answer `similar_items`.

    Args:
        recommender: The model.
        request: The request.
        live_items: Reads the request's text, if it has one.

    Raises:
        ValidationError: The request names no item of the catalogue, or a filter does not fit it.
        CannotReadTextError: The service has no encoder.
    """
    if (request.item_id is None) == (request.text is None):
        raise refuse_field(("item_id",), "give either item_id or text, and not both")
    filters = request.to_filters()
    with name_refusals():
        if live_items is not None and request.text is not None:
            content = live_items.find_encoder(recommender).encode([request.text])
            _, vectors = recommender.map_content(content, [None])
            found = recommender.find_similar_to_vector(vectors[0], k=request.k, filters=filters)
        else:
            try:
                found = recommender.find_similar_items(request.item_id or "", k=request.k, filters=filters)
            except KeyError as fault:
                raise refuse_field(("item_id",), "the catalogue does not hold this item") from fault
    return SimilarItemsResponse.model_construct(items=found.items, model_version=recommender.version)


def answer_embed_user(recommender: Recommender, request: EmbedUserRequest) -> VectorsResponse:
    """Answer `embed_user`."""
    found = [recommender.encode_user(history) for history in request.histories]
    unknown = dict.fromkeys(item_id for _, missing in found for item_id in missing)
    return _build_vectors_response(recommender, [vector for vector, _ in found], list(unknown))


def answer_embed_items(recommender: Recommender, request: EmbedItemsRequest) -> VectorsResponse:
    """Answer `embed_items`."""
    found, unknown = recommender.encode_items(request.item_ids)
    rows, missing = iter(found), set(unknown)
    vectors = [None if item_id in missing else next(rows) for item_id in request.item_ids]
    return _build_vectors_response(recommender, vectors, list(unknown))


def answer_item_changes(recommender: Recommender, *, changed: int, unknown: Sequence[str] = ()) -> ItemsResponse:
    """Answer `upsert_items` and `delete_items`."""
    return ItemsResponse(
        changed=changed,
        unknown_items=list(unknown),
        items=len(recommender.catalogue),
        model_version=recommender.version,
    )


def build_query(request: RecommendRequest) -> Query:
    """Return the recommender's query for a request."""
    return Query(request.sort_history(), request.k, request.exclude_seen, request.to_filters())


@dataclass(frozen=True)
class ServedList:
    """A model's result for a request.

    Attributes:
        served: The model.
        recommendation: The list.
        seconds: Time it took, including the wait for others' lists.
    """

    served: ServedModel[Recommender]
    recommendation: Recommendation
    seconds: float


def recommend_one(served: ServedModel[Recommender], request: RecommendRequest) -> ServedList:
    """Have a model answer one request.

    Raises:
        RequestError: A filter does not fit the catalogue.
    """
    started = perf_counter()
    recommendation = served.recommender.recommend(
        request.sort_history(), k=request.k, exclude_seen=request.exclude_seen, filters=request.to_filters()
    )
    return ServedList(served, recommendation, perf_counter() - started)


def build_answer(
    found: ServedList, request: RecommendRequest, *, recommendation_id: str
) -> tuple[RecommendResponse, AnswerRecord]:
    """Return the answer, and the record of it for the traffic log.

    Args:
        found: The model's result.
        request: The request.
        recommendation_id: Names the answer, and what a challenger in the shadow would have answered instead.
    """
    served = found.served
    answer = RecommendResponse.from_recommendation(
        found.recommendation, recommendation_id=recommendation_id, model_version=served.version, arm=served.arm
    )
    record = _build_answer_record(request, answer, seconds=found.seconds)
    return answer, record.model_copy(update={"challenger_share": served.challenger_share})


def build_feedback_record(request: FeedbackRequest) -> FeedbackRecord:
    """Return the record of feedback for the traffic log."""
    return FeedbackRecord(
        time=datetime.now(tz=UTC),
        recommendation_id=str(request.recommendation_id),
        user=request.user_id,
        item_id=request.item_id,
        event=request.event,
    )


def _build_vectors_response(
    recommender: Recommender, vectors: Sequence[Vector | None], unknown: list[str]
) -> VectorsResponse:
    numbers = [None if vector is None else np.asarray(vector).tolist() for vector in vectors]
    return VectorsResponse.model_construct(vectors=numbers, model_version=recommender.version, unknown_items=unknown)


def _build_answer_record(request: RecommendRequest, answer: RecommendResponse, *, seconds: float) -> AnswerRecord:
    history = request.sort_history()
    unknown = set(answer.unknown_items)
    known = [item_id for item_id in history if item_id not in unknown] if unknown else history
    return AnswerRecord(
        time=datetime.now(tz=UTC),
        recommendation_id=answer.recommendation_id,
        user=request.user_id,
        model_version=answer.model_version,
        arm=answer.arm,
        history=tuple(known[-_LOGGED_HISTORY:]),
        history_length=len(history),
        unknown_items=len(history) - len(known),
        items=tuple(item.item_id for item in answer.items),
        scores=tuple(item.score for item in answer.items),
        k=request.k,
        filtered=request.to_filters().narrow,
        fallback=answer.fallback,
        latency_milliseconds=seconds * 1e3,
    )
