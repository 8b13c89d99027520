"""A small synthetic model: real towers with random weights over a synthetic catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from learn.config.model import TowerSettings
from learn.config.settings import Settings
from learn.model.towers import Towers
from learn.registry.bundle import Manifest, write_bundle

ITEM_COUNT = 300
CONTENT_DIMENSION = 24


@dataclass(frozen=True)
class BundleParts:
    towers: Towers
    items: pl.DataFrame
    item_inputs: NDArray[np.float32]
    item_vectors: NDArray[np.float32]
    manifest: Manifest

    def write(
        self, destination: Path, *, queries: NDArray[np.float32] | None = None, profile: Path | None = None
    ) -> Path:
        return write_bundle(
            destination,
            towers=self.towers,
            items=self.items,
            item_inputs=self.item_inputs,
            item_vectors=self.item_vectors,
            manifest=self.manifest,
            queries=queries,
            profile=profile,
        )


def item_id(row: int) -> str:
    return f"item {row}/é"


@torch.inference_mode()
def made_up_parts(settings: TowerSettings | None = None, *, item_count: int = ITEM_COUNT) -> BundleParts:
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    shape = settings or TowerSettings(dimension=16, max_history=12)
    towers = Towers(shape, content_dimension=CONTENT_DIMENSION, id_count=item_count).eval()
    content = torch.from_numpy(draw.standard_normal((item_count, CONTENT_DIMENSION), dtype=np.float32))
    inputs = towers.compute_item_inputs(content, torch.arange(item_count))
    items = pl.DataFrame(
        {
            "item_id": [item_id(row) for row in range(item_count)],
            "title": [None if row % 7 == 0 else f"Made-up thing {row}" for row in range(item_count)],
            "brand": [None if row % 11 == 0 else f"brand {row % 5}" for row in range(item_count)],
            "category": [["things", f"shelf {row % 3}"] if row % 2 else [] for row in range(item_count)],
            "price": [None if row % 13 == 0 else row / 4 for row in range(item_count)],
            "in_stock": [row % 4 > 0 for row in range(item_count)],
            "description": [f"A made-up thing, number {row}. " * 6 for row in range(item_count)],
            "training_interactions": draw.integers(1, 50, item_count),
            "recent_interactions": draw.integers(0, 4, item_count),
        }
    )
    manifest = Manifest(data_version="0" * 32 + ".dir", encoder_fingerprint="made-up/1", settings=Settings())
    return BundleParts(
        towers=towers,
        items=items,
        item_inputs=inputs.numpy(),
        item_vectors=towers.encode_items(inputs).numpy(),
        manifest=manifest,
    )


def made_up_histories(count: int, *, longest: int = 30) -> list[list[str]]:
    draw = np.random.default_rng(1)
    lengths = draw.integers(1, longest, count)
    return [[item_id(int(row)) for row in draw.integers(0, ITEM_COUNT, length)] for length in lengths]
