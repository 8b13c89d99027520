"""Golden values: what a change of the code's order must leave as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.golden.measure import FILE, LOSSES, measure_golden, name_processor

TOLERANCE = 1e-3
"""Relative. Other processors differ by about 1e-5 after these few steps; another constant of a loss by percents."""


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return values


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(tmp_path_factory.mktemp("bentoml")))
        values: dict[str, Any] = json.loads(json.dumps(measure_golden(tmp_path_factory.mktemp("golden"))))
    return values


def close_to(value: Any, *, absolute: float) -> Any:
    """The same value with every number approximate, so that one comparison names the place that differs."""
    if isinstance(value, dict):
        return {name: close_to(each, absolute=absolute) for name, each in value.items()}
    if isinstance(value, list):
        return [close_to(each, absolute=absolute) for each in value]
    return pytest.approx(value, rel=TOLERANCE, abs=absolute) if isinstance(value, float) else value


@pytest.mark.parametrize("loss", LOSSES)
def test_the_weights_are_those_of_before(loss: str, golden: dict[str, Any], measured: dict[str, Any]) -> None:
    before, now = golden["weights"][loss], measured["weights"][loss]
    assert list(now["tensors"]) == list(before["tensors"])
    for name, tensor in before["tensors"].items():
        assert now["tensors"][name] == close_to(tensor, absolute=1e-3), name
    if golden["processor"] == name_processor():
        assert now["sha256"] == before["sha256"]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_metrics_are_those_of_before(loss: str, golden: dict[str, Any], measured: dict[str, Any]) -> None:
    if golden["processor"] == name_processor():
        assert measured["metrics"][loss] == golden["metrics"][loss]
    # One of some hundred users may change places where two scores are nearly the same.
    assert measured["metrics"][loss]["test"] == close_to(golden["metrics"][loss]["test"], absolute=0.02)


def test_a_bundle_has_its_version_manifest_and_files(golden: dict[str, Any], measured: dict[str, Any]) -> None:
    before, now = golden["bundle"], measured["bundle"]
    assert now["files"] == before["files"]
    assert now["manifest"] == close_to(before["manifest"], absolute=1e-6)
    assert now["weights_sha256"] == before["weights_sha256"]
    if golden["processor"] == name_processor():
        assert now["version"] == before["version"]


@pytest.mark.parametrize("name", ["index.html", "evaluation.html", "closing lines"])
def test_the_reports_say_what_they_said(name: str, golden: dict[str, Any], measured: dict[str, Any]) -> None:
    assert measured["reports"][name] == golden["reports"][name]


def test_the_openapi_document_is_the_same(golden: dict[str, Any], measured: dict[str, Any]) -> None:
    assert sorted(measured["openapi"]["paths"]) == sorted(golden["openapi"]["paths"])
    assert measured["openapi"] == golden["openapi"]
