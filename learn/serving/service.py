"""The user tower as a BentoML service; ``bentoml serve learn_user_tower:latest`` runs it.

Each service has its own state folder, which no second process may use.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar, cast
from uuid import uuid4

import bentoml
import torch
from bentoml._internal.utils.analytics import usage_stats
from filelock import FileLock, Timeout
from pydantic import BaseModel
from starlette.responses import Response

from learn.config import (
    TRAFFIC_KEY,
    ServingSettings,
    read_deployment_settings,
    read_operations_settings,
    read_serving_settings,
    read_traffic_settings,
)
from learn.environment import configure_process
from learn.errors import ServingError, explain_storage_faults
from learn.registry import Bundle, find_aliases_path
from learn.serving.answers import (
    Place,
    ServedList,
    answer_embed_items,
    answer_embed_user,
    answer_item_changes,
    answer_similar_items,
    build_answer,
    build_feedback_record,
    build_query,
    check_length,
    check_list,
    name_refusals,
    recommend_one,
)
from learn.serving.deployment import Deployment, ServedModel, load_packed, read_packed_settings
from learn.serving.live_items import ItemPatch, ItemStore, LiveItems
from learn.serving.middleware import KeyGuard, LoadLimit, RequestGuard
from learn.serving.observability import ServiceMetrics, set_up
from learn.serving.playground.answers import (
    Lookups,
    answer_catalogue,
    answer_describe_items,
    answer_explain,
    answer_search_items,
)
from learn.serving.playground.pages import build_page_app
from learn.serving.playground.schemas import (
    CatalogueRequest,
    CatalogueResponse,
    DescribeItemsRequest,
    DescribeItemsResponse,
    ExplainRequest,
    ExplainResponse,
    SearchItemsRequest,
    SearchItemsResponse,
)
from learn.serving.recommender import Recommender, RequestBatcher
from learn.serving.schemas import (
    DeleteItemsRequest,
    EmbedItemsRequest,
    EmbedUserRequest,
    FeedbackRequest,
    FeedbackResponse,
    ItemsResponse,
    RecommendBatchRequest,
    RecommendBatchResponse,
    RecommendRequest,
    RecommendResponse,
    SimilarItemsRequest,
    SimilarItemsResponse,
    UpsertItemsRequest,
    VectorsResponse,
)
from learn.traffic import NoTraffic, TrafficLog, TrafficSink

# A service that is started in place of another may begin while that one ends.
_WAIT_SECONDS = 15.0


def find_state_folder(settings: ServingSettings) -> Path:
    """Return the service's state folder: by default ``learn`` in BentoML's home."""
    return settings.state or find_aliases_path().parent


def claim(folder: Path, *, wait_seconds: float = _WAIT_SECONDS) -> FileLock:
    """Lock the folder for this process, until it ends or releases it.

    Items that change at run time are known to the process that changed them and to the file: a second worker or
    service on the same folder would answer with other items than the first.

    Raises:
        ServingError: Another process has locked it.
        StorageError: The folder cannot be written to.
    """
    with explain_storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "service.lock", timeout=wait_seconds)
        try:
            lock.acquire()
        except Timeout as fault:
            raise ServingError(
                "Another process uses this state folder: a second service, or a second worker of this one.",
                where=folder,
                fix="serve with one worker, and give each service its own folder with LEARN_SERVING_STATE",
            ) from fault
    return lock


# `bentoml serve` sends usage data unless this is set, and has already cached an empty environment.
configure_process()
usage_stats.do_not_track.cache_clear()

Method = TypeVar("Method", bound=Callable[..., Any])

_REQUEST_SECONDS = 30
# A list takes a few milliseconds, a new text up to seconds.
_LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def declare_route(route: str, answer: type[BaseModel]) -> Callable[[Method], Method]:
    """Declare a route; its method may return the answer's bytes, which BentoML then sends as they are."""
    return cast("Callable[[Method], Method]", bentoml.api(route=route, output_spec=answer))


def call_at_shutdown(method: Method) -> Method:
    """Register a method to be called after the last request has been answered."""
    return cast("Method", bentoml.on_shutdown(method))


@bentoml.asgi_app(build_page_app(), path="/")
@bentoml.service(
    name="learn_user_tower",
    description="Recommends items to a user from the history of their item ids.",
    # A second worker would not know the items that are added to the first one.
    workers=1,
    metrics={"enabled": True, "duration": {"buckets": list(_LATENCY_SECONDS)}},
    traffic={"timeout": _REQUEST_SECONDS},
    logging={"access": {"enabled": False}},
    # Reachable only from this machine unless --host or BENTOML_HOST is set.
    http={"host": "127.0.0.1"},
)
class UserTower:
    """Recommends items to a user from the history of their item ids."""

    def __init__(self) -> None:
        self._warm = False
        set_up(read_operations_settings(os.environ).log_format)
        # The products are too small to split among threads, and more threads would compete with the event loop.
        torch.set_num_threads(1)
        self._limits = read_serving_settings(read_packed_settings(), os.environ)
        state = find_state_folder(self._limits)
        self._claim = claim(state)
        self._live_items = LiveItems(ItemStore(state))
        self._sink = _open_traffic_sink()
        self._lookups = Lookups()
        self._gathering = RequestBatcher()
        self._deployment = Deployment(
            self._build_recommender,
            model_name=self._limits.model_name,
            packed=load_packed,
            settings=read_deployment_settings(os.environ),
        )
        self._metrics = ServiceMetrics(self._deployment, self._sink)
        _tune_collector()
        self._warm = True

    async def __metrics__(self, counted: str) -> str:
        """Add this service's counts to those of BentoML."""
        return counted + self._metrics.render()

    async def __is_ready__(self) -> bool:
        return self._warm

    @call_at_shutdown
    def close(self) -> None:
        """Finish the background work; all requests have been answered by now."""
        self._warm = False
        self._deployment.close()
        self._sink.close()
        self._claim.release()

    @property
    def _recommender(self) -> Recommender:
        """The model for requests without a user; each request reads it once."""
        return self._deployment.choose_model(None).recommender

    def _build_recommender(self, bundle: Bundle) -> Recommender:
        recommender = Recommender(bundle)
        self._live_items.attach(recommender)
        if self._limits.load_encoder == "at_start":
            self._live_items.load_encoder(recommender)
        return recommender

    # Coroutines, not plain functions: handing two milliseconds of work to a thread costs more than it saves.
    @declare_route("/recommend", RecommendResponse)
    async def recommend(self, request: RecommendRequest, /) -> Response:
        """Recommend items to one user, best first.

        A user of whom nothing is known gets the most popular items of the last window, marked by `fallback`.
        Filters are applied before the list is cut, so `k` items come back whenever `k` are left.
        A request that is not right gets a 4xx that names the field.
        """
        check_list(request, self._limits)
        return _send(self._respond(request, await self._recommend(request)))

    @declare_route("/recommend_batch", RecommendBatchResponse)
    async def recommend_batch(self, request: RecommendBatchRequest, /) -> Response:
        """Answer several `recommend` requests at once, each as if it came alone."""
        check_length(request.requests, self._limits.max_batch, at=("requests",))
        for place, each in enumerate(request.requests):
            check_list(each, self._limits, at=("requests", place))
        found = await asyncio.gather(
            *(self._recommend(each, at=("requests", place)) for place, each in enumerate(request.requests))
        )
        answers = [self._respond(each, its) for each, its in zip(request.requests, found, strict=True)]
        return _send(RecommendBatchResponse.model_construct(answers=answers))

    @declare_route("/similar_items", SimilarItemsResponse)
    async def similar_items(self, request: SimilarItemsRequest, /) -> Response:
        """List the items most like one of the catalogue, or most like a text."""
        check_list(request, self._limits)
        if request.text is None:
            return _send(answer_similar_items(self._recommender, request))
        # Reading takes milliseconds to seconds, so a thread does it while others are answered.
        return _send(await asyncio.to_thread(answer_similar_items, self._recommender, request, self._live_items))

    @declare_route("/embed_user", VectorsResponse)
    async def embed_user(self, request: EmbedUserRequest, /) -> Response:
        """Return the user vector after each history, for a ranker further down."""
        check_length(request.histories, self._limits.max_batch, at=("histories",))
        for place, history in enumerate(request.histories):
            check_length(history, self._limits.max_history, at=("histories", place))
        return _send(answer_embed_user(self._recommender, request))

    @declare_route("/embed_items", VectorsResponse)
    async def embed_items(self, request: EmbedItemsRequest, /) -> Response:
        """Return the vectors that users are compared with, for a ranker further down."""
        check_length(request.item_ids, self._limits.max_batch, at=("item_ids",))
        return _send(answer_embed_items(self._recommender, request))

    @declare_route("/upsert_items", ItemsResponse)
    async def upsert_items(self, request: UpsertItemsRequest, /) -> Response:
        """Add items, or change items of the catalogue; they are recommendable when the answer comes, and stay so.

        The text of an item is read by the frozen encoder of the bundle and passes the item tower. New columns can be
        filtered by at once.
        """
        check_length(request.items, self._limits.max_batch, at=("items",))
        patches = [ItemPatch(item.item_id, item.columns) for item in request.items]
        with name_refusals():
            await asyncio.to_thread(self._live_items.upsert, patches)
        return _send(answer_item_changes(self._recommender, changed=len({item.item_id for item in request.items})))

    @declare_route("/delete_items", ItemsResponse)
    async def delete_items(self, request: DeleteItemsRequest, /) -> Response:
        """Take items out of the catalogue; a later model does not bring them back."""
        check_length(request.item_ids, self._limits.max_batch, at=("item_ids",))
        wanted, rows = dict.fromkeys(request.item_ids), self._recommender.catalogue.rows
        known = [item_id for item_id in wanted if item_id in rows]
        with name_refusals():
            await asyncio.to_thread(self._live_items.delete, known)
        unknown = [item_id for item_id in wanted if item_id not in set(known)]
        return _send(answer_item_changes(self._recommender, changed=len(known), unknown=unknown))

    @declare_route("/feedback", FeedbackResponse)
    async def feedback(self, request: FeedbackRequest, /) -> Response:
        """Take note of what a person did with an item: `shown`, `clicked` or `bought`."""
        self._sink.write_feedback(build_feedback_record(request))
        return _send(FeedbackResponse())

    # Further requests of the playground. A thread answers them, so that no list waits for them.
    @declare_route("/search_items", SearchItemsResponse)
    async def search_items(self, request: SearchItemsRequest, /) -> Response:
        """Find items of the catalogue by words of their title or id."""
        return _send(await asyncio.to_thread(answer_search_items, self._recommender, self._lookups, request))

    @declare_route("/describe_items", DescribeItemsResponse)
    async def describe_items(self, request: DescribeItemsRequest, /) -> Response:
        """Return titles and columns of items."""
        check_length(request.item_ids, self._limits.max_batch, at=("item_ids",))
        return _send(await asyncio.to_thread(answer_describe_items, self._recommender, self._lookups, request))

    @declare_route("/catalogue", CatalogueResponse)
    async def catalogue(self, request: CatalogueRequest, /) -> Response:
        """Say what lists can be filtered by: the columns of the catalogue, with their commonest values."""
        max_k = self._limits.max_k
        return _send(await asyncio.to_thread(answer_catalogue, self._recommender, self._lookups, request, max_k=max_k))

    @declare_route("/explain", ExplainResponse)
    async def explain(self, request: ExplainRequest, /) -> Response:
        """Say which items of a history are nearest to each recommended item, by the cosine of their vectors.

        The user tower reads the history as a whole, so this tells what a recommendation is like, not what caused it.
        """
        check_length(request.history, self._limits.max_history, at=("history",))
        check_length(request.item_ids, self._limits.max_batch, at=("item_ids",))
        return _send(await asyncio.to_thread(answer_explain, self._recommender, request))

    async def _recommend(self, request: RecommendRequest, *, at: Place = ()) -> ServedList:
        served, started = self._deployment.choose_model(request.user_id), perf_counter()
        with name_refusals(at=at):
            found = await self._gathering.recommend(served.recommender, build_query(request))
        return ServedList(served, found, perf_counter() - started)

    def _respond(self, request: RecommendRequest, found: ServedList) -> RecommendResponse:
        """Turn a result into an answer, log it, and let a challenger in the shadow answer too."""
        recommendation_id = str(uuid4())
        answer, record = build_answer(found, request, recommendation_id=recommendation_id)
        self._sink.write_answer(record)
        self._metrics.count(record)

        def answer_shadow(served: ServedModel[Recommender]) -> None:
            self._sink.write_answer(
                build_answer(recommend_one(served, request), request, recommendation_id=recommendation_id)[1]
            )

        self._deployment.answer_in_shadow(request.user_id, answer_shadow)
        return answer


# The decorator turned the class into a BentoML service, which its types do not show.
for middleware in (LoadLimit, KeyGuard, RequestGuard):
    cast("Any", UserTower).add_asgi_middleware(middleware)


def _send(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


def _open_traffic_sink() -> TrafficSink:
    settings = read_traffic_settings(os.environ)
    if settings.folder is None:
        return NoTraffic()
    return TrafficLog(settings.folder, settings, user_key=os.environ.get(TRAFFIC_KEY, ""))


def _tune_collector() -> None:
    # The slowest requests wait for the garbage collector's full passes over the libraries' objects.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
