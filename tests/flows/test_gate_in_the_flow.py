"""The loop in whole runs: a first champion, a successor, a broken challenger that is refused, the way back, again."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flows.synthetic_chain import SETTINGS, write_chain
from tests.flows.synthetic_tables import write_tables
from tests.flows.test_bad_input import assert_no_trace, assert_stopped
from tests.flows.workplace import Finished, Workplace


@dataclass(frozen=True)
class Ran:
    """A run that has ended well."""

    out: str
    run_id: str
    version: str
    decision: dict[str, Any]

    def rules(self, *, passed: bool) -> set[str]:
        return {rule["name"] for rule in self.decision["rules"] if rule["passed"] is passed}


def learn(place: Workplace, *words: str) -> Finished:
    done = subprocess.run(
        [sys.executable, "-m", "learn.cli", "models", *words],
        cwd=place.folder,
        env=place.environment | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def trained(place: Workplace, data: str, *words: str) -> Ran:
    file = place.folder / "run_id"
    words = ("run", "--data", data, "--promote", "if-better", "--run-id-file", str(file), *words)
    done = place.flow(*words, settings=SETTINGS, seconds=1_800)
    assert done.code == 0, done.said
    run_id = file.read_text(encoding="utf-8").strip()
    decision = json.loads((place.folder / "reports" / run_id / "decision.json").read_text(encoding="utf-8"))
    (version,) = [row["version"] for row in models(place) if row["run_id"] == run_id]
    return Ran(done.out, run_id, version, decision)


def models(place: Workplace) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(learn(place, "list", "--json").out)
    return listed


def champion(place: Workplace) -> str:
    (version,) = [row["version"] for row in models(place) if row["alias"] == "champion"]
    return str(version)


def test_a_wrong_word_for_promote_stops_before_any_work(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    write_tables(place.folder / "data")
    done = place.flow("run", "--promote", "if-beter")
    assert_stopped(
        done,
        headline="The settings are wrong",
        what="There is no `--promote if-beter`.",
        where="Where: command line",
        fix="give one of never, if-better, always; did you mean `if-better`?",
    )
    assert_no_trace(place)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    place = Workplace(tmp_path_factory.mktemp("gate"))
    write_chain(place.folder / "data")
    write_chain(place.folder / "broken", shuffled=True)
    return place


@pytest.fixture(scope="module")
def first(place: Workplace) -> Ran:
    return trained(place, "data")


@pytest.mark.slow
def test_the_gate_promotes_a_first_model_and_one_as_good_refuses_a_broken_one_and_goes_back(
    place: Workplace, first: Ran
) -> None:
    assert first.decision["fit"], first.decision["reasons"]
    assert first.decision["champion"] is None
    assert "the first champion" in first.decision["promotion"]["said"]
    assert champion(place) == first.version

    second = trained(place, "data", "--seed", "1")
    assert second.decision["champion"] == first.version
    assert {"overall", "champion", "parity", "size", "latency"} <= second.rules(passed=True)
    assert second.decision["promotion"]["before"] == first.version
    assert champion(place) == second.version

    broken = trained(place, "broken")
    assert "overall" in broken.rules(passed=False)
    assert not broken.decision["promotion"]["promoted"]
    assert "NOT fit to serve: NDCG@10" in broken.out
    assert champion(place) == second.version

    assert learn(place, "rollback", "--reason", "try the way back").code == 0
    assert champion(place) == first.version


@pytest.mark.slow
def test_a_training_is_repeated_from_the_manifest_with_the_same_weights(place: Workplace, first: Ran) -> None:
    before = models(place)
    done = learn(place, "reproduce", first.version[:10])
    assert done.code == 0, done.said
    assert f"SAME: training {first.version} again gave the weights" in done.out
    assert models(place) == before


@pytest.mark.slow
def test_a_data_version_that_is_gone_is_one_clear_error(place: Workplace, first: Ran, tmp_path: Path) -> None:
    elsewhere = Workplace(tmp_path)
    there = {"BENTOML_HOME": place.environment["BENTOML_HOME"]}
    done = subprocess.run(
        [sys.executable, "-m", "learn.cli", "models", "reproduce", first.version],
        cwd=elsewhere.folder,
        env=elsewhere.environment | there | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert "The data version is not available" in done.stderr
    assert "Traceback" not in done.stderr
