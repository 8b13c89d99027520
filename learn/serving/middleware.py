"""Checks before a request's JSON is read (keys, load limit, size, type), and the policy headers of every
answer.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from learn.config import API_KEYS, API_KEYS_FILE, read_operations_settings
from learn.errors import SettingsError

# Too long to guess: 16 letters and digits are some 80 bits.
_SHORTEST = 16


@dataclass(frozen=True)
class ApiKeys:
    """The keys of one service; they are never shown, in errors, logs or by ``repr``.

    Attributes:
        keys: As bytes.
    """

    keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ApiKeys:
        """Read the keys of the environment, and of the file that it names.

        Raises:
            SettingsError: The file cannot be read, or a key is too short.
        """
        given = environment.get(API_KEYS, "").split(",")
        path = environment.get(API_KEYS_FILE)
        if path:
            try:
                given += Path(path).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeError) as fault:
                raise SettingsError(
                    "The file of the API keys cannot be read.",
                    where=f"environment variable {API_KEYS_FILE}, {path}",
                    fix="give a text file with one key per line that the service may read",
                ) from fault
        keys = [key.strip() for key in given if key.strip()]
        if any(len(key) < _SHORTEST for key in keys):
            raise SettingsError(
                f"An API key is shorter than {_SHORTEST} characters.",
                where=f"environment variables {API_KEYS} and {API_KEYS_FILE}",
                fix='make one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`',
            )
        return cls(tuple(key.encode() for key in keys))

    def holds(self, key: bytes) -> bool:
        """Return whether a key is one of them, in a time that does not depend on where they differ."""
        found = False
        for each in self.keys:
            found |= hmac.compare_digest(each, key)
        return found


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 8 * 2**20
"""Largest body read: 10,000 ids of 100 characters are 1 MB, so what is larger is a mistake or an attack."""

# A client that is still sending would lose the answer when the connection closes, so some more is read and dropped.
_MAX_DROPPED_BYTES = 8 * MAX_BODY_BYTES

# The browser may load only this service's files: no inline script, nothing from elsewhere.
_CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)


class RequestGuard:
    """ASGI middleware: POST bodies are JSON of a bounded size, and pages load nothing from elsewhere.

    BentoML would read a body of any size, and forms besides JSON; it answers some broken forms with a 500.

    Args:
        app: The next application.
        max_body_bytes: Larger bodies get a 413.
    """

    def __init__(self, app: App, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "POST":
            await self._post(scope, receive, _add_policy(send))
        else:
            await self._app(scope, receive, _add_policy(send))

    async def _post(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await self._read(receive)
        kind = Headers(scope=dict(scope)).get("content-type", "application/json").split(";")[0].strip().lower()
        if body is None:
            limit = self._max_body_bytes
            refusal = _build_refusal(413, "body", f"the body may hold at most {limit:,} bytes")
        elif kind != "application/json":
            refusal = _build_refusal(415, "content-type", "the body must be JSON: send Content-Type: application/json")
        elif not body.strip():
            refusal = _build_refusal(400, "body", "the body is empty: send a JSON object")
        else:
            await self._app(scope, _replay(body, receive), send)
            return
        await refusal(dict(scope), receive, send)

    async def _read(self, receive: Receive) -> bytes | None:
        chunks: list[bytes] = []
        size = 0
        while size <= _MAX_DROPPED_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= self._max_body_bytes:
                chunks.append(chunk)
            else:
                chunks.clear()
            if not message.get("more_body", False):
                break
        return b"".join(chunks) if size <= self._max_body_bytes else None


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


def _add_policy(send: Send) -> Send:
    started = time.perf_counter()

    async def send_with_policy(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = _CONTENT_POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Server-Timing"] = f"answer;dur={(time.perf_counter() - started) * 1e3:.2f}"
        await send(message)

    return send_with_policy


def _build_refusal(status: int, field: str, message: str) -> JSONResponse:
    detail = [{"type": "refused", "loc": [field], "msg": message}]
    return JSONResponse({"error": message, "detail": detail}, status_code=status)


_CHANGES = frozenset({"/upsert_items", "/delete_items"})
_WITH_FEEDBACK = _CHANGES | {"/feedback"}
_BEARER = "bearer "


class LoadLimit:
    """ASGI middleware: above a number of open requests, further ones get a 503 at once.

    Without it a queue would grow under overload until every answer comes too late.

    Args:
        app: The next application.
        environment: Environment variables with the settings.

    Raises:
        SettingsError: A setting is wrong.
    """

    def __init__(self, app: App, environment: Mapping[str, str] = os.environ) -> None:
        self._app = app
        self._settings = read_operations_settings(environment)
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
            # All requests that came together are counted before the first is answered, because an answer blocks the
            # loop.
            await asyncio.sleep(0)
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1


class KeyGuard:
    """ASGI middleware: changes need an API key, and so do other requests by the settings.

    A key comes as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``. Without any key configured, changes are closed.

    Args:
        app: The next application.
        environment: Environment variables with the settings and keys.

    Raises:
        SettingsError: A setting or a key is wrong, or keys are required and there is none.
    """

    def __init__(self, app: App, environment: Mapping[str, str] = os.environ) -> None:
        self._app = app
        self._keys = ApiKeys.from_environment(environment)
        self._keyed: Literal["changes", "feedback", "all"] = read_operations_settings(environment).keys_for
        if self._keyed != "changes" and not self._keys.keys:
            raise SettingsError(
                "The settings require an API key for requests, but no key is set.",
                where="environment variable LEARN_OPERATIONS_KEYS_FOR",
                fix=f"give keys in {API_KEYS} or {API_KEYS_FILE}",
            )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and self._needs_key(scope):
            refusal = self._refuse(scope)
            if refusal is not None:
                await refusal(dict(scope), receive, send)
                return
        await self._app(scope, receive, send)

    def _needs_key(self, scope: Message) -> bool:
        if self._keyed == "all":
            return bool(scope["method"] == "POST")
        return scope["path"] in (_CHANGES if self._keyed == "changes" else _WITH_FEEDBACK)

    def _refuse(self, scope: Message) -> JSONResponse | None:
        if not self._keys.keys:
            what = (
                f"this service takes no changes: start it with API keys in {API_KEYS} or {API_KEYS_FILE} to allow them"
            )
            return JSONResponse({"error": what}, 403)
        headers = Headers(scope=dict(scope))
        said = headers.get("authorization", "")
        key = said[len(_BEARER) :] if said.lower().startswith(_BEARER) else headers.get("x-api-key", "")
        # Headers are read as latin-1, whatever their bytes are.
        if self._keys.holds(key.strip().encode("latin-1")):
            return None
        what = "this request needs a valid API key: send `Authorization: Bearer KEY`"
        return JSONResponse({"error": what}, 401, {"WWW-Authenticate": "Bearer"})
