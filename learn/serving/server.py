"""Running a built service for a while, on a free port of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from learn.config.environment import DEPLOYMENT_PREFIX, OPERATIONS_PREFIX, SERVING_PREFIX, TRAFFIC_PREFIX
from learn.data.staging import working_folder
from learn.environment import settle
from learn.errors import ServingError
from learn.serving import tethered

START_SECONDS = 120.0
"""A cold start is some five seconds; a busy machine gets this long."""

_PREFIXES = (DEPLOYMENT_PREFIX, OPERATIONS_PREFIX, SERVING_PREFIX, TRAFFIC_PREFIX)
_HOST = "127.0.0.1"
_STOP_SECONDS = 15
_POLL_SECONDS = 0.1
_SHOWN_LINES = 12


@contextmanager
def running_service(
    bento_tag: str,
    *,
    start_seconds: float = START_SECONDS,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[str]:
    """Serve a bento's own model until the block ends, or the thread that is in it: no kill leaves a service behind.

    What the environment says to services is not for this one: it keeps nothing, follows no alias and asks for no key.

    Args:
        bento_tag: Tag of the bento in BentoML's store.
        start_seconds: Time it has to become ready.
        environment: Variables for it alone; they win over all that is said here.
        log: Where its log is to stay; by default it goes with the service.

    Yields:
        Its address, ``http://127.0.0.1:PORT``.

    Raises:
        ServingError: The service ended or did not become ready in time; the message holds the end of its log.
    """
    settle()
    port = _free_port()
    address = f"http://{_HOST}:{port}"
    # Served from an empty folder, so that only the bento's own code can answer.
    with working_folder(Path(tempfile.gettempdir()), prefix="learn-serve-") as scratch:
        said = log or scratch / "service.log"
        process = _start(bento_tag, port=port, folder=scratch, log=said, extra=environment or {})
        try:
            _await_ready(process, address, log=said, seconds=start_seconds, bento_tag=bento_tag)
            yield address
        finally:
            _stop(process)


def _start(bento_tag: str, *, port: int, folder: Path, log: Path, extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
    serve = [sys.executable, "-m", "bentoml", "serve", bento_tag, "--host", _HOST, "--port", str(port)]
    # A step that is killed leaves no service behind.
    command = [sys.executable, tethered.__file__, str(os.getpid()), *serve]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES)}
    # What a shop's service keeps is not to be read, nor written, by one that is started to be looked at.
    own = {f"{SERVING_PREFIX}STATE": str(folder / "state"), f"{DEPLOYMENT_PREFIX}SERVE": "packed"}
    environment |= {**own, **extra}
    with log.open("wb") as sink:
        # A session of its own: stopping its group then reaches the workers too, and an interrupt of ours does not.
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )


def _await_ready(process: subprocess.Popen[bytes], address: str, *, log: Path, seconds: float, bento_tag: str) -> None:
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=address, timeout=5.0, trust_env=False) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise _not_started("ended before it was ready", log, bento_tag)
            try:
                if client.get("/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(_POLL_SECONDS)
    raise _not_started(f"was not ready within {seconds:g} seconds", log, bento_tag)


def _not_started(what: str, log: Path, bento_tag: str) -> ServingError:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_SHOWN_LINES:]
    return ServingError(
        f"The service {what}. The end of its log:\n" + "\n".join(lines),
        where=bento_tag,
        fix=f"run `bentoml serve {bento_tag} --host {_HOST}` to see all of it",
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
