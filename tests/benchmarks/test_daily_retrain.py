"""The daily retraining: its figures and its page, of mornings that were synthetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.daily_retrain.command import list_setups
from benchmarks.daily_retrain.page import collect_figures, read_page, write_page
from benchmarks.daily_retrain.records import Morning, Page, Run, Setup, Training
from learn.errors import DataError

FRESH = Training(epochs=(1, 2, 3), ndcg=(0.1, 0.2, 0.19), cpu_seconds=(10, 20, 30), chosen=2, recall10=0.3, ndcg10=0.2)
WARM = Training(epochs=(0, 1, 2), ndcg=(0.19, 0.2, 0.18), cpu_seconds=(1, 5, 9), chosen=1, recall10=0.4, ndcg10=0.3)
NEVER = Training(epochs=(0, 1), ndcg=(0.19, 0.18), cpu_seconds=(1, 6), chosen=0, recall10=0.2, ndcg10=0.15)


def a_run(shop: str, *warm: Training) -> Run:
    mornings = tuple(Morning(day=day, seed=0, fresh=FRESH, warm=each) for day, each in enumerate(warm, start=1))
    setup = Setup(
        shop=shop, days=len(warm), window_days=60, seeds=(0,), settings="# why\n[training]\nmask_seen = false\n"
    )
    machine: dict[str, str | int | float] = {"processor": "made up", "cores": 2, "memory_gb": 8.0}
    return Run(setup=setup, mornings=mornings, machine=machine, versions={}, commit="0123456789+changes")


def test_time_counts_to_the_first_epoch_that_is_as_good_as_the_fresh_best() -> None:
    found = collect_figures(a_run("shop", WARM, WARM).mornings)
    assert found["time_ratio"] == pytest.approx(5 / 20)
    assert found["whole_time_ratio"] == pytest.approx(9 / 30)
    assert found["reached"] == 1
    assert found["warm_test_ndcg10"] == pytest.approx(0.3)
    assert found["test_ndcg10_difference"] == pytest.approx(0.1)
    assert found["test_ndcg10_difference_error"] == pytest.approx(0)


def test_a_day_on_which_the_fresh_one_stays_ahead_is_no_day_of_the_ratio() -> None:
    found = collect_figures(a_run("shop", WARM, NEVER).mornings)
    assert found["time_ratio"] == pytest.approx(5 / 20)
    assert found["reached"] == pytest.approx(0.5)
    assert collect_figures(a_run("shop", NEVER).mornings)["time_ratio"] == float("inf")


def test_the_page_judges_each_shop_and_keeps_what_was_measured_before(tmp_path: Path) -> None:
    write_page(Page(runs={"one": a_run("one", WARM)}), planned=("one", "other"), folder=tmp_path)
    assert "Not measured: `other`." in (tmp_path / "daily_retrain.md").read_text(encoding="utf-8")
    page = read_page(tmp_path)
    page.runs["other"] = a_run("other", WARM, NEVER)
    text = write_page(page, planned=("one", "other"), folder=tmp_path).read_text(encoding="utf-8")
    bars = [line.split(" | ")[2:] for line in text.splitlines() if line.startswith("| `")]
    assert bars == [
        ["0.250, on 100% of the days", "met |"],
        # Of a single pair there is no error that it could be within.
        ["0.30, +0.1000 ± –", "open |"],
        ["0.250, on 50% of the days", "**missed** |"],
        ["0.25, +0.0250 ± 0.0750", "met |"],
    ]
    assert "Not measured" not in text
    assert "mask_seen = false" in text
    assert "# why" not in text
    assert "| 2 | 0 | warm | never | 6.0 | 0 of 1 |" in text
    assert json.loads((tmp_path / "daily_retrain.json").read_text(encoding="utf-8"))["figures"]["one_reached"] == 1


def test_a_shop_whose_warm_trainings_never_came_to_it_has_no_ratio(tmp_path: Path) -> None:
    text = write_page(Page(runs={"one": a_run("one", NEVER)}), planned=("one", "other"), folder=tmp_path).read_text(
        encoding="utf-8"
    )
    assert "| never | **missed** |" in text
    assert "one_time_ratio" not in read_page(tmp_path).figures


def test_damaged_figures_are_refused_and_nothing_is_where_nothing_was(tmp_path: Path) -> None:
    assert read_page(tmp_path).runs == {}
    (tmp_path / "daily_retrain.json").write_text('{"runs": {"one": 1}}', encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        read_page(tmp_path)


def test_every_shop_is_asked_under_its_own_name() -> None:
    assert {name: setup.shop for name, setup in list_setups().items()} == {name: name for name in list_setups()}
