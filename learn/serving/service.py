"""The user tower as a BentoML service; ``bentoml serve learn_user_tower:latest`` runs it."""

import gc
import logging
from typing import Any, cast

import bentoml
import torch
from bentoml._internal.utils.analytics import usage_stats

from learn.environment import settle
from learn.errors import BundleError
from learn.serving.bundle import Bundle
from learn.serving.guard import RequestGuard
from learn.serving.messages import RecommendRequest, RecommendResponse, check_limits
from learn.serving.recommender import Recommender
from learn.serving.registry import load_stored

# `bentoml serve` reports to its makers unless told not to, and has remembered an empty environment by now.
settle()
usage_stats.do_not_track.cache_clear()

MODEL_ALIAS = "learn_bundle"
"""What a bento calls the one model packed with it, whatever its name and version."""

_NEWEST = "learn_user_tower:latest"
_REQUEST_SECONDS = 30

logger = logging.getLogger("bentoml.learn")


@bentoml.service(
    name="learn_user_tower",
    description="Recommends items to a user from the history of their item ids.",
    workers=1,
    traffic={"timeout": _REQUEST_SECONDS},
    logging={"access": {"enabled": False}},
    # Open to this machine alone unless --host or BENTOML_HOST says otherwise.
    http={"host": "127.0.0.1"},
)
class UserTower:
    """Recommends items to a user from the history of their item ids."""

    def __init__(self) -> None:
        self._warm = False
        # The products are too small to share among threads, and threads of their own would fight the event loop.
        torch.set_num_threads(1)
        bundle = _load_packed()
        self._limits = bundle.manifest.settings.serving
        self._recommender = Recommender(bundle)
        self._recommender.warm_up()
        _calm_collector()
        self._warm = True
        logger.info("Serving bundle %s: %d items", bundle.version, len(bundle.items))

    async def __is_ready__(self) -> bool:
        return self._warm

    # A coroutine, not a plain function: handing two milliseconds of work to a thread costs more than it saves.
    @bentoml.api(route="/recommend")  # type: ignore[untyped-decorator]  # BentoML's decorators carry no types
    async def recommend(self, request: RecommendRequest, /) -> RecommendResponse:
        """Recommend items to one user, best first.

        A user of whom nothing is known gets the most popular items of the last window, marked by `fallback`.
        A request that is not right gets a 4xx that names the field.
        """
        check_limits(request, self._limits)
        recommendation = self._recommender.recommend(request.history, k=request.k, exclude_seen=request.exclude_seen)
        return RecommendResponse.of(recommendation, model_version=self._recommender.version)


# The decorator has made a BentoML service of the class, which its types do not say.
cast("Any", UserTower).add_asgi_middleware(RequestGuard)


def _load_packed() -> Bundle:
    """Read the bundle packed with the bento; straight from the source tree, the newest in the model store."""
    try:
        return load_stored(MODEL_ALIAS)
    except BundleError as fault:
        if fault.where != MODEL_ALIAS:
            raise
        return load_stored(_NEWEST)


def _calm_collector() -> None:
    # The collector's full passes over the libraries' objects are what the slowest requests wait for.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
