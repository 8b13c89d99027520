"""A synthetic shop whose windows the drift tests draw and then spoil."""

from __future__ import annotations

import functools

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.monitoring.samples import Window

ITEM_COUNT = 400
_WORDS = ("red", "blue", "steel", "mug", "lamp", "garden", "chair", "soft", "toy", "kit", "large", "travel", "oak")


def shop_vectors() -> NDArray[np.float32]:
    """One vector an item, ``(ITEM_COUNT, 64)``, more spread along some directions than others as encoders' are."""
    vectors = np.random.default_rng(8).normal(size=(ITEM_COUNT, 64)) * np.linspace(2, 0.2, 64)
    return vectors.astype(np.float32)


@functools.cache
def shop_items() -> pl.DataFrame:
    """The catalogue."""
    rng = np.random.default_rng(7)
    titles = [" ".join(rng.choice(_WORDS, rng.integers(3, 7))) + f" {number}" for number in range(ITEM_COUNT)]
    return pl.DataFrame(
        {
            "item_id": [f"i{number}" for number in range(ITEM_COUNT)],
            "title": titles,
            "category": [f"Shop > C{number % 8} > sub" for number in range(ITEM_COUNT)],
            "brand": [f"brand {number % 15}" for number in range(ITEM_COUNT)],
            "description": [" ".join(rng.choice(_WORDS, rng.integers(5, 40))) for _ in range(ITEM_COUNT)],
        }
    )


def draw_window(
    seed: int,
    *,
    rows: int = 1_000,
    items: pl.DataFrame | None = None,
    reverse: bool = False,
    item_vectors: NDArray[np.floating] | None = None,
    user_shift: float = 0.0,
) -> Window:
    """Draw a window of the shop's traffic; every argument but the rows spoils it in one way."""
    rng = np.random.default_rng(seed)
    popularity = 1 / (np.arange(ITEM_COUNT) + 3.0)
    chances = popularity[::-1] if reverse else popularity
    interactions = pl.DataFrame(
        {
            "item": rng.choice(ITEM_COUNT, rows, p=chances / chances.sum()).astype(np.int32),
            "user": rng.integers(0, 5 * rows, rows),
            "timestamp": rng.random(rows) * 1e6,
        }
    )
    users = (rng.normal(size=(500, 64)) + user_shift).astype(np.float32)
    vectors = shop_vectors() if item_vectors is None else item_vectors.astype(np.float32)
    return Window(f"window {seed}", interactions, shop_items() if items is None else items, vectors, users)
