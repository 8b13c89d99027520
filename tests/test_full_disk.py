"""A disk that fills up in the middle of the work: one clear error whatever library writes, and no part of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import torch

from learn.config.content import ContentSettings
from learn.config.data import SplitSettings
from learn.config.model import TowerSettings
from learn.content.extraction import collect_vectors, encode_shard, plan_extraction
from learn.data.splits import build_histories
from learn.errors import StorageError
from learn.model.checkpoint import TrainingState, save_state, save_towers
from learn.model.towers import Towers
from tests.content.tiny_models import save_bert
from tests.small_disk import small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", kilobytes=64) as folder:
        yield folder


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def towers() -> Towers:
    torch.manual_seed(0)
    return Towers(TowerSettings(), content_dimension=384, id_count=10)


def test_while_a_checkpoint_is_written(towers: Towers, disk: Path) -> None:
    weights = dict(towers.state_dict())
    with pytest.raises(StorageError, match="No space is left"):
        save_state(TrainingState([], weights, weights, {}), disk / "training")
    assert files(disk) == []


def test_while_the_weights_are_written(towers: Towers, disk: Path) -> None:
    with pytest.raises(StorageError, match="No space is left"):
        save_towers(towers, disk / "training")
    assert files(disk) == []


def test_while_the_vectors_are_gathered(tmp_path: Path, disk: Path) -> None:
    items = pl.DataFrame({"item_id": [f"i{row}" for row in range(700)], "title": [f"boot {row}" for row in range(700)]})
    items.write_parquet(tmp_path / "items.parquet")
    settings = ContentSettings(encoder=str(save_bert(tmp_path / "encoder")), max_tokens=16)
    plan = plan_extraction(tmp_path / "items.parquet", store=tmp_path / "store", settings=settings)
    results = [encode_shard(plan, shard) for shard in plan.shards]
    with pytest.raises(StorageError, match="No space is left"):
        collect_vectors(plan, results, destination=disk / "content")
    assert files(disk) == []


def test_while_the_histories_are_written(tmp_path: Path, disk: Path) -> None:
    count = 20_000
    pl.DataFrame({"item_id": ["a", "b"]}).write_parquet(tmp_path / "items.parquet")
    pl.DataFrame(
        {
            "row": range(count),
            "user_id": [f"u{row // 4}" for row in range(count)],
            "item_id": ["a", "b"] * (count // 2),
            "timestamp": [float(row) for row in range(count)],
        }
    ).write_parquet(tmp_path / "interactions.parquet")
    with pytest.raises(StorageError, match="No space is left"):
        build_histories(tmp_path, disk / "histories", settings=SplitSettings(method="leave_one_out"))
    assert files(disk) == []
