"""An object store that stumbles: between the store and a real server is one that refuses, or does not answer."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import boto3
import numpy as np
import pytest
import s3fs

from learn.content.maintenance import check_store
from learn.content.store import ContentStore
from learn.errors import StoreError
from tests.content.test_content_store import PRINT, keys_of, vectors_of

pytestmark = pytest.mark.slow

BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Stumbling(ThreadingHTTPServer):
    """Hands requests on to a server that speaks S3, except for the next few that it was told to spoil."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(behind).netloc
        self.refused = self.silent = self.cut = 0
        self.methods: tuple[str, ...] = ()
        self.over = threading.Event()

    def spoil(self, *methods: str, refused: int = 0, silent: int = 0, cut: int = 0) -> None:
        """Answer "slow down" to so many requests, nothing at all to so many, or half of the answer."""
        self.methods, self.refused, self.silent, self.cut = methods, refused, silent, cut


class _Handler(BaseHTTPRequestHandler):
    server: Stumbling
    protocol_version = "HTTP/1.1"

    def _handed_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        spoilt = self.command in self.server.methods
        if spoilt and self.server.silent > 0:
            self.server.silent -= 1
            self.server.over.wait(60)
            self.close_connection = True
            return
        if spoilt and self.server.refused > 0:
            self.server.refused -= 1
            self._answer(503, {"Content-Type": "application/xml"}, BUSY)
            return
        behind = http.client.HTTPConnection(self.server.behind, timeout=30)
        # The signature is over the host that was asked.
        behind.request(self.command, self.path, body=body, headers=dict(self.headers))
        answer = behind.getresponse()
        data = answer.read()
        if spoilt and self.server.cut > 0:
            self.server.cut -= 1
            self._answer(answer.status, dict(answer.headers), data, sent=len(data) // 2)
            self.close_connection = True
            return
        self._answer(answer.status, dict(answer.headers), data)

    # The names that http.server looks for.
    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handed_on  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date"):
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:sent])

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def between(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stumbling]:
    with Stumbling(endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "tests")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        yield server
        server.over.set()
        server.shutdown()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def store(between: Stumbling, request: pytest.FixtureRequest) -> ContentStore:  # noqa: ARG001 - stands in front
    name = request.node.name.partition("[")[0].replace("_", "-")[:60].strip("-")
    boto3.client("s3").create_bucket(Bucket=name)
    store = ContentStore.create(f"s3://{name}/content", PRINT)
    store.write(keys_of(1, 2), vectors_of(1, 2))
    return store


def fault_of(doing: Callable[[], object], *, within_seconds: float) -> StoreError:
    begun = time.monotonic()
    with pytest.raises(StoreError) as caught:
        doing()
    assert time.monotonic() - begun < within_seconds
    return caught.value


def whole(store: ContentStore, *numbers: int) -> bool:
    """Whether the store holds exactly these, undamaged."""
    (found,) = check_store(store.location.rpartition("/")[0])
    return (
        found.damaged == ()
        and found.vectors == len(numbers)
        and np.array_equal(store.read_vectors(keys_of(*numbers)), vectors_of(*numbers))
    )


def test_a_server_that_is_busy_for_a_moment_is_asked_again(between: Stumbling, store: ContentStore) -> None:
    between.spoil("PUT", "GET", refused=1)
    store.write(keys_of(3), vectors_of(3))
    assert between.refused == 0
    assert whole(store, 1, 2, 3)


def test_a_server_that_stays_busy_is_one_error_and_the_store_is_whole(between: Stumbling, store: ContentStore) -> None:
    between.spoil("PUT", refused=1_000)
    fault = fault_of(lambda: store.write(keys_of(3), vectors_of(3)), within_seconds=60)
    assert "reduce your request rate" in fault.what
    assert "run again" in fault.fix
    between.spoil()
    assert whole(store, 1, 2)
    store.write(keys_of(3), vectors_of(3))
    assert whole(store, 1, 2, 3)


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_server_that_does_not_answer_is_given_up(
    between: Stumbling, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("learn.storage.places._READ_SECONDS", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    boto3.client("s3").create_bucket(Bucket=f"silent-{method.lower()}")
    store = ContentStore.create(f"s3://silent-{method.lower()}/content", PRINT)
    store.write(keys_of(1), vectors_of(1))
    between.spoil(method, silent=1_000)
    doing = (
        (lambda: store.write(keys_of(2), vectors_of(2)))
        if method == "PUT"
        else (lambda: store.read_vectors(keys_of(1)))
    )
    fault = fault_of(doing, within_seconds=40)
    assert "AWS_ENDPOINT_URL" in fault.fix
    between.over.set()
    between.spoil()
    assert whole(store, 1)


def test_half_an_answer_is_never_taken_for_a_vector(between: Stumbling, store: ContentStore) -> None:
    between.spoil("GET", cut=1)
    found = ContentStore.create(store.location.rpartition("/")[0], PRINT).read_vectors(keys_of(1, 2))
    assert np.array_equal(found, vectors_of(1, 2)), "it was not asked again"
    assert between.cut == 0
    between.spoil()
    assert whole(store, 1, 2)
