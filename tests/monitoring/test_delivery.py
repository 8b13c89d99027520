"""The webhook, against a real server on loopback that fails in every way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from learn.config.monitoring import MonitoringSettings
from learn.errors import SettingsError
from learn.monitoring.delivery import VARIABLE, Delivery, deliver

CUT_OFF = 201


class Receiver(ThreadingHTTPServer):
    """Answers with the given codes in turn, and with 200 when they are used up; 0 hangs, CUT_OFF breaks off."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.codes: list[int] = []
        self.taken: list[dict[str, object]] = []
        self.asked = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=secret"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        code = self.server.codes.pop(0) if self.server.codes else 200
        if code == 0:
            time.sleep(0.6)
            return
        if code in {200, CUT_OFF}:
            assert self.headers["Content-Type"] == "application/json"
            self.server.taken.append(json.loads(body))
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        if code == CUT_OFF:
            self.send_header("Content-Length", "100")
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if code == CUT_OFF:
            self.wfile.write(b"no gzip")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library names it so
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def send(number: int | None, receiver: Receiver, outbox: Path, *, first_pause_seconds: float = 0.01) -> Delivery:
    return deliver(
        None if number is None else {"number": number},
        name=f"{number}",
        outbox=outbox,
        settings=MonitoringSettings(webhook=receiver.address, webhook_timeout_seconds=0.3),
        first_pause_seconds=first_pause_seconds,
    )


@pytest.mark.parametrize(
    "address", ["ftp://example.org/x", "example.org", "file:///etc/passwd", "https://", "http://[a]/"]
)
def test_what_is_no_address_of_the_web_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(SettingsError, match="not an http or https address"):
        deliver({}, name="1", outbox=tmp_path, settings=MonitoringSettings(webhook=address))


def test_without_an_address_nothing_is_written(tmp_path: Path) -> None:
    assert deliver({}, name="1", outbox=tmp_path / "out", settings=MonitoringSettings()).sent == 0
    assert not (tmp_path / "out").exists()


def test_a_message_arrives_and_leaves_the_outbox(receiver: Receiver, tmp_path: Path) -> None:
    assert send(1, receiver, tmp_path).sentence == "Webhook: 1 sent."
    assert receiver.taken == [{"number": 1}]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codes", [[503, 500], [0], [429]], ids=["faults", "hangs", "too many"])
def test_a_passing_fault_is_tried_again(receiver: Receiver, tmp_path: Path, codes: list[int]) -> None:
    receiver.codes = list(codes)
    assert send(1, receiver, tmp_path).kept == 0
    assert receiver.taken == [{"number": 1}]
    assert receiver.asked == len(codes) + 1


def test_each_pause_is_twice_as_long(receiver: Receiver, tmp_path: Path) -> None:
    receiver.codes = [503, 503]
    begun = time.monotonic()
    assert send(1, receiver, tmp_path, first_pause_seconds=0.2).sent == 1
    assert time.monotonic() - begun >= 0.2 + 0.4


def test_what_could_not_be_sent_is_kept_and_sent_first_next_time(receiver: Receiver, tmp_path: Path) -> None:
    receiver.codes = [503] * 3
    found = send(1, receiver, tmp_path)
    assert (found.sent, found.kept) == (0, 1)
    assert "503" in found.sentence
    assert "secret" not in found.sentence
    assert not any("secret" in file.read_text() for file in tmp_path.iterdir())
    assert send(2, receiver, tmp_path) == Delivery(2, 0, "")
    assert receiver.taken == [{"number": 1}, {"number": 2}]


def test_what_waits_is_sent_without_a_new_message(receiver: Receiver, tmp_path: Path) -> None:
    receiver.codes = [503] * 3
    send(1, receiver, tmp_path)
    assert send(None, receiver, tmp_path).sent == 1


def test_a_refused_message_is_kept_not_repeated_and_holds_up_no_other(receiver: Receiver, tmp_path: Path) -> None:
    receiver.codes = [400]
    assert send(1, receiver, tmp_path).kept == 1
    assert receiver.asked == 1
    receiver.codes = [400]
    found = send(2, receiver, tmp_path)
    assert (found.sent, found.kept) == (1, 1)
    assert receiver.taken == [{"number": 2}]


def test_a_redirect_is_not_followed(receiver: Receiver, tmp_path: Path) -> None:
    receiver.codes = [302, 302, 302]
    assert send(1, receiver, tmp_path).kept == 1


def test_what_was_accepted_is_not_sent_again_when_the_answer_breaks_off(receiver: Receiver, tmp_path: Path) -> None:
    receiver.codes = [CUT_OFF]
    assert send(1, receiver, tmp_path) == Delivery(1, 0, "")
    assert receiver.asked == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:secret/", "http://sec..ret/", "http://127.0.0.1:9/secret\udcff"])
def test_an_address_that_cannot_be_used_keeps_the_message_and_is_not_shown(tmp_path: Path, address: str) -> None:
    settings = MonitoringSettings(webhook=address)
    found = deliver({}, name="1", outbox=tmp_path, settings=settings, first_pause_seconds=0.01)
    assert (found.sent, found.kept) == (0, 1)
    assert "sec" not in found.sentence


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "unknown://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_keeps_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    settings = MonitoringSettings(webhook="http://127.0.0.1:9/")
    found = deliver({}, name="1", outbox=tmp_path, settings=settings, first_pause_seconds=0.01)
    assert (found.sent, found.kept) == (0, 1)
    assert "could not be reached" in found.sentence


def test_a_receiver_that_is_down_keeps_the_message(tmp_path: Path) -> None:
    settings = MonitoringSettings(webhook="http://127.0.0.1:9/", webhook_attempts=2)
    found = deliver({}, name="1", outbox=tmp_path, settings=settings, first_pause_seconds=0.01)
    assert (found.sent, found.kept) == (0, 1)
    assert "could not be reached" in found.sentence


def test_the_environment_wins_over_the_settings(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, receiver.address)
    settings = MonitoringSettings(webhook="http://127.0.0.1:9/")
    assert deliver({"number": 1}, name="1", outbox=tmp_path, settings=settings).sent == 1
