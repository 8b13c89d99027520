"""A run's result: plain values under stable names, and last lines that say the same."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

from learn.evaluation.gate import Decision
from learn.registry.cli import models
from tests.synthetic_run import made_up_metrics, made_up_result


def test_artifacts_are_plain_and_stable(tmp_path: Path) -> None:
    artifacts = made_up_result(folder=tmp_path).to_artifacts()
    assert json.loads(json.dumps(artifacts)) == artifacts
    assert set(artifacts) == {
        "data_version",
        "validation",
        "content",
        "metrics",
        "drift",
        "decision",
        "bundle",
        "bento",
    }
    assert artifacts["content"]["fingerprint"]["name"] == "all-MiniLM-L6-v2"
    decision = artifacts["decision"]
    assert decision["fit"] is False
    assert decision["reasons"] == ["NDCG@10 0.1 is below popularity's 0.2.", "NDCG@10 is not below."]
    assert [(rule["name"], rule["passed"]) for rule in decision["rules"]] == [
        ("baseline_popularity", False),
        ("baseline_content_neighbours", True),
    ]
    assert decision["promotion"] == {
        "asked": "never",
        "promoted": False,
        "before": None,
        "said": "Nothing is promoted.",
    }
    assert artifacts["bundle"] == {
        "bundle": str(tmp_path),
        "version": "v1",
        "weights_sha256": "ab" * 32,
        "model_tag": "learn_user_tower:v1",
    }
    assert artifacts["bento"]["command"] == "serve it"
    assert artifacts["bento"]["parity_identical"] == 98


def test_the_last_lines_say_what_was_found_where_it_is_and_how_to_serve(tmp_path: Path) -> None:
    lines = made_up_result(folder=tmp_path).format_closing_lines(tmp_path / "index.html").splitlines()
    said = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1] for line in lines}
    assert said["Data"].endswith("quarantined: 3 of 100 items and 0 of 100 interactions")
    assert said["Content"] == "90 texts encoded, 7 items known"
    assert said["Test"].startswith("Recall@10 0.2000, NDCG@10 0.2000")
    assert "popularity 0.0500" in said["Beside"]
    assert "towers" not in said["Beside"]
    assert "production" not in said["Beside"]
    assert said["Production"].startswith("NDCG@10 +0.0200 [+0.0100, +0.0300] against the model in production, version")
    assert said["Drift"].startswith("Drift in 1 of 2 columns")
    assert said["Gate"] == "NOT fit to serve: NDCG@10 0.1 is below popularity's 0.2."
    assert said["Parity"].startswith("98 of 100 users")
    assert (said["Report"], said["Serve"]) == (str(tmp_path / "index.html"), "serve it")
    words = shlex.split(said["Promote"])
    assert words[:5] == ["learn", "models", "--name", "learn_user_tower", "promote"]
    assert models.commands["promote"].make_context("promote", words[5:]).params["version"] == "v1"


def test_without_a_model_in_production_no_line_speaks_of_one(tmp_path: Path) -> None:
    result = dataclasses.replace(made_up_result(folder=tmp_path), metrics=made_up_metrics(production=False))
    assert "roduction" not in result.format_closing_lines(tmp_path)


def test_a_gate_without_baselines_says_so(tmp_path: Path) -> None:
    result = dataclasses.replace(made_up_result(folder=tmp_path), decision=Decision(fit=True, reasons=()))
    assert "fit to serve: no baseline beside" in result.format_closing_lines(tmp_path)
