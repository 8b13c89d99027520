from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from learn.errors import SettingsError
from learn.serving.middleware import ApiKeys, KeyGuard, LoadLimit

KEY, OTHER = "key-number-one-000", "key-number-two-000"


class Handler:
    """An ASGI application that notes who got through."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Any, _: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(
    app: Any, path: str = "/recommend", *, method: str = "POST", **headers: str
) -> tuple[int, dict[str, str]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await app({"type": "http", "method": method, "path": path, "headers": pairs}, receive, send)
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def status(app: Any, path: str, **headers: str) -> int:
    return asyncio.run(ask(app, path, **headers))[0]


def test_more_than_the_limit_at_a_time_are_told_to_come_back() -> None:
    handler = Handler()
    environment = {"LEARN_OPERATIONS_MAX_REQUESTS": "3", "LEARN_OPERATIONS_RETRY_AFTER_SECONDS": "7"}

    async def rounds() -> list[list[tuple[int, dict[str, str]]]]:
        limit = LoadLimit(handler, environment)
        return [await asyncio.gather(*(ask(limit) for _ in range(10))) for _ in range(2)]

    for answers in asyncio.run(rounds()):
        assert sorted(code for code, _ in answers) == [200] * 3 + [503] * 7
        assert {headers["retry-after"] for code, headers in answers if code == 503} == {"7"}
    assert len(handler.paths) == 6


def test_probes_are_answered_however_much_there_is_to_do() -> None:
    async def crowd() -> list[tuple[int, dict[str, str]]]:
        limit = LoadLimit(Handler(), {"LEARN_OPERATIONS_MAX_REQUESTS": "1"})
        return await asyncio.gather(*(ask(limit, "/livez", method="GET") for _ in range(9)))

    assert {code for code, _ in asyncio.run(crowd())} == {200}


def test_without_keys_changes_are_closed_and_the_rest_is_open() -> None:
    handler = Handler()
    guard = KeyGuard(handler, {})
    assert [status(guard, path) for path in ("/upsert_items", "/delete_items")] == [403, 403]
    assert [status(guard, path) for path in ("/recommend", "/feedback", "/livez")] == [200, 200, 200]
    assert handler.paths == ["/recommend", "/feedback", "/livez"]
    assert status(guard, "/upsert_items", authorization="Bearer ") == 403


@pytest.mark.parametrize(
    ("keys_for", "keyed"),
    [
        ("changes", {"/upsert_items", "/delete_items"}),
        ("feedback", {"/upsert_items", "/delete_items", "/feedback"}),
        ("all", {"/upsert_items", "/delete_items", "/feedback", "/recommend"}),
    ],
)
def test_what_needs_a_key_is_let_in_with_any_right_one(keys_for: str, keyed: set[str]) -> None:
    environment = {"LEARN_SERVING_KEYS": f"{KEY}, {OTHER}", "LEARN_OPERATIONS_KEYS_FOR": keys_for}
    guard = KeyGuard(Handler(), environment)
    for path in ("/upsert_items", "/delete_items", "/feedback", "/recommend"):
        assert status(guard, path, authorization=f"bearer {OTHER}") == 200
        assert status(guard, path, x_api_key=KEY) == 200
        for wrong in ("", KEY[:-1], KEY + "0", f"{KEY}, {OTHER}", "é" * 18):
            assert status(guard, path, authorization=f"Bearer {wrong}") == (401 if path in keyed else 200)


def test_keys_come_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{KEY}\n\n {OTHER} \n")
    keys = ApiKeys.from_environment({"LEARN_SERVING_KEYS_FILE": str(path)})
    assert keys.holds(KEY.encode())
    assert keys.holds(OTHER.encode())
    assert not keys.holds(b"")
    assert KEY not in repr(keys)


def test_wrong_keys_stop_the_start_and_are_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="shorter than 16") as caught:
        ApiKeys.from_environment({"LEARN_SERVING_KEYS": f"{KEY},shorty"})
    assert "shorty" not in str(caught.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        ApiKeys.from_environment({"LEARN_SERVING_KEYS_FILE": str(tmp_path / "nowhere")})
    with pytest.raises(SettingsError, match="no key is set"):
        KeyGuard(Handler(), {"LEARN_OPERATIONS_KEYS_FOR": "all"})
