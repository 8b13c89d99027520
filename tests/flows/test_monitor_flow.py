"""The monitor through its real command line: bad input, and the exit code that says the verdict."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from learn.config.settings import Settings
from learn.monitoring.profile import write_profile
from learn.registry.bundle import Manifest, read_bundle, write_bundle
from learn.traffic.records import AnswerRecord, FeedbackRecord
from tests.flows.synthetic_tables import write_tables
from tests.flows.workplace import Finished, Workplace
from tests.monitoring.synthetic_traffic import Shop, changed, clicks, make_shop, requests_of, write_log

FLOW = Path(__file__).resolve().parents[2] / "flows" / "monitor_flow.py"
SETTINGS = """
[drift]
sample_rows = 800
sample_vectors = 300
permutations = 2000
[monitoring]
k = 5
webhook = "http://127.0.0.1:9/"
webhook_from = "alarm"
webhook_attempts = 1
"""


def monitor(place: Workplace, *words: str, settings: str = SETTINGS) -> Finished:
    config = place.write("settings.toml", settings)
    done = subprocess.run(
        [sys.executable, str(FLOW), "--no-pylint", "--config", "settings", str(config), "run", *words],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "Name one folder to look at."),
        (("--traffic", "log", "--days", "-1"), "Say one begin of the window."),
        (("--traffic", "log", "--retrain", "on-verdikt"), "There is no `--retrain on-verdikt`."),
        (("--traffic", "log", "--promote", "yes"), "There is no `--promote yes`."),
        (("--traffic", "log", "--retrain", "on-verdict"), "There is no such data folder."),
        (("--traffic", "log", "--bundle", "nowhere/at/all"), "There is no bundle in this folder."),
        (("--traffic", "log"), "Nobody has promoted a `learn_user_tower` yet"),
    ],
)
def test_bad_input_is_one_clear_message(tmp_path: Path, words: tuple[str, ...], what: str) -> None:
    done = monitor(Workplace(tmp_path), *words)
    assert done.code == 1
    assert what in done.said
    assert "Traceback" not in done.said


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def place(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A bundle with its profile in it."""
    folder = tmp_path_factory.mktemp("monitor")
    scorer = shop.model.scorer
    counts = pl.Series(shop.histories.count_popularity())
    bundle = write_bundle(
        folder / "bundle",
        towers=scorer.towers,
        items=shop.items.with_columns(training_interactions=counts, recent_interactions=counts),
        item_inputs=scorer.item_inputs.numpy(),
        item_vectors=scorer.item_vectors.numpy(),
        manifest=Manifest(data_version="v", encoder_fingerprint="e", settings=Settings()),
    )
    read = read_bundle(bundle)
    facts = shop.profile.facts.model_copy(update={"weights_sha256": read.manifest.weights_sha256})
    profile = type(shop.profile)(facts, shop.profile.view, shop.profile.catalogue, shop.profile.popularity)
    write_profile(bundle / "profile", profile)
    return Workplace(folder)


def watched(
    place: Workplace, name: str, *records: AnswerRecord | FeedbackRecord, words: tuple[str, ...] = ()
) -> tuple[Finished, dict[str, object]]:
    version = read_bundle(place.folder / "bundle").version
    written = [
        each.model_copy(update={"model_version": version}) if isinstance(each, AnswerRecord) else each
        for each in records
    ]
    write_log(place.folder / name, *written)
    run_id_file = str(place.folder / "run_id")
    done = monitor(place, "--traffic", name, "--bundle", "bundle", "--run-id-file", run_id_file, *words)
    run_id = (place.folder / "run_id").read_text().strip()
    file = place.folder / "reports" / run_id / "verdict.json"
    return done, json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_exit_code_says_the_verdict_and_an_undelivered_alarm_is_kept(place: Workplace, shop: Shop) -> None:
    answers = requests_of(shop, seed=2)
    done, verdict = watched(place, "same", *answers, *clicks(answers, chance=lambda _: 0.3))
    assert (done.code, verdict["verdict"]) == (0, "ok"), done.said
    assert not list((place.folder / ".learn" / "webhook").glob("*.json"))

    unknown = [each.model_copy(update={"unknown_items": 1}) for each in answers]
    done, verdict = watched(place, "new_items", *unknown)
    assert (done.code, verdict["verdict"], verdict["exit_code"]) == (3, "retrain", 3), done.said

    done, verdict = watched(place, "broken", *changed(answers, fallback="no_known_item"))
    assert (done.code, verdict["verdict"]) == (4, "alarm"), done.said
    assert "1 kept for the next run" in done.out
    (kept,) = (place.folder / ".learn" / "webhook").glob("*.json")
    message = json.loads(kept.read_text(encoding="utf-8"))
    assert message["run_id"] == verdict["run_id"]
    assert "findings" not in message


@pytest.mark.slow
def test_the_verdict_starts_a_training_and_a_failed_one_is_not_tried_again_at_once(
    place: Workplace, shop: Shop
) -> None:
    write_tables(place.folder / "newest", interactions="user_id,item_id,timestamp\n")
    unknown = [each.model_copy(update={"unknown_items": 1}) for each in requests_of(shop, seed=2)]
    words = ("--retrain", "on-verdict", "--data", "newest")
    done, verdict = watched(place, "to_retrain", *unknown, words=words)
    # The exit code is the verdict's, whatever becomes of the training.
    assert (done.code, verdict["verdict"]) == (3, "retrain"), done.said
    assert re.search(r"Retraining: Training run \d+ failed", done.out), done.said
    (state,) = (place.folder / ".learn" / "retraining").rglob("state.json")
    assert json.loads(state.read_text(encoding="utf-8"))["failures"] == 1
    again, _ = watched(place, "to_retrain", *unknown, words=words)
    assert again.code == 3
    assert "Retraining: The last retraining failed; the next one may start from" in again.out
