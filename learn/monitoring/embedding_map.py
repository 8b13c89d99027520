"""A map of items and users: their vectors on the two directions with the most variance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.monitoring.profile import Profile
from learn.monitoring.requests import find_places
from learn.monitoring.samples import NO_CATEGORY, choose_category_labels

OTHER = "other"
_MOST_POINTS = 600
"""Of items, and of users: more hide each other on a card."""

_MOST_CATEGORIES = 6


@dataclass(frozen=True)
class EmbeddingMap:
    """Vectors on two principal components of items and users together.

    Attributes:
        items: (n, 2) places of items.
        labels: (n) the item's category, the commonest ones by name; empty where the items have no categories.
        users: (m, 2) places of users.
        shares: Share of the variance that each of the two directions tells.
    """

    items: NDArray[np.float32]
    labels: tuple[str, ...]
    users: NDArray[np.float32]
    shares: tuple[float, float]


def map_embeddings(profile: Profile, *, seed: int) -> EmbeddingMap | None:
    """Map what a reference profile holds; None if it holds too few vectors for two directions.

    The items are those of the profile's requests, without repeats; rows are drawn by the seed.
    """
    view = profile.view
    if view.item_vectors is None or view.user_vectors is None:
        return None
    rng = np.random.default_rng(seed)
    named = view.requests["item_id"][: len(view.item_vectors)]
    first = named.to_frame("id").with_row_index("row").drop_nulls().unique("id", keep="first", maintain_order=True)
    rows = _sample_rows(first["row"].to_numpy().astype(np.int64), rng)
    users = np.asarray(view.user_vectors)[_sample_rows(np.arange(len(view.user_vectors)), rng)]
    items = np.asarray(view.item_vectors)[rows]
    if len(items) + len(users) < 3 or not len(items) or not len(users):
        return None
    pooled = np.concatenate([items, users]).astype(np.float64)
    centred = pooled - pooled.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    if len(axes) < 2:
        return None
    two = axes[:2]
    # A component's sign is arbitrary: the same data must give the same map.
    two *= np.sign(two[np.arange(2), np.abs(two).argmax(axis=1)])[:, None]
    places = (centred @ two.T).astype(np.float32)  # (n + m, 2)
    variance = np.square(sizes) / max(float(np.square(sizes).sum()), 1e-12)
    labels = _label_items(view.items, named[rows])
    return EmbeddingMap(places[: len(items)], labels, places[len(items) :], (float(variance[0]), float(variance[1])))


def _sample_rows(rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.sort(rng.permutation(rows)[:_MOST_POINTS])


def _label_items(items: pl.DataFrame, item_ids: pl.Series) -> tuple[str, ...]:
    if "category" not in items.columns:
        return ()
    column = items["category"]
    texts = column.cast(pl.List(pl.String)).list.join(", ") if isinstance(column.dtype, pl.List) else column
    known, _ = choose_category_labels(texts.cast(pl.String).to_list(), [])
    places = find_places(item_ids, items)
    found = [known[place] if place >= 0 else NO_CATEGORY for place in places]
    common = {label for label, _ in Counter(found).most_common(_MOST_CATEGORIES)}
    return tuple(label if label in common else OTHER for label in found)
