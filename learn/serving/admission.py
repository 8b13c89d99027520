"""Who is let in: so many requests at a time, and changes only with a key. Both before a body is read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Literal

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from learn.config.environment import API_KEYS, API_KEYS_FILE, operations_settings
from learn.errors import SettingsError
from learn.serving.api_keys import ApiKeys
from learn.serving.guard import App, Message, Receive, Send

_CHANGES = frozenset({"/upsert_items", "/delete_items"})
_WITH_FEEDBACK = _CHANGES | {"/feedback"}
_BEARER = "bearer "


class LoadLimit:
    """ASGI middleware: above so many requests under way, further ones get a 503 at once.

    Without it a queue would grow where more is asked than can be answered, until every answer comes too late.

    Args:
        app: The application behind it.
        environment: Where the settings stand.

    Raises:
        SettingsError: A setting is wrong.
    """

    def __init__(self, app: App, environment: Mapping[str, str] = os.environ) -> None:
        self._app = app
        self._settings = operations_settings(environment)
        self._under_way = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._settings.max_requests:
            wait = str(self._settings.retry_after_seconds)
            text = "the service has as many requests as it can answer in time: ask again later"
            await JSONResponse({"error": text}, 503, {"Retry-After": wait})(dict(scope), receive, send)
            return
        self._under_way += 1
        try:
            # All that came at once are counted before the first is answered, since an answer keeps the loop to itself.
            await asyncio.sleep(0)
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1


class KeyGuard:
    """ASGI middleware: changes need an API key, and so does what else the settings say.

    A key comes as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``. Without any key configured, changes are closed.

    Args:
        app: The application behind it.
        environment: Where settings and keys stand.

    Raises:
        SettingsError: A setting or a key is wrong, or keys are asked for and there is none.
    """

    def __init__(self, app: App, environment: Mapping[str, str] = os.environ) -> None:
        self._app = app
        self._keys = ApiKeys.of(environment)
        self._keyed: Literal["changes", "feedback", "all"] = operations_settings(environment).keys_for
        if self._keyed != "changes" and not self._keys.keys:
            raise SettingsError(
                "Requests are to need an API key, and there is none.",
                where="environment variable LEARN_OPERATIONS_KEYS_FOR",
                fix=f"give keys in {API_KEYS} or {API_KEYS_FILE}",
            )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and self._needs_key(scope):
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(dict(scope), receive, send)
                return
        await self._app(scope, receive, send)

    def _needs_key(self, scope: Message) -> bool:
        if self._keyed == "all":
            return bool(scope["method"] == "POST")
        return scope["path"] in (_CHANGES if self._keyed == "changes" else _WITH_FEEDBACK)

    def _refusal(self, scope: Message) -> JSONResponse | None:
        if not self._keys.keys:
            what = (
                f"this service takes no changes: start it with API keys in {API_KEYS} or {API_KEYS_FILE} to allow them"
            )
            return JSONResponse({"error": what}, 403)
        headers = Headers(scope=dict(scope))
        said = headers.get("authorization", "")
        key = said[len(_BEARER) :] if said.lower().startswith(_BEARER) else headers.get("x-api-key", "")
        # Headers are read as latin-1, whatever bytes they were.
        if self._keys.holds(key.strip().encode("latin-1")):
            return None
        what = "this request needs a right API key: send `Authorization: Bearer KEY`"
        return JSONResponse({"error": what}, 401, {"WWW-Authenticate": "Bearer"})
