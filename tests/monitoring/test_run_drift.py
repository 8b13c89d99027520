"""Drift as a run sees it: the right windows of the histories, a second folder, and what a drift does to the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from learn.config.settings import Settings
from learn.content.extraction import collect_vectors, encode_shard, plan_extraction
from learn.data.histories import Histories
from learn.data.splits import build_histories
from learn.errors import DataError, DriftError
from learn.model.checkpoint import hash_weights, save_towers
from learn.model.inputs import RunInputs, encode_catalogue
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.towers import Towers
from learn.monitoring.drift import build_newest_window, build_training_window, run_drift
from learn.monitoring.summary import DriftSummary
from tests.content.tiny_models import save_bert
from tests.synthetic_training import synthetic_training

ITEMS, USERS, DAY = 60, 150, 86_400.0
START = 1_700_000_000.0


@dataclass(frozen=True)
class Ran:
    """What the steps before drift leave."""

    folder: Path
    histories: Histories
    content: Path
    towers: Path
    settings: Settings

    def drift(self, *, current: Path | None = None, on_drift: str = "warn", scratch: Path) -> DriftSummary:
        settings = self.settings.override(drift__on_drift=on_drift)
        training = synthetic_training(self.towers, weights_sha256=hash_weights(self.towers))
        inputs = RunInputs(settings, self.folder / "tables", self.histories.folder, self.content, training)
        inputs = encode_catalogue(inputs, destination=scratch / "catalogue")
        return run_drift(inputs, current=current, scratch=scratch, report=scratch / "drift.html")


def titles(*, word: str = "boot") -> pl.DataFrame:
    names = [f"{'red' if item % 2 else 'blue'} {word} number {item}" for item in range(ITEMS)]
    return pl.DataFrame({"item_id": [f"i{item}" for item in range(ITEMS)], "title": names})


def traffic(*, users: int, first_day: float, low: int = 0, seed: int = 0) -> pl.DataFrame:
    """Eight interactions a user with items from ``low`` on, one a day."""
    draw = np.random.default_rng(seed)
    count = users * 8
    return pl.DataFrame(
        {
            "user_id": [f"u{row // 8}" for row in range(count)],
            "item_id": [f"i{item}" for item in draw.integers(low, ITEMS, count)],
            "timestamp": START + DAY * (first_day + np.arange(count) % 8),
        }
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("ran")
    settings = Settings.from_mapping(
        {
            "workspace": folder / "work",
            "content": {"encoder": str(save_bert(folder / "encoder")), "max_tokens": 32},
            "split": {"method": "by_date"},
            "drift": {"sample_rows": 400, "sample_vectors": 100, "permutations": 500},
        }
    )
    tables = folder / "tables"
    tables.mkdir()
    titles().with_row_index("row").write_parquet(tables / "items.parquet")
    traffic(users=USERS, first_day=0).with_row_index("row").write_parquet(tables / "interactions.parquet")
    histories = Histories.open(build_histories(tables, folder / "histories", settings=settings.split).folder)
    plan = plan_extraction(tables / "items.parquet", store=folder / "work" / "content", settings=settings.content)
    content = collect_vectors(plan, [encode_shard(plan, shard) for shard in plan.shards], destination=folder).path
    torch.manual_seed(0)
    width = np.load(content, mmap_mode="r").shape[1]
    towers = Towers(settings.towers, content_dimension=width, id_count=int((compute_id_rows(histories) >= 0).sum()))
    save_towers(towers, folder / "towers")
    return Ran(folder, histories, content, folder / "towers", settings)


def test_the_windows_are_the_training_part_and_what_came_last(ran: Ran) -> None:
    vectors = np.load(ran.content)
    width = vectors.shape[1]
    towers = Towers(
        ran.settings.towers, content_dimension=width, id_count=int((compute_id_rows(ran.histories) >= 0).sum())
    )
    scorer = TowerScorer(towers, content=vectors, ids=compute_id_rows(ran.histories))
    reference = build_training_window(ran.histories, titles(), scorer, settings=ran.settings)
    newest = build_newest_window(ran.histories, titles(), scorer, settings=ran.settings)
    cuts = ran.histories.split
    assert reference.interactions["timestamp"].max() < cuts["validation_from"]
    assert newest.interactions["timestamp"].min() >= cuts["test_from"]
    times = np.asarray(ran.histories.timestamps)
    assert reference.interactions.height == (times < cuts["validation_from"]).sum()
    assert newest.interactions.height == (times >= cuts["test_from"]).sum()
    assert reference.user_vectors is not None
    assert len(reference.user_vectors) == ran.settings.drift.sample_vectors
    own = reference.user_vectors[:, : towers.tower_dimension]
    np.testing.assert_allclose(np.linalg.norm(own, axis=1), 1, atol=1e-5)


def test_held_out_items_say_nothing_of_activity(ran: Ran, tmp_path: Path) -> None:
    settings = ran.settings.override(split__method="leave_one_out")
    split = build_histories(ran.folder / "tables", tmp_path / "histories", settings=settings.split)
    held_out = Ran(ran.folder, Histories.open(split.folder), ran.content, ran.towers, settings)
    found = {column.name: column.status for column in held_out.drift(scratch=tmp_path).columns}
    assert found["interactions_per_user"] == "absent"
    assert found["item_popularity"] == "tested"


def test_traffic_as_before_is_no_drift(ran: Ran, tmp_path: Path) -> None:
    found = ran.drift(scratch=tmp_path)
    assert found.current_name == "newest window"
    assert not {column.name for column in found.columns if column.drifted and column.kind in {"text", "popularity"}}
    assert found.report.is_file()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second folder: the same ids under other titles, and half of them out of fashion."""
    folder = tmp_path_factory.mktemp("second") / "elsewhere"
    folder.mkdir()
    titles(word="porcelain teapot of grandmother").write_csv(folder / "items.csv")
    traffic(users=100, first_day=30, low=ITEMS // 2, seed=1).write_csv(folder / "interactions.csv")
    return folder


def test_other_traffic_in_a_second_folder_is_drift(ran: Ran, elsewhere: Path, tmp_path: Path) -> None:
    found = ran.drift(current=elsewhere, scratch=tmp_path)
    assert found.current_name == "folder elsewhere"
    assert found.current_rows == 800
    assert found.drifted
    drifted = {column.kind for column in found.columns if column.drifted}
    assert {"text", "item_vectors"} <= drifted


def test_on_drift_fail_stops_with_the_report_written(ran: Ran, elsewhere: Path, tmp_path: Path) -> None:
    with pytest.raises(DriftError, match="Drift in") as caught:
        ran.drift(current=elsewhere, on_drift="fail", scratch=tmp_path)
    assert caught.value.where == str(tmp_path / "drift.html")
    assert (tmp_path / "drift.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_a_second_folder_of_another_shop_is_refused(ran: Ran, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    titles().write_csv(other / "items.csv")
    traffic(users=3, first_day=0).with_columns(item_id=pl.lit("unheard-of")).write_csv(other / "interactions.csv")
    with pytest.raises(DriftError, match="None of the interactions"):
        ran.drift(current=other, scratch=tmp_path / "scratch")


def test_a_second_folder_with_dirty_rows_is_compared_without_them(ran: Ran, elsewhere: Path, tmp_path: Path) -> None:
    dirty = tmp_path / "dirty"
    dirty.mkdir()
    items = (elsewhere / "items.csv").read_text() + "i99,\ni98,?\n"
    (dirty / "items.csv").write_text(items, encoding="utf-8")
    rows = (elsewhere / "interactions.csv").read_text() + "u1,i1,soon\nu2,gone,1700000000\n,i3,1700000000\n"
    (dirty / "interactions.csv").write_text(rows, encoding="utf-8")
    found = ran.drift(current=dirty, scratch=tmp_path / "scratch")
    assert 800 <= found.current_rows <= 802
    assert found.drifted


def test_a_missing_second_folder_is_one_clear_error(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        ran.drift(current=tmp_path / "nowhere", scratch=tmp_path)
