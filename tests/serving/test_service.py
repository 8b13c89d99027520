"""The real service behind BentoML's own ASGI application, in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from learn.serving.bundle import Bundle
from learn.serving.guard import MAX_BODY_BYTES
from learn.serving.parity import offline_top_k
from learn.serving.registry import store_bundle
from tests.serving.bad_requests import BAD_BODIES, BROKEN_BODIES, any_bytes, bad_bodies, content_types
from tests.serving.made_up_model import ITEM_COUNT, item_id, made_up_histories

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def client(bundle_folder: Path) -> Iterator[TestClient]:
    store_bundle(bundle_folder, name="learn_user_tower")
    from learn.serving import service

    application: Any = service.UserTower
    # Once a session: BentoML registers its counters once a process.
    with TestClient(application.to_asgi(), raise_server_exceptions=False) as client:
        yield client


def recommend(client: TestClient, body: dict[str, object]) -> dict[str, Any]:
    reply = client.post("/recommend", json=body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def test_it_answers_what_the_offline_ranking_says(client: TestClient, bundle: Bundle) -> None:
    histories = made_up_histories(20)
    for history, expected in zip(histories, offline_top_k(bundle, histories), strict=True):
        answer = recommend(client, {"history": history})
        assert [item["item_id"] for item in answer["items"]] == expected
        assert answer["model_version"] == bundle.version
        assert (answer["unknown_items"], answer["fallback"]) == ([], None)


def test_an_item_comes_with_title_score_and_rank(client: TestClient) -> None:
    first = recommend(client, {"history": [item_id(1)], "k": 1})["items"][0]
    assert set(first) == {"item_id", "title", "score", "rank"}
    assert -1 <= first["score"] <= 1
    assert first["rank"] == 1


def test_seen_items_come_back_on_request(client: TestClient) -> None:
    body: dict[str, object] = {"history": [item_id(1)], "k": 1_000}
    assert len(recommend(client, body)["items"]) == ITEM_COUNT - 1
    assert len(recommend(client, {**body, "exclude_seen": False})["items"]) == ITEM_COUNT


def test_users_of_whom_nothing_is_known_get_the_marked_fallback(client: TestClient) -> None:
    empty = recommend(client, {"history": []})
    unknown = recommend(client, {"history": ["🛒", "🛒"]})
    assert (empty["fallback"], unknown["fallback"]) == ("empty_history", "no_known_item")
    assert unknown["unknown_items"] == ["🛒"]
    assert unknown["items"] == empty["items"]
    assert len(empty["items"]) == 10


def test_the_longest_history_is_answered(client: TestClient) -> None:
    history = [item_id(row % ITEM_COUNT) for row in range(10_000)]
    assert recommend(client, {"history": history})["items"] == []
    assert len(recommend(client, {"history": history, "exclude_seen": False})["items"]) == 10


@pytest.mark.parametrize(("field", "body"), BAD_BODIES, ids=[body[:50] for _, body in BAD_BODIES])
def test_bad_input_gets_a_4xx_that_names_the_field(field: str, body: str, client: TestClient) -> None:
    reply = client.post("/recommend", content=body, headers=JSON)
    assert reply.status_code == 400
    assert field in {str(detail["loc"][0]) for detail in reply.json()["detail"]}


@pytest.mark.parametrize("body", BROKEN_BODIES, ids=range(len(BROKEN_BODIES)))
def test_broken_json_gets_a_4xx(body: bytes, client: TestClient) -> None:
    reply = client.post("/recommend", content=body, headers=JSON)
    assert reply.status_code == 400
    assert reply.json()["detail"][0]["msg"]


@settings(max_examples=80, deadline=None)
@given(body=bad_bodies)
def test_any_wrong_body_gets_a_4xx(body: str, client: TestClient) -> None:
    assert client.post("/recommend", content=body, headers=JSON).status_code == 400


@settings(max_examples=60, deadline=None)
@given(body=any_bytes, content_type=content_types)
def test_any_bytes_of_any_type_get_a_4xx(body: bytes, content_type: str, client: TestClient) -> None:
    reply = client.post("/recommend", content=body, headers={"Content-Type": content_type})
    assert 400 <= reply.status_code < 500


@settings(max_examples=40, deadline=None)
@given(history=st.lists(st.text(min_size=1), max_size=5), k=st.integers(1, 1_000), exclude_seen=st.booleans())
def test_any_right_body_is_answered(history: list[str], k: int, exclude_seen: bool, client: TestClient) -> None:
    answer = recommend(client, {"history": history, "k": k, "exclude_seen": exclude_seen})
    assert len(answer["items"]) == min(k, ITEM_COUNT)


def test_a_body_that_is_too_large_gets_a_413(client: TestClient) -> None:
    for size in (MAX_BODY_BYTES + 1, 10 * 2**20):
        reply = client.post("/recommend", content=b" " * size, headers=JSON)
        assert reply.status_code == 413
        assert reply.json()["detail"][0]["loc"] == ["body"]


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/vnd.bentoml+pickle"])
def test_only_json_is_read(kind: str, client: TestClient) -> None:
    reply = client.post("/recommend", content=b'{"history": []}', headers={"Content-Type": kind})
    assert reply.status_code == 415
    assert "application/json" in reply.json()["error"]


def test_other_methods_and_paths_are_refused(client: TestClient) -> None:
    assert client.get("/recommend").status_code == 405
    assert client.post("/nowhere", json={}).status_code == 404


def test_it_says_when_it_is_alive_and_ready(client: TestClient) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_the_openapi_page_shows_fields_and_examples(client: TestClient) -> None:
    described = client.get("/docs.json").json()
    operation = described["paths"]["/recommend"]["post"]
    assert "most popular items" in operation["description"]
    request = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(request["properties"]) == {"history", "k", "exclude_seen"}
    assert all(field["description"] and field["examples"] for field in request["properties"].values())
    assert recommend(client, request["example"])["unknown_items"] == request["example"]["history"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(answer["properties"]) == {"items", "model_version", "unknown_items", "fallback"}
    assert set(answer["example"]) == set(answer["properties"])
    assert described["components"]["schemas"]["ScoredItem"]["properties"]["score"]["description"]


def test_pages_may_load_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy


@pytest.mark.slow
def test_the_service_needs_only_what_the_bento_installs() -> None:
    forbidden = ("metaflow", "great_expectations", "evidently", "dvc", "transformers", "pandas", "sklearn", "flows")
    program = (
        "import json, sys; import learn.serving.service; "
        f"print(json.dumps([name for name in {forbidden!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout.splitlines()[-1]) == []
