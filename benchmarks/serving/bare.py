"""The same computation without BentoML: python -m benchmarks.serving.bare BUNDLE PORT."""

from __future__ import annotations

from learn.environment import configure_process

configure_process()

import gc  # noqa: E402  # the libraries read the environment when they are imported
import sys  # noqa: E402  # as above
from pathlib import Path  # noqa: E402  # as above
from time import perf_counter  # noqa: E402  # as above
from uuid import uuid4  # noqa: E402  # as above

import torch  # noqa: E402  # as above
import uvicorn  # noqa: E402  # as above
from starlette.applications import Starlette  # noqa: E402  # as above
from starlette.requests import Request  # noqa: E402  # as above
from starlette.responses import Response  # noqa: E402  # as above
from starlette.routing import Route  # noqa: E402  # as above

from learn.registry import read_bundle  # noqa: E402  # as above
from learn.serving import (  # noqa: E402  # as above
    Recommender,  # as above
    RecommendRequest,  # as above
    RequestBatcher,  # as above
    ServedList,  # as above
    ServedModel,  # as above
    build_answer,
    build_query,
    recommend_one,
)


def build_application(bundle: Path) -> Starlette:
    """Return a server of `/recommend`, `/recommend_alone`, `/empty` and `/readyz`."""
    torch.set_num_threads(1)
    recommender = Recommender(read_bundle(bundle))
    recommender.warm_up()
    served = ServedModel(recommender, recommender.version, "champion")
    gathering = RequestBatcher()

    async def answer_single(request: Request) -> Response:
        asked = RecommendRequest.model_validate_json(await request.body())
        answer, _ = build_answer(recommend_one(served, asked), asked, recommendation_id=str(uuid4()))
        return Response(answer.model_dump_json(), media_type="application/json")

    async def recommend(request: Request) -> Response:
        asked, started = RecommendRequest.model_validate_json(await request.body()), perf_counter()
        found = ServedList(served, await gathering.recommend(recommender, build_query(asked)), perf_counter() - started)
        answer, _ = build_answer(found, asked, recommendation_id=str(uuid4()))
        return Response(answer.model_dump_json(), media_type="application/json")

    async def empty(request: Request) -> Response:
        await request.body()
        return Response(b"{}", media_type="application/json")

    handlers = {"/recommend": recommend, "/recommend_alone": answer_single, "/empty": empty}
    posts = [Route(path, handler, methods=["POST"]) for path, handler in handlers.items()]
    return Starlette(routes=[*posts, Route("/readyz", empty)])


def main() -> None:
    """Serve until the process is ended."""
    app = build_application(Path(sys.argv[1]))
    # As the service does it, so that only the framework makes a difference.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
