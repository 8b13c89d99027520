"""The parts that put load on the served bento: latency next to the bare server, swaps, parity, bad requests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.harness.provenance import ROOT
from benchmarks.serving.load import Wrk, parse_load
from benchmarks.serving.model import ITEMS, NAME, ServedModels, draw_histories, name_item
from benchmarks.serving.results import BadRequests, Latency, LoadRow, Parity, Swaps
from learn.errors import ServingError
from learn.registry import promote, read_bundle
from learn.serving import Query, Recommender, check_parity, run_service
from tests.serving.bad_requests import bad_bodies
from tests.serving.generated_requests import Page

CONNECTIONS = (1, 8, 32)
_BATCHES = (8, 32)
_ASKED, _SWAP_SECONDS, _READY_SECONDS = 1_000, 20.0, 120.0
_KEY = "a-key-of-the-benchmark"


def measure_latency(models: ServedModels, wrk: Wrk, *, seconds: float) -> Latency:
    """Put the same load on the service, on the bare server, and on handlers that do nothing."""
    lists = [{"history": history, "k": 10} for history in draw_histories(_ASKED)]
    said = {"recommendation_id": "5f2c8a52-6f0e-4f6e-9a0b-0c1d3a0d7f11", "item_id": name_item(1), "event": "shown"}
    rows = []
    with run_service(models.bento_tag) as service, _run_bare_server(models.folders[0]) as bare:
        servers: dict[str, tuple[str, Sequence[object]]] = {
            "service": (f"{service}/recommend", lists),
            "bare": (f"{bare}/recommend", lists),
            "bare, one by one": (f"{bare}/recommend_alone", lists),
            "service, nothing to do": (f"{service}/feedback", [said]),
            "bare, nothing to do": (f"{bare}/empty", [said]),
        }
        for connections in CONNECTIONS:
            for name, (address, bodies) in servers.items():
                wrk.run(address, bodies, connections=connections, seconds=1)
                found = wrk.run(address, bodies, connections=connections, seconds=seconds)
                rows.append(
                    LoadRow(
                        server=name,
                        connections=connections,
                        requests_per_second=found.requests / found.seconds,
                        p50_milliseconds=found.p50,
                        p95_milliseconds=found.p95,
                        p99_milliseconds=found.p99,
                        failed=found.failed,
                    )
                )
                print(rows[-1], flush=True)
    return Latency(items=ITEMS, seconds=seconds, rows=rows, milliseconds_per_list=_measure_batched(models))


def measure_swaps(models: ServedModels, wrk: Wrk, *, minutes: float) -> Swaps:
    """Swap the models to and fro while lists are requested."""
    lists = [{"history": history, "k": 10} for history in draw_histories(_ASKED)]
    rounds = max(2, round(minutes * 60 / _SWAP_SECONDS))
    memory, slowest = [], 0.0
    promote(NAME, models.versions[0], reason="benchmark", by="benchmark")
    with run_service(models.bento_tag, environment={"LEARN_DEPLOYMENT_SERVE": "champion"}) as address:
        worker = _find_worker(address)
        load = wrk.start(f"{address}/recommend", lists, connections=8, seconds=(rounds + 1) * _SWAP_SECONDS)
        for turn in range(rounds):
            time.sleep(_SWAP_SECONDS - min(slowest, _SWAP_SECONDS / 2))
            memory.append(worker.memory_info().rss)
            slowest = max(slowest, _swap(address, models.versions[(turn + 1) % 2]))
            print(f"swap {turn + 1} of {rounds}: {memory[-1] / 2**20:.0f} MB", flush=True)
        found = parse_load(load)
    return Swaps(
        minutes=minutes,
        swaps=rounds,
        requests=found.requests,
        failed=found.failed,
        slowest_swap_seconds=slowest,
        p99_milliseconds=found.p99,
        memory_bytes=memory,
    )


def measure_parity(models: ServedModels, *, users: int) -> Parity:
    """Compare served lists with the offline ranking, nothing filtered."""
    found = check_parity(models.bento_tag, models.folders[0], users=draw_histories(users))
    return Parity(users=found.users, identical=found.identical, tied=found.tied, different=found.different)


def measure_bad_requests(models: ServedModels, *, wanted: int) -> BadRequests:
    """Send generated bodies, right and wrong, to every route until so many were refused."""
    codes: list[int] = []
    with (
        run_service(models.bento_tag, environment={"LEARN_SERVING_KEYS": _KEY}) as address,
        httpx.Client(base_url=address, timeout=30, trust_env=False, headers={"X-API-Key": _KEY}) as client,
    ):
        page = Page(client.get("/docs.json").json())
        bodies = st.one_of(
            [st.tuples(st.just(route), page.bodies(route).map(json.dumps)) for route in page.routes]
        ) | bad_bodies.map(lambda body: ("/recommend", body))

        def send(asked: tuple[str, str]) -> None:
            route, body = asked
            reply = client.post(route, content=body, headers={"Content-Type": "application/json"})
            codes.append(reply.status_code)

        run = settings(
            max_examples=max(100, wanted // 4),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(given(bodies)(send))
        draw = 0
        while sum(400 <= code < 500 for code in codes) < wanted:
            seed(draw)(run)()
            draw += 1
            print(f"{len(codes)} generated requests sent", flush=True)
    return BadRequests(
        sent=len(codes),
        answered_4xx=sum(400 <= code < 500 for code in codes),
        answered_5xx=sum(code >= 500 for code in codes),
    )


def _measure_batched(models: ServedModels) -> dict[int, float]:
    """Return the model's milliseconds for a list by itself, and with others."""
    recommender = Recommender(read_bundle(models.folders[0]))
    recommender.warm_up()
    asked = [Query(history, 10) for history in draw_histories(max(_BATCHES) * 8)]

    def call_once() -> None:
        for wanted in asked:
            recommender.recommend(wanted.history, k=wanted.k)

    def together(size: int) -> None:
        for begin in range(0, len(asked), size):
            recommender.recommend_together(asked[begin : begin + size])

    spent = {1: _time_call(call_once)} | {size: _time_call(partial(together, size)) for size in _BATCHES}
    return {size: 1e3 * seconds / len(asked) for size, seconds in spent.items()}


def _time_call(work: Callable[[], None]) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _swap(address: str, version: str) -> float:
    started = time.perf_counter()
    promote(NAME, version, reason="benchmark", by="benchmark")
    while httpx.post(f"{address}/recommend", json={"history": []}, timeout=30).json()["model_version"] != version:
        time.sleep(0.05)
    return time.perf_counter() - started


def _find_worker(address: str) -> psutil.Process:
    """Return the process that answers: of those that this one has started, the largest."""
    started = psutil.Process().children(recursive=True)
    if not started:
        raise ServingError("The service's processes are gone.", where=address, fix="see its log")
    return max(started, key=lambda process: process.memory_info().rss)


@contextmanager
def _run_bare_server(bundle: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "benchmarks.serving.bare", str(bundle), str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ))
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                httpx.get(f"{address}/readyz", trust_env=False)
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ServingError("The bare server does not start.", fix="see its words above") from None
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()
