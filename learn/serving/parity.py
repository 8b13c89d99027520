"""Parity: start the built service, and compare its lists with the offline ranking over HTTP.

Shape legend: B users in a block, n items, d width of the vectors.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import torch
from numpy.typing import NDArray

from learn.config import DEPLOYMENT_PREFIX, OPERATIONS_PREFIX, SERVING_PREFIX, TRAFFIC_PREFIX
from learn.environment import configure_process
from learn.errors import ServingError
from learn.model import pad_histories
from learn.registry import Bundle, read_bundle
from learn.retrieval import select_top_k
from learn.serving import exit_with_parent
from learn.serving.catalogue import count_popularity, order_by_popularity
from learn.storage import open_working_folder

START_SECONDS = 120.0
"""A cold start takes some five seconds; a busy machine gets this much time."""

_PREFIXES = (DEPLOYMENT_PREFIX, OPERATIONS_PREFIX, SERVING_PREFIX, TRAFFIC_PREFIX)
_HOST = "127.0.0.1"
_STOP_SECONDS = 15
_POLL_SECONDS = 0.1
_SHOWN_LINES = 12


@contextmanager
def run_service(
    bento_tag: str,
    *,
    start_seconds: float = START_SECONDS,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[str]:
    """Serve a bento's own model until the block or its thread ends; even a kill leaves no service running.

    It ignores the environment's settings of services: it keeps nothing, follows no alias and requires no key.

    Args:
        bento_tag: Tag of the bento in BentoML's store.
        start_seconds: Time in which it must become ready.
        environment: Additional variables for it, which win over all others.
        log: File for its log; by default it is removed with the service.

    Yields:
        Its address, ``http://127.0.0.1:PORT``.

    Raises:
        ServingError: The service ended or did not become ready in time; the message holds the end of its log.
    """
    configure_process()
    port = _find_free_port()
    address = f"http://{_HOST}:{port}"
    # Served from an empty folder, so that only the bento's own code can answer.
    with open_working_folder(Path(tempfile.gettempdir()), prefix="learn-serve-") as scratch:
        said = log or scratch / "service.log"
        process = _start(bento_tag, port=port, folder=scratch, log=said, extra=environment or {})
        try:
            _await_ready(process, address, log=said, seconds=start_seconds, bento_tag=bento_tag)
            yield address
        finally:
            _stop(process)


def _start(bento_tag: str, *, port: int, folder: Path, log: Path, extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
    serve = [sys.executable, "-m", "bentoml", "serve", bento_tag, "--host", _HOST, "--port", str(port)]
    # A killed step leaves no service running.
    command = [sys.executable, exit_with_parent.__file__, str(os.getpid()), *serve]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES)}
    # A service that is only checked must not read or write the state of a shop's service.
    own = {f"{SERVING_PREFIX}STATE": str(folder / "state"), f"{DEPLOYMENT_PREFIX}SERVE": "packed"}
    environment |= {**own, **extra}
    with log.open("wb") as sink:
        # A separate session: stopping its group then reaches the workers too, but an interrupt of this process does
        # not.
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )


def _await_ready(process: subprocess.Popen[bytes], address: str, *, log: Path, seconds: float, bento_tag: str) -> None:
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=address, timeout=5.0, trust_env=False) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise _explain_failed_start("ended before it was ready", log, bento_tag)
            try:
                if client.get("/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(_POLL_SECONDS)
    raise _explain_failed_start(f"was not ready within {seconds:g} seconds", log, bento_tag)


def _explain_failed_start(what: str, log: Path, bento_tag: str) -> ServingError:
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


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


TIE = 1e-6
"""Scores closer than this are one score: float32 sums differ that much between a batch and a single user."""

_BLOCK_USERS = 64
_SHOWN_EXAMPLES = 3
_REQUEST_SECONDS = 30.0


@dataclass(frozen=True)
class Difference:
    """A user whose served list is not the offline one.

    Attributes:
        history: Item ids, oldest first.
        expected: The offline list.
        served: The served list.
    """

    history: tuple[str, ...]
    expected: tuple[str, ...]
    served: tuple[str, ...]


@dataclass(frozen=True)
class ParityResult:
    """The number of compared users, and the result.

    Attributes:
        users: Number of compared lists.
        identical: Lists with the same items in the same order.
        tied: Lists that differ only in the order of items with the same offline score (within ``TIE``).
        different: All other lists.
        examples: The first of the different ones.
    """

    users: int
    identical: int
    tied: int
    different: int
    examples: tuple[Difference, ...]


def rank_offline(
    bundle: Bundle, histories: Sequence[Sequence[str]], *, k: int = 10, exclude_seen: bool = True
) -> list[list[str]]:
    """Rank the whole catalogue for many users at once, by the towers of a bundle.

    Args:
        bundle: The bundle.
        histories: Item ids of each user, oldest first; unknown ids are ignored.
        k: Length of each list.
        exclude_seen: Leave out the items of the history.
    """
    ids = bundle.item_ids
    ranked: list[list[str]] = []
    for begin in range(0, len(histories), _BLOCK_USERS):
        scores = _score_offline(bundle, histories[begin : begin + _BLOCK_USERS], exclude_seen=exclude_seen)
        ranked.extend([ids[row] for row in select_top_k(scores[user], k)] for user in range(len(scores)))
    return ranked


def check_parity(
    bento_tag: str,
    bundle: Path,
    *,
    users: Sequence[Sequence[str]],
    k: int = 10,
    expected: Sequence[Sequence[str]] | None = None,
) -> ParityResult:
    """Start the built service and compare its answers with the offline ranking.

    Args:
        bento_tag: Tag of the bento in BentoML's store.
        bundle: Folder of the bundle it was built from.
        users: Histories of item ids, oldest first.
        k: Compared items of each list.
        expected: The offline lists; computed from the bundle if not given.

    Raises:
        BundleError: The bundle is damaged.
        ServingError: The service does not start, answers with an error, or serves another bundle.
    """
    offline = read_bundle(bundle)
    lists = rank_offline(offline, users, k=k) if expected is None else expected
    with run_service(bento_tag) as address:
        served = request_lists(address, users, k=k, model_version=offline.version)
    return compare(offline, users, expected=lists, served=served)


def request_lists(address: str, histories: Sequence[Sequence[str]], *, k: int, model_version: str) -> list[list[str]]:
    """Request the list of each history from a running service.

    Raises:
        ServingError: It answers with an error, or serves another bundle.
    """
    served: list[list[str]] = []
    with httpx.Client(base_url=address, timeout=_REQUEST_SECONDS, trust_env=False) as client:
        for history in histories:
            try:
                reply = client.post("/recommend", json={"history": list(history), "k": k})
            except httpx.TransportError as fault:
                raise ServingError(
                    f"The connection to the service broke: {fault}.", where=address, fix="see the service's log"
                ) from fault
            if reply.status_code != httpx.codes.OK:
                raise ServingError(
                    f"The service answered {reply.status_code}: {reply.text[:500]}",
                    where=address,
                    fix="see the service's log",
                )
            answer = reply.json()
            if answer["model_version"] != model_version:
                raise ServingError(
                    f"The service serves bundle {answer['model_version']}, not {model_version}.",
                    where=address,
                    fix="build the bento from this bundle",
                )
            served.append([item["item_id"] for item in answer["items"]])
    return served


def compare(
    bundle: Bundle,
    histories: Sequence[Sequence[str]],
    *,
    expected: Sequence[Sequence[str]],
    served: Sequence[Sequence[str]],
) -> ParityResult:
    """Compare served lists with offline ones, user by user."""
    identical = tied = 0
    different: list[Difference] = []
    for history, wanted, got in zip(histories, expected, served, strict=True):
        if list(wanted) == list(got):
            identical += 1
        elif _has_only_tied_differences(bundle, history, wanted, got):
            tied += 1
        else:
            different.append(Difference(tuple(history), tuple(wanted), tuple(got)))
    return ParityResult(len(histories), identical, tied, len(different), tuple(different[:_SHOWN_EXAMPLES]))


def _has_only_tied_differences(
    bundle: Bundle, history: Sequence[str], expected: Sequence[str], served: Sequence[str]
) -> bool:
    if len(expected) != len(served) or len(set(served)) != len(served):
        return False
    score_of = dict(zip(bundle.item_ids, _score_offline(bundle, [history], exclude_seen=True)[0].tolist(), strict=True))
    return all(
        wanted == got or abs(score_of[wanted] - score_of.get(got, -np.inf)) < TIE
        for wanted, got in zip(expected, served, strict=True)
    )


@torch.inference_mode()
def _score_offline(bundle: Bundle, histories: Sequence[Sequence[str]], *, exclude_seen: bool) -> NDArray[np.float32]:
    row_of = {item_id: row for row, item_id in enumerate(bundle.item_ids)}
    known = [[row_of[item_id] for item_id in history if item_id in row_of] for history in histories]
    flat = np.array([row for rows in known for row in rows], dtype=np.int32)
    lengths = np.array([len(rows) for rows in known], dtype=np.int64)
    stops = np.cumsum(lengths)
    padded, kept = pad_histories(
        flat if len(flat) else np.zeros(1, np.int32),
        stops - lengths,
        stops,
        max_length=bundle.towers.settings.max_history,
    )
    inputs = torch.tensor(bundle.item_inputs)[torch.from_numpy(padded)]  # (B, T, w)
    users = bundle.towers.encode_users(inputs, torch.from_numpy(kept).clamp_min(1))  # (B, d)
    scores: NDArray[np.float32] = (users @ torch.tensor(bundle.item_vectors).T).numpy()  # (B, n)
    places = np.empty(len(bundle.items), dtype=np.float32)
    recent, training = count_popularity(bundle.items)
    places[order_by_popularity(recent=recent, training=training)] = -np.arange(len(places))
    for user, rows in enumerate(known):
        if not rows:
            scores[user] = places
        elif exclude_seen:
            scores[user, rows] = -np.inf
    return scores
