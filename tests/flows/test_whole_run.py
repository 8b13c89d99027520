"""Whole runs on the bundled sample: what they leave, that they repeat, and that a kill costs nothing."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from learn.errors import ServingError
from learn.model.checkpoint import hash_weights
from learn.serving.parity import run_service
from tests.flows.workplace import Finished, Workplace
from tests.real_data import REAL

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
[content]
shards = 2
[training]
epochs = 4
"""
RETRAINING = f"{SETTINGS}reuse = false\n"
STABLE = {"data_version", "validation", "content", "metrics", "drift", "decision", "bundle", "bento"}
WITH_CARDS = ("validate", "towers", "evaluate", "compare_windows")
REPORTS = {"index.html", "metrics.json", "decision.json", "evaluation.html", "validation.html", "drift.html"}

_READ = """
import json, sys
from metaflow import Run, namespace
from metaflow.cards import get_cards
namespace(None)
run = Run(f"TrainFlow/{sys.argv[1]}")
last = run["end"].task
artifacts = {name: getattr(last.data, name) for name in sys.argv[2].split(",")}
cards = {name: [len(card.get()) for card in get_cards(run[name].task)] for name in sys.argv[3].split(",")}
folders = {"histories": str(last.data.split_summary.folder), "towers": str(last.data.training.folder),
           "content": str(last.data.content_summary.path)}
print(json.dumps({"artifacts": artifacts, "cards": cards, "folders": folders}))
"""


_TRAIN = """
import sys
from learn.environment import configure_process
configure_process()
from pathlib import Path
from learn.config import Settings
from learn.evaluation import train_selected
from learn.model import RunInputs
settings, workspace, histories, content = sys.argv[1:]
chosen = Settings.from_toml(settings).override(workspace=Path(workspace))
trained = train_selected(RunInputs(chosen, Path(histories), Path(histories), Path(content)))
print(trained.reused, trained.weights_sha256)
"""


@dataclass(frozen=True)
class Run:
    """A run that has ended well, and what it gave."""

    place: Workplace
    run_id: str
    out: str
    artifacts: dict[str, Any]
    cards: dict[str, list[int]]
    folders: dict[str, str]

    @property
    def reports(self) -> Path:
        # A resumed run continues in the folder of the run that it resumes.
        return Path(self.artifacts["drift"]["report"]).parent

    @property
    def metrics_bytes(self) -> bytes:
        return (self.reports / "metrics.json").read_bytes()


def ended(place: Workplace, done: Finished) -> Run:
    """Read a run's results as anybody would, by the Metaflow client, as JSON."""
    assert done.code == 0, done.said
    found = re.search(r"Workflow starting \(run-id (\d+)\)", done.out)
    assert found is not None
    command = [sys.executable, "-c", _READ, found[1], ",".join(sorted(STABLE)), ",".join(WITH_CARDS)]
    read = subprocess.run(
        command, cwd=place.folder, env=place.environment, capture_output=True, text=True, check=True, timeout=120
    )
    return Run(place, found[1], done.out, **json.loads(read.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A fresh copy of what the repository holds of the sample: a pointer and a remote, no data."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / ".dvc").mkdir()
    for name in ("data.dvc", ".dvcignore", ".dvc/config"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / "sample_remote", folder / "sample_remote")
    return Workplace(folder)


@pytest.fixture(scope="module")
def first(place: Workplace) -> Run:
    assert not (place.folder / "data").exists()
    return ended(place, place.flow("run", settings=SETTINGS))


@pytest.fixture(scope="module")
def second(first: Run) -> Run:
    return ended(first.place, first.place.flow("run", settings=SETTINGS))


# --- What a run leaves ------------------------------------------------------------------------------------


def test_the_results_have_stable_names_and_plain_values(first: Run) -> None:
    assert set(first.artifacts) == STABLE
    assert first.artifacts["data_version"]["version"].endswith(".dir")
    assert first.artifacts["validation"]["items"]["quarantined"] > 0
    assert first.artifacts["content"]["encoded"] == first.artifacts["validation"]["items"]["valid"] > 900
    assert first.artifacts["metrics"] == json.loads(first.metrics_bytes)
    assert first.artifacts["bento"]["parity_identical"] + first.artifacts["bento"]["parity_tied"] == 100
    assert isinstance(first.artifacts["decision"]["fit"], bool)
    assert first.artifacts["decision"] == json.loads((first.reports / "decision.json").read_text(encoding="utf-8"))
    assert isinstance(first.artifacts["drift"]["drifted"], bool)
    assert re.fullmatch(r"[0-9a-f]{64}", first.artifacts["bundle"]["weights_sha256"])


def test_every_step_worth_looking_at_has_a_card(first: Run) -> None:
    # Only a page with a picture in it is this long.
    assert all(len(sizes) == 1 and sizes[0] > 20_000 for sizes in first.cards.values()), first.cards


class _References(HTMLParser):
    """What a page would load from elsewhere when it is opened."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            # A name in an `xmlns` is no address; an anchor loads nothing until somebody follows it.
            loads = name in {"src", "href", "srcset", "data", "action", "poster"} and tag != "a"
            if loads and re.match(r"\s*(?:https?:)?//", value or ""):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self._in_style and re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", data):
            self.found.append(data[:200])


def test_the_reports_are_whole_and_need_no_network(first: Run) -> None:
    assert first.reports == first.place.folder / "reports" / first.run_id
    assert {path.name for path in first.reports.iterdir()} >= REPORTS
    for name in sorted(REPORTS):
        text = (first.reports / name).read_text(encoding="utf-8")
        if name.endswith(".html"):
            assert text.rstrip().endswith("</html>")
            page = _References()
            page.feed(text)
            assert page.found == []
    index = (first.reports / "index.html").read_text(encoding="utf-8")
    assert all(f'href="{name}"' in index for name in REPORTS - {"index.html"})


def test_the_last_lines_say_what_was_found_and_how_to_serve(first: Run) -> None:
    assert str(first.reports / "index.html") in first.out
    assert first.artifacts["bento"]["command"] in first.out
    assert "bentoml serve learn_user_tower:" in first.artifacts["bento"]["command"]


def test_nothing_half_written_is_left(first: Run) -> None:
    assert not [name for name in first.place.left(".learn") if re.search(r"\.partial|\.tmp|\.unfinished", name)]


def test_the_built_service_answers(first: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", first.place.environment["BENTOML_HOME"])
    history = [json.loads(line)["item_id"] for line in _sample_items(first.place)[20:23]]
    with run_service(first.artifacts["bento"]["bento_tag"]) as address, httpx.Client(base_url=address) as client:
        answer = client.post("/recommend", json={"history": [*history, "unheard-of"], "k": 5})
        assert answer.status_code == 200
        body = answer.json()
        assert [item["rank"] for item in body["items"]] == [1, 2, 3, 4, 5]
        assert not {item["item_id"] for item in body["items"]} & set(history)
        assert all(item["title"] for item in body["items"])
        assert body["model_version"] == first.artifacts["bundle"]["version"]
        assert "unheard-of" in answer.text
        assert len(client.post("/recommend", json={"history": [], "k": 3}).json()["items"]) == 3
        assert 400 <= client.post("/recommend", json={"history": 3}).status_code < 500


def test_a_bento_that_is_not_there_is_one_clear_error(first: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", first.place.environment["BENTOML_HOME"])
    with pytest.raises(ServingError, match="ended before it was ready"), run_service("learn_user_tower:nowhere"):
        pass


# --- That it repeats --------------------------------------------------------------------------------------


def test_a_second_run_encodes_nothing_and_gives_the_same(first: Run, second: Run) -> None:
    assert second.artifacts["content"]["encoded"] == 0
    assert second.artifacts["content"]["reused"] == first.artifacts["content"]["items"]
    assert second.artifacts["data_version"]["version"] == first.artifacts["data_version"]["version"]
    assert second.metrics_bytes == first.metrics_bytes
    assert second.artifacts["bundle"]["weights_sha256"] == first.artifacts["bundle"]["weights_sha256"]


@pytest.fixture(scope="module")
def compared(second: Run) -> Run:
    return ended(second.place, second.place.flow("run", "--production", "latest", settings=SETTINGS))


def test_the_newest_stored_model_is_measured_beside_the_new_one_when_asked_for(first: Run, compared: Run) -> None:
    version = first.artifacts["bundle"]["version"]
    assert f"Production: learn_user_tower:{version} is compared with the new towers." in compared.out
    metrics, alone = compared.artifacts["metrics"], first.artifacts["metrics"]
    assert metrics["production"]["version"] == version
    assert metrics["production"]["caveat"] == ""
    # The same weights are in production, so nothing may differ, and nothing else may be moved by their being there.
    assert metrics["test"]["production"] == metrics["test"]["towers"]
    assert "+0.0000 [+0.0000, +0.0000] against the model in production, version" in compared.out
    for name in alone["test"]:
        assert metrics["test"][name] == alone["test"][name]
        assert metrics["intervals"]["test"][name] == alone["intervals"]["test"][name]
        assert metrics["beyond_accuracy"]["test"][name] == alone["beyond_accuracy"]["test"][name]


def test_training_anew_gives_the_same_weights(first: Run, tmp_path: Path) -> None:
    # In the environment of the run: another number of threads, of torch or of NumPy, sums to other last digits.
    words = (RETRAINING, str(tmp_path), first.folders["histories"], first.folders["content"])
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN, *words],
        cwd=tmp_path,
        env={**first.place.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1_800,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["False", first.artifacts["bundle"]["weights_sha256"]]


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(first: Run) -> None:
    place = first.place
    config = place.write("retraining.toml", RETRAINING)
    with subprocess.Popen(
        place.command("run", config=config),
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            task = re.search(r"/towers/\d+ \(pid (\d+)\)\] Epoch 1/", line)
            if task is not None:
                os.kill(int(task[1]), signal.SIGKILL)
                break
        said = running.stdout.read()
    assert running.returncode != 0
    assert "Epoch 4/4" not in said, "the kill came too late to show anything"
    assert (Path(first.folders["towers"]) / "checkpoint.pt").is_file()
    # Metaflow keeps the settings with the run and takes no others to resume it.
    resumed = ended(place, place.flow("resume"))
    assert re.search(r"Continuing an interrupted training after epoch [123]", resumed.out)
    assert resumed.artifacts["bundle"]["weights_sha256"] == first.artifacts["bundle"]["weights_sha256"]
    assert hash_weights(Path(first.folders["towers"])) == first.artifacts["bundle"]["weights_sha256"]
    assert resumed.metrics_bytes == first.metrics_bytes


# --- Other data -------------------------------------------------------------------------------------------


def _sample_items(place: Workplace) -> list[str]:
    return gzip.decompress((place.folder / "data" / "items.jsonl.gz").read_bytes()).decode().splitlines()


def _change_one_title(place: Workplace) -> None:
    lines = _sample_items(place)
    row = next(row for row in reversed(range(len(lines))) if json.loads(lines[row]).get("title"))
    lines[row] = json.dumps(json.loads(lines[row]) | {"title": "Inflatable lighthouse for garden ponds"})
    path = place.folder / "data" / "items.jsonl.gz"
    path.unlink()  # DVC may have linked it to its cache, which must keep the old bytes
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def _write_newer_traffic(place: Workplace) -> None:
    """The same shop with everybody after the same ten items."""
    newer = place.folder / "newer"
    newer.mkdir()
    lines = _sample_items(place)
    (newer / "items.jsonl").write_text("\n".join(lines), encoding="utf-8")
    items = [json.loads(line)["item_id"] for line in lines[:10]]
    draw = np.random.default_rng(0)
    rows = [f"n{user},{items[draw.integers(10)]},2026-02-{1 + user % 28:02}" for user in range(2_000)]
    (newer / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]), encoding="utf-8")


@pytest.fixture(scope="module")
def changed(second: Run) -> Run:
    """One title is another, and the newer traffic is a folder of its own."""
    place = second.place
    _change_one_title(place)
    _write_newer_traffic(place)
    return ended(place, place.flow("run", "--current", "newer", settings=SETTINGS))


def test_one_changed_title_encodes_one_text(first: Run, changed: Run) -> None:
    assert changed.artifacts["content"]["encoded"] == 1
    assert changed.artifacts["data_version"]["version"] != first.artifacts["data_version"]["version"]


def test_newer_traffic_from_a_second_folder_is_compared(changed: Run) -> None:
    drift = changed.artifacts["drift"]
    assert drift["current_name"] == "folder newer"
    assert drift["current_rows"] == 2_000
    assert drift["drifted"]


def test_an_earlier_version_of_the_data_gives_the_earlier_metrics(first: Run, changed: Run) -> None:
    version = first.artifacts["data_version"]["version"]
    live = (changed.place.folder / "data" / "items.jsonl.gz").read_bytes()
    again = ended(changed.place, changed.place.flow("run", "--data-version", version[:12], settings=SETTINGS))
    assert again.artifacts["data_version"]["version"] == version
    assert again.artifacts["content"]["encoded"] == 0
    assert again.metrics_bytes == first.metrics_bytes != changed.metrics_bytes
    assert (again.place.folder / "data" / "items.jsonl.gz").read_bytes() == live


# --- Real data --------------------------------------------------------------------------------------------


def test_the_floor_on_scientific(tmp_path: Path) -> None:
    data = REAL / "scientific"
    if not data.is_dir():
        pytest.skip("the real data is not on this machine")
    place = Workplace(tmp_path)
    done = place.flow("run", "--data", str(data), "--split", "leave_one_out", seconds=3_600)
    test = ended(place, done).artifacts["metrics"]["test"]
    assert test["towers"]["masked"]["recall@10"] >= 0.120
    assert test["towers"]["masked"]["recall@10"] > test["content_neighbours"]["masked"]["recall@10"] > 0.09
