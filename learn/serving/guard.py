"""What is checked of a request before its JSON is read, and what every answer tells the browser: policy and time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 8 * 2**20
"""Largest body read: 10,000 ids of 100 characters are 1 MB, so what is larger is a mistake or an attack."""

# A client that is still sending would lose the answer when the connection closes, so some more is read and dropped.
_MAX_DROPPED_BYTES = 8 * MAX_BODY_BYTES

# The browser is told to load this service's files and nothing else: no inline script, nothing from elsewhere.
_CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)


class RequestGuard:
    """ASGI middleware: POST bodies are JSON of a bounded size, and pages load nothing from elsewhere.

    BentoML would read a body of any size, and forms besides JSON; it answers some broken forms with a 500.

    Args:
        app: The application behind it.
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
            await self._post(scope, receive, _with_policy(send))
        else:
            await self._app(scope, receive, _with_policy(send))

    async def _post(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await self._read(receive)
        kind = Headers(scope=dict(scope)).get("content-type", "application/json").split(";")[0].strip().lower()
        if body is None:
            limit = self._max_body_bytes
            refusal = _refusal(413, "body", f"the body may hold at most {limit:,} bytes")
        elif kind != "application/json":
            refusal = _refusal(415, "content-type", "the body must be JSON: send Content-Type: application/json")
        elif not body.strip():
            refusal = _refusal(400, "body", "the body is empty: send a JSON object")
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

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def _with_policy(send: Send) -> Send:
    started = time.perf_counter()

    async def with_policy(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = _CONTENT_POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Server-Timing"] = f"answer;dur={(time.perf_counter() - started) * 1e3:.2f}"
        await send(message)

    return with_policy


def _refusal(status: int, field: str, message: str) -> JSONResponse:
    detail = [{"type": "refused", "loc": [field], "msg": message}]
    return JSONResponse({"error": message, "detail": detail}, status_code=status)
