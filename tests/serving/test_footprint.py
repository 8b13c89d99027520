"""Budgets of a bundle, and the gate's word in its manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from learn.config.evaluation import GateSettings
from learn.registry.bundle import Bundle, GateDecision, read_bundle, record_decision
from learn.registry.store import store_bundle
from learn.serving.release import Footprint, judge_footprint, measure_footprint
from tests.serving.synthetic_model import BundleParts, made_up_histories


def test_a_bundle_is_weighed_with_all_its_files(bundle: Bundle) -> None:
    found = measure_footprint(bundle, histories=made_up_histories(3), k=5)
    assert found.size_bytes == sum(file.stat().st_size for file in bundle.folder.iterdir())
    assert found.latency_milliseconds > 0
    assert measure_footprint(bundle, histories=[], k=5).latency_milliseconds == 0


@pytest.mark.parametrize(
    ("found", "passed"),
    [
        (Footprint(1_000, 5.0), {"size": True, "latency": True}),
        (Footprint(1_001, 5.0), {"size": False, "latency": True}),
        (Footprint(1_000, 5.1), {"size": True, "latency": False}),
    ],
)
def test_a_budget_holds_up_to_its_last_byte(found: Footprint, passed: dict[str, bool]) -> None:
    budgets = GateSettings(max_bundle_bytes=1_000, max_latency_milliseconds=5.0)
    rules = {rule.name: rule for rule in judge_footprint(found, settings=budgets)}
    assert {name: rule.passed for name, rule in rules.items()} == passed
    assert all(("within the budget" in rule.said) is rule.passed for rule in rules.values())


def test_the_gates_word_is_written_into_a_bundle_that_stays_the_same(parts: BundleParts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "bundle")
    before = read_bundle(folder)
    said = GateDecision(fit=False, reasons=("It may be worse.",), champion="0123", failed=("overall",))
    record_decision(folder, said)
    after = read_bundle(folder)
    assert after.manifest.decision == said
    assert after.version == before.version
    assert store_bundle(folder, name="decided").endswith(before.version)
