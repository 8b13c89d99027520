"""What the scale benchmark makes of what it measured: exponents, an epoch cut short, and a page that hides no gap."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.content.page import keep
from benchmarks.harness.page import Part
from benchmarks.scale.growth import SHOPS, Size, build_part, fit_exponent
from benchmarks.scale.measured_process import MeasuredProcess, _cut, _Mark
from benchmarks.scale.page import PAPER, write_pages
from benchmarks.scale.work import STEPS


def watched(step: str, *, seconds: float, gigabytes: float) -> MeasuredProcess:
    size = int(gigabytes * 2**30)
    return MeasuredProcess(step, 2 * seconds, seconds, size, size // 2, 10**9, 1.0, "")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Time in proportion, memory by the square root; the two largest sizes were not measured."""
    (tmp_path / "growth").mkdir()
    for millions in (1, 5):
        steps = {step: watched(step, seconds=3.0 * millions, gigabytes=millions**0.5) for step in STEPS}
        record = asdict(Size(SHOPS[millions], steps, dict.fromkeys(STEPS, "abc")))
        (tmp_path / "growth" / f"{millions}m.json").write_text(json.dumps(record), encoding="utf-8")
    return tmp_path


def test_the_figures_are_those_of_the_rows(workspace: Path, tmp_path: Path) -> None:
    keep("kills", Part("Kills", {"kills": 50.0, "kills_equal_result": 49.0}, (), ()), folder=workspace)
    write_pages(tmp_path / "docs", workspace=workspace)
    figures = json.loads((tmp_path / "docs" / "benchmarks" / "scale.json").read_text(encoding="utf-8"))["figures"]
    assert figures["growth_exponent_time"] == pytest.approx(1.0)
    assert figures["growth_exponent_memory"] == pytest.approx(0.5)
    assert figures["kills_equal_result"] == 49
    assert figures["validate_5m_cpu_seconds"] == 15
    assert not {"interactions_50m_peak_bytes", "ddp_metric_difference"} & set(figures)


def test_what_was_not_measured_is_said(workspace: Path, tmp_path: Path) -> None:
    page = write_pages(tmp_path / "docs", workspace=workspace).read_text(encoding="utf-8")
    assert "Not measured yet, in whole or in part: 25 M, 50 M." in page
    assert "| Peak memory of any step at 50 million interactions | not measured |" in page
    assert 'make bench-scale WITH="--only kills"' in page
    assert "scale-growth.svg" in page
    assert (tmp_path / "docs" / "benchmarks" / "scale-growth.svg").is_file()


def test_the_estimate_carries_the_largest_size_over(workspace: Path, tmp_path: Path) -> None:
    write_pages(tmp_path / "docs", workspace=workspace)
    page = (tmp_path / "docs" / "scale.md").read_text(encoding="utf-8")
    hours = 15 * PAPER.interactions / 5_000_000 / 3600
    assert f"| Histories | 15 s at 5 M | interactions | 380 | {hours:,.1f} |" in page
    assert "Sizes not measured yet: 25 M, 50 M." in page


def test_one_size_has_no_exponent(workspace: Path) -> None:
    (workspace / "growth" / "5m.json").unlink()
    size = Size(SHOPS[1], {"towers": watched("towers", seconds=1, gigabytes=1)}, {})
    assert fit_exponent({1: size}, "towers", of="cpu_seconds") is None
    assert "growth_exponent_time" not in build_part({1: size}).figures


def test_a_cut_epoch_is_carried_on_at_its_own_rate() -> None:
    marks = [_Mark(1_000, 40.0, 30.0), _Mark(6_000, 140.0, 110.0)]
    found = _cut("towers", marks, whole=26_000, peak_bytes=7, own_bytes=5)
    assert (found.seconds, found.cpu_seconds) == (540.0, 430.0)
    assert found.measured_share == pytest.approx(5 / 26)
