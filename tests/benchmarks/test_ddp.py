"""The comparison of two processes with one, on a small shop."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scale.ddp import measure_ddp
from benchmarks.scale.small_run import prepare
from learn.config.settings import Settings


@pytest.mark.slow
def test_two_processes_are_as_good_as_one(tmp_path: Path) -> None:
    prepare(tmp_path)
    settings = Settings.from_toml((tmp_path / "settings.toml").read_text(encoding="utf-8"))
    settings = settings.override(workspace=tmp_path / "work")
    found = measure_ddp(tmp_path / "data", settings=settings, seeds=(0,))
    seed, still = found.seeds
    assert (seed.dropout, still.dropout) == (True, False)
    assert seed.alone > 0
    assert seed.together > 0
    assert found.find_largest_difference(dropout=True) == abs(seed.difference.mean)
    assert abs(seed.difference.mean) == pytest.approx(abs(seed.together - seed.alone))
    assert found.within_interval
    assert all(each.difference.low <= 0 <= each.difference.high for each in found.seeds)
    # The same sums in another order.
    assert found.find_largest_difference(dropout=False) < 0.01
