"""The real service behind BentoML's own ASGI application, in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from learn.registry.bundle import Bundle
from learn.registry.store import store_bundle
from learn.serving.middleware import MAX_BODY_BYTES
from learn.serving.parity import rank_offline
from tests.serving.bad_requests import BAD_BODIES, BROKEN_BODIES, any_bytes, bad_bodies, content_types
from tests.serving.generated_requests import KNOWN, Page
from tests.serving.synthetic_model import ITEM_COUNT, item_id, made_up_histories

ROUTES = [
    "/recommend", "/recommend_batch", "/similar_items", "/embed_user", "/embed_items", "/upsert_items",
    "/delete_items", "/feedback", "/search_items", "/describe_items", "/catalogue", "/explain",
]  # fmt: skip
JSON = {"Content-Type": "application/json"}
KEY = "a-key-of-the-tests"


@pytest.fixture(scope="session")
def client(bundle_folder: Path) -> Iterator[TestClient]:
    store_bundle(bundle_folder, name="learn_user_tower")
    from learn.serving import service

    application: Any = service.UserTower
    headers = {"Authorization": f"Bearer {KEY}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEARN_SERVING_KEYS", KEY)
        patch.setenv("LEARN_DEPLOYMENT_SERVE", "packed")
        # Once a session: BentoML registers its counters once a process.
        with TestClient(application.to_asgi(), raise_server_exceptions=False, headers=headers) as client:
            yield client


def asked(client: TestClient, route: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = client.post(route, json=body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def recommend(client: TestClient, body: dict[str, Any]) -> dict[str, Any]:
    return asked(client, "/recommend", body)


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_it_answers_what_the_offline_ranking_says(client: TestClient, bundle: Bundle) -> None:
    histories = made_up_histories(20)
    for history, expected in zip(histories, rank_offline(bundle, histories), strict=True):
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
    assert {"history", "k", "exclude_seen", "include_only", "diversity", "caps"} <= set(request["properties"])
    assert all(field["description"] and field["examples"] for field in request["properties"].values())
    assert recommend(client, request["example"])["unknown_items"] == request["example"]["history"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    named = {"recommendation_id", "items", "model_version", "arm", "unknown_items", "fallback"}
    assert named == set(answer["properties"])
    assert set(answer["example"]) == set(answer["properties"])
    assert described["components"]["schemas"]["RecommendedItem"]["properties"]["score"]["description"]


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_is_described_with_examples_that_fit(route: str, client: TestClient) -> None:
    described = client.get("/docs.json").json()["paths"][route]["post"]
    request, answer = (
        part["content"]["application/json"]["schema"]
        for part in (described["requestBody"], described["responses"]["200"])
    )
    for schema in (request, answer):
        assert set(schema["example"]) <= set(schema["properties"])
        assert all(field["description"] for field in schema["properties"].values())
    reply = client.post(route, json=request["example"])
    if reply.status_code == 200:
        assert set(reply.json()) == set(answer["properties"])
    else:
        # The synthetic catalogue does not hold the example's item, and the synthetic encoder is nowhere.
        assert (route, reply.status_code) in {("/similar_items", 400), ("/upsert_items", 409)}


def test_filters_reach_the_list(client: TestClient, bundle: Bundle) -> None:
    body = {
        "history": [item_id(3)],
        "k": 300,
        "include_only": {"columns": {"brand": ["brand 1", "brand 2"], "price": {"min": 10, "max": 30}}},
        "exclude": {"item_ids": [item_id(41)], "columns": {"in_stock": [False]}},
    }
    wanted = bundle.items.filter(
        pl.col("brand").is_in(["brand 1", "brand 2"]) & pl.col("price").is_between(10, 30) & pl.col("in_stock")
    )
    assert sorted(ids(recommend(client, body))) == sorted(set(wanted["item_id"]) - {item_id(41)})
    capped = recommend(client, {**body, "caps": [{"column": "brand", "at_most": 3}], "diversity": 0.5})
    assert len(ids(capped)) == 6
    assert recommend(client, {**body, "history": []})["fallback"] == "empty_history"


@pytest.mark.parametrize(
    ("place", "body"),
    [
        (["include_only", "columns", "brnad"], {"include_only": {"columns": {"brnad": ["x"]}}}),
        (["exclude", "columns", "price"], {"exclude": {"columns": {"price": ["cheap"]}}}),
        (["include_only", "columns", "price"], {"include_only": {"columns": {"price": {"min": 3, "max": 1}}}}),
        (["include_only", "columns", "price"], {"include_only": {"columns": {"price": {"least": 3}}}}),
        (["exclude", "colums"], {"exclude": {"colums": {}}}),
        (["caps"], {"caps": [{"column": "{nothing}", "at_most": 1}]}),
        (["caps", 0, "at_most"], {"caps": [{"column": "brand", "at_most": 0}]}),
        (["diversity"], {"diversity": 1.5}),
        (["timestamps"], {"timestamps": [1]}),
        (["timestamps", 1], {"timestamps": [1, "2"]}),
        (["user_id"], {"user_id": 7}),
    ],
)
def test_a_wrong_filter_gets_a_4xx_that_names_the_field(
    place: list[str | int], body: dict[str, Any], client: TestClient
) -> None:
    whole = {"history": [item_id(1), item_id(2)], **body}
    for route, sent, at in (
        ("/recommend", whole, place),
        ("/recommend_batch", {"requests": [{"history": []}, whole]}, ["requests", 1, *place]),
    ):
        reply = client.post(route, json=sent)
        assert reply.status_code == 400
        assert reply.json()["detail"][0]["loc"][: len(at)] == at


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_get_a_4xx(number: str, client: TestClient) -> None:
    for field in (f'"timestamps": [{number}]', f'"diversity": {number}'):
        reply = client.post("/recommend", content=f'{{"history": ["a"], {field}}}', headers=JSON)
        assert reply.status_code == 400


def test_timestamps_put_the_history_in_order(client: TestClient) -> None:
    history = [item_id(row) for row in (5, 9, 200, 31)]
    shuffled = {"history": [history[place] for place in (2, 0, 3, 1)], "timestamps": [30, 1.5, 1e9, 1.5]}
    assert ids(recommend(client, shuffled)) == ids(recommend(client, {"history": history}))


def test_a_batch_answers_as_single_requests_do(client: TestClient) -> None:
    requests = [{"history": history, "k": k} for k, history in enumerate(made_up_histories(5), start=1)]
    answers = asked(client, "/recommend_batch", {"requests": requests})["answers"]
    assert [ids(answer) for answer in answers] == [ids(recommend(client, request)) for request in requests]
    assert len({answer["recommendation_id"] for answer in answers}) == 5


def test_bounds_hold_in_every_route(client: TestClient) -> None:
    for route, body, place in (
        ("/recommend_batch", {"requests": [{"history": []}] * 101}, ["requests"]),
        ("/recommend_batch", {"requests": [{"history": [], "k": 1_001}]}, ["requests", 0, "k"]),
        ("/similar_items", {"item_id": item_id(1), "k": 1_001}, ["k"]),
        ("/embed_user", {"histories": [[]] * 101}, ["histories"]),
        ("/embed_user", {"histories": [[], ["a"] * 10_001]}, ["histories", 1]),
        ("/embed_items", {"item_ids": ["a"] * 101}, ["item_ids"]),
        ("/delete_items", {"item_ids": ["a"] * 101}, ["item_ids"]),
        ("/upsert_items", {"items": [{"item_id": "a", "columns": {"title": "a"}}] * 101}, ["items"]),
    ):
        reply = client.post(route, json=body)
        assert reply.status_code == 400
        assert reply.json()["detail"][0]["loc"] == place


def test_similar_items_need_one_item_of_the_catalogue(client: TestClient) -> None:
    found = asked(client, "/similar_items", {"item_id": item_id(1), "k": 3})
    assert len(found["items"]) == 3
    for body in ({}, {"item_id": "?"}, {"item_id": item_id(1), "text": "both"}):
        reply = client.post("/similar_items", json=body)
        assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (400, ["item_id"])


def test_vectors_score_as_the_service_does(client: TestClient) -> None:
    history = [item_id(4), item_id(77)]
    users = asked(client, "/embed_user", {"histories": [history, ["?"]]})
    items = asked(client, "/embed_items", {"item_ids": [item_id(8), "!"]})
    assert (users["vectors"][1], items["vectors"][1]) == (None, None)
    assert (users["unknown_items"], items["unknown_items"]) == (["?"], ["!"])
    only = {"include_only": {"item_ids": [item_id(8)]}}
    score = recommend(client, {"history": history, **only})["items"][0]["score"]
    assert np.dot(users["vectors"][0], items["vectors"][0]) == pytest.approx(score, abs=1e-5)


def test_items_can_be_changed_and_deleted_while_it_runs(client: TestClient) -> None:
    changed = {"items": [{"item_id": item_id(12), "columns": {"shelf": "new"}}]}
    assert asked(client, "/upsert_items", changed)["changed"] == 1
    only = {"history": [], "include_only": {"columns": {"shelf": ["new"]}}}
    assert ids(recommend(client, only)) == [item_id(12)]
    deleted = asked(client, "/delete_items", {"item_ids": [item_id(12), "?"]})
    assert (deleted["changed"], deleted["unknown_items"], deleted["items"]) == (1, ["?"], ITEM_COUNT - 1)
    assert ids(recommend(client, only)) == []
    asked(client, "/upsert_items", {"items": [{"item_id": item_id(12), "columns": {"shelf": None}}]})
    assert len(recommend(client, {"history": [], "k": 1_000})["items"]) == ITEM_COUNT


def test_a_service_without_the_encoder_says_so(client: TestClient) -> None:
    new = {"items": [{"item_id": "new", "columns": {"title": "A new thing"}}]}
    for route, body in (("/upsert_items", new), ("/similar_items", {"text": "a thing"})):
        reply = client.post(route, json=body)
        assert reply.status_code == 409
        assert "is not the one that read" in reply.text


def test_feedback_is_taken_and_wrong_feedback_refused(client: TestClient) -> None:
    answer = recommend(client, {"history": [item_id(1)], "user_id": "someone"})
    body = {"recommendation_id": answer["recommendation_id"], "item_id": ids(answer)[0], "event": "clicked"}
    assert asked(client, "/feedback", body) == {"accepted": True}
    for field, value in (("event", "stolen"), ("recommendation_id", "me"), ("item_id", ""), ("user_id", "")):
        reply = client.post("/feedback", json={**body, field: value})
        assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (400, [field])


@pytest.fixture
def mended(client: TestClient, bundle: Bundle) -> Iterator[TestClient]:
    """The service, whose items are set right again afterwards."""
    yield client
    rows = bundle.items.drop("training_interactions", "recent_interactions").filter(pl.col("item_id").is_in(KNOWN))
    items = [{"item_id": row.pop("item_id"), "columns": row} for row in rows.iter_rows(named=True)]
    asked(client, "/upsert_items", {"items": items})


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_generated_requests_never_get_a_5xx(data: st.DataObject, mended: TestClient) -> None:
    ask_anything(data, mended)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_five_thousand_generated_requests_never_get_a_5xx(data: st.DataObject, mended: TestClient) -> None:
    ask_anything(data, mended)


def ask_anything(data: st.DataObject, client: TestClient) -> None:
    page = Page(described(client))
    route = data.draw(st.sampled_from(page.routes))
    body = json.dumps(data.draw(page.bodies(route)))
    reply = client.post(route, content=body, headers=JSON)
    assert reply.status_code < 500, (route, body, reply.text)
    if reply.status_code == 400:
        assert reply.json()["detail"][0]["msg"]


@lru_cache
def described(client: TestClient) -> dict[str, Any]:
    page: dict[str, Any] = client.get("/docs.json").json()
    return page


def test_pages_may_load_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy


@pytest.mark.parametrize("header", [{"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}])
def test_changes_need_the_right_key(header: dict[str, str], client: TestClient) -> None:
    for route in ("/upsert_items", "/delete_items"):
        reply = client.post(route, json={"item_ids": ["x"]}, headers=header)
        assert (reply.status_code, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert KEY not in reply.text
    assert client.post("/recommend", json={"history": []}, headers=header).status_code == 200


@pytest.mark.slow
def test_the_service_needs_only_what_the_bento_installs() -> None:
    forbidden = ("metaflow", "great_expectations", "evidently", "dvc", "transformers", "pandas", "sklearn", "flows")
    program = (
        "import json, sys; import learn.serving.service; "
        f"print(json.dumps([name for name in {forbidden!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout.splitlines()[-1]) == []
