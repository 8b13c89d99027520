"""The built bento, served in a process of its own and asked over HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bentoml
import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings

from learn.errors import ServingError
from learn.registry.bundle import Bundle, read_bundle
from learn.registry.store import store_bundle
from learn.serving.package import build_bento
from learn.serving.parity import check_parity, compare, rank_offline, request_lists, run_service
from tests.serving.bad_requests import BAD_BODIES, BROKEN_BODIES, any_bytes, content_types
from tests.serving.readable_model import readable_parts
from tests.serving.synthetic_model import ITEM_COUNT, made_up_histories

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NAME = "learn_user_tower"


@pytest.fixture(scope="session")
def client(bento_tag: str) -> Iterator[httpx.Client]:
    with run_service(bento_tag) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


_SERVING = """
import sys, time
from learn.serving.parity import run_service
with run_service(sys.argv[1]) as address:
    print(address, flush=True)
    time.sleep(300)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_a_process_that_is_killed_leaves_no_service_behind(bento_tag: str) -> None:
    with subprocess.Popen([sys.executable, "-c", _SERVING, bento_tag], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert httpx.get(f"{address}/readyz").status_code == httpx.codes.OK
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2, "a supervisor and its worker"
        process.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


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


def test_the_image_copies_the_bento_alone_and_takes_torch_without_cuda(bento_tag: str) -> None:
    bento = bentoml.bentos.get(bento_tag)
    lines = Path(bento.path_of("env/docker/Dockerfile")).read_text().splitlines()
    copied = {line.split()[-2] for line in lines if line.startswith(("COPY", "ADD")) and "--from=" not in line}
    assert {source.strip("./").split("/")[0] for source in copied} <= {"env", "src", "bento", ""}, copied
    backend = next(place for place, line in enumerate(lines) if line.startswith("ARG UV_TORCH_BACKEND=cpu"))
    assert backend < next(place for place, line in enumerate(lines) if "pip install" in line and "requirements" in line)
    assert not any(word in line.lower() for line in lines for word in ("secret", "password", "token", "learn_serving"))
    whole = {file.relative_to(bento.path).parts[0] for file in Path(bento.path).rglob("*") if file.is_file()}
    assert whole <= {"README.md", "apis", "bento.yaml", "env", "src"}


def test_it_answers_what_the_offline_ranking_says(bento_tag: str, bundle_folder: Path) -> None:
    result = check_parity(bento_tag, bundle_folder, users=[*made_up_histories(100), []])
    assert (result.users, result.different) == (101, 0)
    assert result.identical >= 99


def test_a_wrong_expectation_is_found(client: httpx.Client, bundle: Bundle) -> None:
    users = made_up_histories(2)
    served = request_lists(str(client.base_url), users, k=10, model_version=bundle.version)
    result = compare(bundle, users, expected=[["item 0/é"] * 10, rank_offline(bundle, users)[1]], served=served)
    assert (result.identical, result.different) == (1, 1)
    assert len(result.examples[0].served) == 10


def test_a_bento_of_another_bundle_is_found(client: httpx.Client, another_bundle_folder: Path) -> None:
    other = read_bundle(another_bundle_folder).version
    with pytest.raises(ServingError, match="serves bundle"):
        request_lists(str(client.base_url), made_up_histories(1), k=10, model_version=other)


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


def test_it_counts_for_prometheus(client: httpx.Client, bundle: Bundle) -> None:
    client.post("/recommend", json={"history": ["nobody knows it"]}).raise_for_status()
    client.post("/recommend", json={"k": 0})
    found = client.get("/metrics").text
    assert re.search(
        r'request_duration_seconds_bucket\{endpoint="/recommend",http_response_code="200",le="0.0025"', found
    )
    assert 'learn_fallback_lists_total{reason="no_known_item"} 1.0' in found
    counts = {line.split()[0]: float(line.split()[1]) for line in found.splitlines() if line.startswith("learn_")}
    assert counts['learn_lists_total{arm="champion"}'] >= 1
    assert 1 <= counts["learn_unknown_items_total"] <= counts["learn_history_items_total"]
    assert counts[f'learn_model{{arm="champion",model_version="{bundle.version}"}}'] == 1
    assert (counts["learn_model_swaps_total"], counts["learn_traffic_dropped_total"]) == (0, 0)


def test_the_documented_client_works_as_it_stands(tmp_path: Path) -> None:
    """With an encoder, so that the new item of the page can be read."""
    parts = readable_parts(tmp_path / "encoder")
    tag = build_bento(model_tag=store_bundle(parts.write(tmp_path / "bundle"), name="readable"))
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    program = next(block for block in page.split("```python\n")[1:] if "SyncHTTPClient" in block).split("```")[0]
    assert "http://127.0.0.1:3000" in program
    key = "a-key-of-the-tests"
    with run_service(tag, environment={"LEARN_SERVING_KEYS": key}) as address:
        program = program.replace("http://127.0.0.1:3000", address).replace("ONE OF THE KEYS", key)
        shown = program + "\nprint(answer, alike, vectors)"
        command = [sys.executable, "-c", shown]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "item_900" in done.stdout
