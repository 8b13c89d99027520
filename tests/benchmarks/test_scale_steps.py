"""The steps of the scale benchmark run over a small shop, and what comes after a cut epoch runs without its towers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.content.tiny_encoder import save_tiny_bert
from benchmarks.scale.synthetic_shop import Shop, write_shop
from benchmarks.scale.work import ENCODER, STEPS


@pytest.mark.slow
def test_every_step_runs_and_leaves_what_the_next_one_reads(tmp_path: Path) -> None:
    save_tiny_bert(tmp_path / ENCODER)
    folder = tmp_path / "shop"
    write_shop(folder / "data", Shop(20_000, 400, 300))
    cut = ["version", "validate", "histories", "content", "evaluate", "compare_windows"]
    for step in [*cut, "towers", "evaluate"]:
        said, left = STEPS[step](folder)
        assert said
        assert all(each.is_dir() for each in left)
    # By chance alone it would be one in thirty.
    trained = json.loads((folder / "reports" / "metrics.json").read_text(encoding="utf-8"))["test"]["towers"]
    assert trained["masked"]["recall@10"] > 0.06
