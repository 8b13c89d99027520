"""The synthetic models that are served: real towers of the default settings, over a catalogue of a shop's size."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from learn.config import Settings
from learn.model import Towers
from learn.registry import Manifest, store_bundle, write_bundle
from learn.serving import build_bento

ITEMS, HISTORY = 17_000, 20
NAME = Settings().serving.model_name
_CONTENT_DIMENSION, _SEED = 384, 0


@dataclass(frozen=True)
class ServedModels:
    """What the load is put on.

    Attributes:
        bento_tag: The bento; the first bundle is packed with it.
        folders: The bundles, of one catalogue and different weights.
        versions: Their versions.
    """

    bento_tag: str
    folders: tuple[Path, Path]
    versions: tuple[str, str]


def name_item(row: int) -> str:
    """Return the id of an item."""
    return f"item_{row}"


def draw_histories(count: int) -> list[list[str]]:
    """Return seeded histories of equal length."""
    rows = np.random.default_rng(_SEED).integers(0, ITEMS, (count, HISTORY))
    return [[name_item(int(row)) for row in each] for each in rows]


def build_served_models(workspace: Path) -> ServedModels:
    """Make two bundles, store them, and build the bento of the first."""
    folders = (_bundle(workspace / "first", seed=0), _bundle(workspace / "second", seed=1))
    first, second = (store_bundle(folder, name=NAME) for folder in folders)
    versions = (first.partition(":")[2], second.partition(":")[2])
    return ServedModels(build_bento(model_tag=first), folders, versions)


@torch.inference_mode()
def _bundle(folder: Path, *, seed: int) -> Path:
    # Made again each time: a bundle of an earlier version of the code may no longer be readable.
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(seed)
    draw = np.random.default_rng(_SEED)
    settings = Settings()
    towers = Towers(settings.towers, content_dimension=_CONTENT_DIMENSION, id_count=ITEMS).eval()
    content = torch.from_numpy(draw.standard_normal((ITEMS, _CONTENT_DIMENSION), dtype=np.float32))
    towers.whitening.fit(content)
    inputs = towers.compute_item_inputs(content, torch.arange(ITEMS))
    items = pl.DataFrame(
        {
            "item_id": [name_item(row) for row in range(ITEMS)],
            "title": [f"A made-up thing of the benchmark, number {row}" for row in range(ITEMS)],
            "brand": [f"brand {row % 300}" for row in range(ITEMS)],
            "price": draw.gamma(2.0, 20.0, ITEMS),
            "training_interactions": draw.integers(1, 50, ITEMS),
            "recent_interactions": draw.integers(0, 4, ITEMS),
        }
    )
    return write_bundle(
        folder,
        towers=towers,
        items=items,
        item_inputs=inputs.numpy(),
        item_vectors=towers.encode_items(inputs).numpy(),
        manifest=Manifest(data_version=f"made up {seed}", encoder_fingerprint="made-up/1", settings=settings),
    )
