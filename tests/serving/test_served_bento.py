"""The built bento, served in a process of its own and asked over HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bentoml
import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from learn.errors import ServingError
from learn.serving.bundle import Bundle, read_bundle
from learn.serving.package import build_bento
from learn.serving.parity import check_parity, compare, offline_top_k, served_top_k
from learn.serving.registry import store_bundle
from learn.serving.server import running_service
from tests.serving.bad_requests import BAD_BODIES, BROKEN_BODIES, any_bytes, content_types
from tests.serving.made_up_model import ITEM_COUNT, made_up_histories
from tests.serving.readable_model import readable_parts

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NAME = "learn_user_tower"


@pytest.fixture(scope="session")
def bento_tag(bundle_folder: Path) -> str:
    return build_bento(ROOT, model_tag=store_bundle(bundle_folder, name=NAME))


@pytest.fixture(scope="session")
def client(bento_tag: str) -> Iterator[httpx.Client]:
    with running_service(bento_tag) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def test_the_bento_holds_the_service_and_nothing_else(bento_tag: str, bundle: Bundle) -> None:
    bento = bentoml.bentos.get(bento_tag)
    assert bento.tag.name == NAME
    assert bento.info.all_models[0].tag.version == bundle.version
    source = Path(bento.path_of("src"))
    assert {file.name for file in source.iterdir()} == {"bentofile.yaml", "learn"}
    kinds = {file.suffix for file in source.rglob("*") if file.is_file()}
    assert kinds <= {".py", ".typed", ".jinja", ".yaml", ".html", ".css", ".js", ".svg"}
    needed = Path(bento.path_of("env/python/requirements.txt")).read_text()
    assert "torch" in needed
    assert not any(name in needed for name in ("metaflow", "evidently", "dvc", "nvidia"))


def test_it_answers_what_the_offline_ranking_says(bento_tag: str, bundle_folder: Path) -> None:
    result = check_parity(bento_tag, bundle_folder, users=[*made_up_histories(100), []])
    assert (result.users, result.different) == (101, 0)
    assert result.identical >= 99


def test_a_wrong_expectation_is_found(client: httpx.Client, bundle: Bundle) -> None:
    users = made_up_histories(2)
    served = served_top_k(str(client.base_url), users, k=10, model_version=bundle.version)
    result = compare(bundle, users, expected=[["item 0/é"] * 10, offline_top_k(bundle, users)[1]], served=served)
    assert (result.identical, result.different) == (1, 1)
    assert len(result.examples[0].served) == 10


def test_a_bento_of_another_bundle_is_found(client: httpx.Client, another_bundle_folder: Path) -> None:
    other = read_bundle(another_bundle_folder).version
    with pytest.raises(ServingError, match="serves bundle"):
        served_top_k(str(client.base_url), made_up_histories(1), k=10, model_version=other)


def test_bad_requests_get_a_4xx_over_http(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (*(body.encode() for _, body in BAD_BODIES), *BROKEN_BODIES, b" " * 10 * 2**20):
        assert 400 <= client.post("/recommend", content=body, headers=headers).status_code < 500


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=any_bytes, content_type=content_types)
def test_generated_requests_get_a_4xx_over_http(body: bytes, content_type: str, client: httpx.Client) -> None:
    reply = client.post("/recommend", content=body, headers={"Content-Type": content_type})
    assert 400 <= reply.status_code < 500


def test_bentomls_own_client_can_ask(client: httpx.Client) -> None:
    with bentoml.SyncHTTPClient(str(client.base_url)) as asked:
        answer = asked.recommend({"history": made_up_histories(1)[0], "k": ITEM_COUNT + 1})
    assert answer["items"][0]["rank"] == 1


def test_it_counts_for_prometheus(client: httpx.Client) -> None:
    assert "bentoml_service_request" in client.get("/metrics").text


def test_the_documented_client_works_as_it_stands(tmp_path: Path) -> None:
    """With an encoder, so that the new item of the page can be read."""
    parts = readable_parts(tmp_path / "encoder")
    tag = build_bento(ROOT, model_tag=store_bundle(parts.write(tmp_path / "bundle"), name="readable"))
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    program = next(block for block in page.split("```python\n")[1:] if "SyncHTTPClient" in block).split("```")[0]
    assert "http://127.0.0.1:3000" in program
    with running_service(tag) as address:
        shown = program.replace("http://127.0.0.1:3000", address) + "\nprint(answer, alike, vectors)"
        command = [sys.executable, "-c", shown]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "item_900" in done.stdout
