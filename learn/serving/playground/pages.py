"""The service's pages: the playground at ``/`` and the API's page at ``/api``, in place of BentoML's own index.

BentoML's page loads a tag manager from elsewhere. These load nothing but the files named here, which are read once at
the start: no path of a request reaches the file system.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import bentoml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_PLAYGROUND, _API = "index.html", "api.html"
_OWN_FILES = (
    _PLAYGROUND,
    _API,
    "style.css",
    "icon.svg",
    "api.css",
    "api_page.js",
    "app.js",
    "asking.js",
    "columns.js",
    "elements.js",
    "filters.js",
    "history.js",
    "items.js",
    "key.js",
    "results.js",
    "search.js",
    "similar.js",
    "state.js",
)
_SWAGGER_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def build_page_app() -> Starlette:
    """Return the application that answers the pages, and nothing else, below the service's root."""
    return Starlette(
        routes=[
            Route("/", _answer_playground),
            Route("/api", _answer_api),
            Route("/playground/{name}", _answer_asset),
            # BentoML would open its own page's files by the request's path; nothing here needs them.
            Route("/static_content/{name:path}", _answer_closed),
        ],
        lifespan=_load_files,
    )


def read_page_files() -> dict[str, bytes]:
    """Read every file that the pages consist of, by name."""
    own = Path(__file__).parent / "page"
    swagger = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"
    return {name: (folder / name).read_bytes() for folder, name in _list_places(own, swagger)}


def _list_places(own: Path, swagger: Path) -> list[tuple[Path, str]]:
    return [*((own, name) for name in _OWN_FILES), *((swagger, name) for name in _SWAGGER_FILES)]


@asynccontextmanager
async def _load_files(app: Starlette) -> AsyncIterator[None]:
    app.state.files = read_page_files()
    yield


async def _answer_playground(request: Request) -> Response:
    return _send_file(request, _PLAYGROUND)


async def _answer_api(request: Request) -> Response:
    return _send_file(request, _API)


async def _answer_asset(request: Request) -> Response:
    return _send_file(request, str(request.path_params["name"]))


async def _answer_closed(_: Request) -> Response:
    raise HTTPException(404)


def _send_file(request: Request, name: str) -> Response:
    files: Mapping[str, bytes] = request.app.state.files
    if name not in files:
        raise HTTPException(404)
    # A new version of the service must not meet an old page in the browser's cache.
    return Response(files[name], media_type=_KINDS[Path(name).suffix], headers={"Cache-Control": "no-cache"})
