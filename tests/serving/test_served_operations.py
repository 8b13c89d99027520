"""The built bento in a process of its own: swapped under load, requested too much, closed, stopped."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from learn.registry.bundle import Bundle
from learn.registry.promotion import promote, promote_challenger
from learn.registry.store import store_bundle
from learn.serving.parity import run_service
from tests.serving.synthetic_model import item_id, made_up_histories

pytestmark = pytest.mark.slow

NAME = "learn_user_tower"
BODY = {"history": [item_id(1), item_id(2)], "k": 3}


def records(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for file in sorted(folder.glob("traffic-*.jsonl")) for line in file.open()]


def test_models_are_swapped_under_load_and_no_request_fails(
    bento_tag: str, bundle: Bundle, another_bundle_folder: Path, tmp_path: Path
) -> None:
    other = store_bundle(another_bundle_folder, name=NAME).partition(":")[2]
    environment = {"LEARN_DEPLOYMENT_SERVE": "champion", "LEARN_TRAFFIC_FOLDER": str(tmp_path)}
    seen: list[tuple[int, str, str]] = []
    done = threading.Event()

    def ask(address: str) -> None:
        with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
            while not done.is_set():
                reply = client.post("/recommend", json={**BODY, "user_id": "anna"})
                answer = reply.json()
                seen.append((reply.status_code, answer["model_version"], answer["arm"]))

    def await_answer(version: str, arm: str) -> None:
        deadline = time.monotonic() + 60
        while (200, version, arm) not in seen[-4:]:
            assert time.monotonic() < deadline, seen[-4:]
            time.sleep(0.05)

    with run_service(bento_tag, environment=environment) as address, ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(ask, address) for _ in range(2)]
        try:
            await_answer(bundle.version, "champion")
            promote(NAME, other, reason="swap", by="test")
            await_answer(other, "champion")
            promote_challenger(NAME, bundle.version, share=1, shadow=False, reason="A/B", by="test")
            await_answer(bundle.version, "challenger")
            promote_challenger(NAME, bundle.version, share=1, shadow=True, reason="shadow", by="test")
            await_answer(other, "champion")
            time.sleep(1)
        finally:
            done.set()
        for job in jobs:
            job.result()
        counted = httpx.get(f"{address}/metrics", trust_env=False).text
    assert {code for code, _, _ in seen} == {200}
    assert "learn_model_swaps_total 3.0" in counted
    kept = records(tmp_path)
    shown = {record["recommendation_id"] for record in kept if record["arm"] != "shadow"}
    shadowed = {record["recommendation_id"] for record in kept if record["arm"] == "shadow"}
    assert len(shown) == len(seen)
    assert shadowed
    assert shadowed < shown


def test_every_answer_is_in_the_log_after_a_normal_stop(bento_tag: str, tmp_path: Path) -> None:
    environment = {"LEARN_TRAFFIC_FOLDER": str(tmp_path), "LEARN_TRAFFIC_FLUSH_SECONDS": "3600"}
    with (
        run_service(bento_tag, environment=environment) as address,
        httpx.Client(base_url=address, timeout=30, trust_env=False) as client,
    ):
        names = [
            client.post("/recommend", json={"history": history}).json()["recommendation_id"]
            for history in made_up_histories(50)
        ]
        said = {"recommendation_id": names[-1], "item_id": item_id(3), "event": "clicked"}
        client.post("/feedback", json=said).raise_for_status()
        assert not records(tmp_path)
    kept = records(tmp_path)
    assert [record["recommendation_id"] for record in kept if record["kind"] == "answer"] == names
    assert [record["item_id"] for record in kept if record["kind"] == "feedback"] == [item_id(3)]


def test_too_much_at_a_time_is_shed_and_the_service_goes_on(bento_tag: str) -> None:
    environment = {"LEARN_OPERATIONS_MAX_REQUESTS": "2", "LEARN_OPERATIONS_LOG_FORMAT": "json"}
    with run_service(bento_tag, environment=environment) as address:
        limits = httpx.Limits(max_connections=None)
        with httpx.Client(base_url=address, timeout=30, trust_env=False, limits=limits) as client:
            body = {"requests": [{**BODY, "k": 100}] * 50}

            def ask(_: int) -> httpx.Response:
                return client.post("/recommend_batch", json=body)

            with ThreadPoolExecutor(24) as pool:
                replies = list(pool.map(ask, range(96)))
            assert client.post("/recommend", json=BODY).status_code == 200
            assert client.get("/readyz").status_code == 200
    codes = Counter(reply.status_code for reply in replies)
    assert set(codes) == {200, 503}
    assert all(reply.headers["Retry-After"] == "1" for reply in replies if reply.status_code == 503)


def test_changes_are_closed_without_a_key_and_open_with_one(bento_tag: str) -> None:
    body = {"item_ids": [item_id(7)]}
    with run_service(bento_tag) as address:
        refused = httpx.post(f"{address}/delete_items", json=body, trust_env=False)
        assert refused.status_code == 403
        assert "LEARN_SERVING_KEYS" in refused.json()["error"]
    key = "a-key-of-the-tests"
    with run_service(bento_tag, environment={"LEARN_SERVING_KEYS": key}) as address:
        assert httpx.post(f"{address}/delete_items", json=body, trust_env=False).status_code == 401
        taken = httpx.post(f"{address}/delete_items", json=body, headers={"X-API-Key": key}, trust_env=False)
        assert taken.json()["changed"] == 1
