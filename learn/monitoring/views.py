"""What is compared: requests as a service sees them, with what it answered, one request a user.

A person's requests are alike, and a test that takes them for independent cries wolf.

Shape legend: R requests, k places of a list, n items of the catalogue, d vector width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from learn.alignment.scoring import TowerScorer
from learn.config import Settings

REQUEST_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "history_length": pl.Int64,
    "unknown_items": pl.Int64,
    "answered_by": pl.String,
    "item_id": pl.String,
    "items": pl.List(pl.String),
    "scores": pl.List(pl.Float64),
}
"""One request: items of the history, those of them that the model does not know, who answered (``towers``, or why
popularity did), the item that stands for the traffic (null where there is none), and the list with its scores (null
where the list says nothing of the model: popularity's, filtered, or of another model)."""

DESCRIBED = ("title", "description", "category", "brand", "price")
"""Columns of the table of items that a comparison looks at."""

_BLOCK_USERS = 256
_SHARED_SEED = 7


@dataclass(frozen=True)
class Sizes:
    """How much of a view is kept; time, memory and the page are bounded by it, whatever the traffic.

    Attributes:
        rows: Most requests.
        vectors: Most vectors of each kind.
        k: Places of a list.
    """

    rows: int
    vectors: int
    k: int

    @classmethod
    def of(cls, settings: Settings) -> Sizes:
        """Read them off the settings."""
        return cls(settings.drift.sample_rows, settings.drift.sample_vectors, settings.monitoring.k)


@dataclass(frozen=True)
class View:
    """One side of a comparison.

    Attributes:
        name: What people call it.
        requests: As in :data:`REQUEST_COLUMNS`, one a user.
        items: ``item_id`` and what of :data:`DESCRIBED` there is, at least for the items of the requests.
        item_vectors: (m, d) vectors of the requests' items, as often as they occur; None: not measured.
        user_vectors: (u, d) vectors of the requests' users; None: not measured.
        unknown_share: Share of the traffic's items that the model does not know.
        histories_whole: Whether the histories reach back to each user's first interaction.
    """

    name: str
    requests: pl.DataFrame
    items: pl.DataFrame
    item_vectors: NDArray[np.float32] | None
    user_vectors: NDArray[np.float32] | None
    unknown_share: float = 0.0
    histories_whole: bool = True


@dataclass(frozen=True)
class WatchedModel:
    """The model whose traffic is watched, as its bundle has it.

    Attributes:
        version: Of the bundle.
        weights_sha256: Hash of its weights.
        items: The catalogue in item-index order, with ``item_id``.
        scorer: Its towers with the catalogue encoded.
    """

    version: str
    weights_sha256: str
    items: pl.DataFrame
    scorer: TowerScorer


@dataclass(frozen=True)
class KnownHistories:
    """Items of each request's history that the model knows, flat: request r has ``items[starts[r]:stops[r]]``."""

    items: NDArray[np.int32]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @classmethod
    def of(cls, items: NDArray[np.int32], lengths: NDArray[np.int64]) -> KnownHistories:
        """Cut flat items into runs of the given lengths."""
        stops = np.cumsum(lengths, dtype=np.int64)
        return cls(items, stops - lengths, stops)


@torch.inference_mode()
def top_lists(known: KnownHistories, scorer: TowerScorer, *, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rank the catalogue for each request, the history left out, as in service.

    Returns:
        (R, k) item indices and (R, k) scores, best first; what stands for an empty history means nothing.
    """
    k = min(k, len(scorer.item_vectors))
    lists, scores = np.empty((len(known.starts), k), np.int64), np.empty((len(known.starts), k))
    for begin in range(0, len(known.starts), _BLOCK_USERS):
        block = slice(begin, begin + _BLOCK_USERS)
        starts, stops = known.starts[block], known.stops[block]
        found = scorer.vectors_after(known.items, starts, stops) @ scorer.item_vectors.T  # (B, n)
        users = np.repeat(np.arange(len(starts)), stops - starts)
        seen = known.items[starts[0] : stops[-1]]
        found[torch.from_numpy(users), torch.from_numpy(seen.astype(np.int64))] = -torch.inf
        best = torch.topk(found, k)
        lists[block], scores[block] = best.indices.cpu().numpy(), best.values.cpu().numpy()
    return lists, scores


def user_vectors(known: KnownHistories, scorer: TowerScorer, *, rows: int, seed: int) -> NDArray[np.float32]:
    """Return (m, d) vectors of at most ``rows`` requests that have a history."""
    full = np.flatnonzero(known.stops > known.starts)
    chosen = np.sort(np.random.default_rng([seed, _SHARED_SEED]).permutation(full)[:rows])
    found: NDArray[np.float32] = (
        scorer.vectors_after(known.items, known.starts[chosen], known.stops[chosen]).cpu().numpy()
    )
    return found


def item_vectors(item_ids: pl.Series, model: WatchedModel, *, rows: int, seed: int) -> NDArray[np.float32]:
    """Return (m, d) vectors of at most ``rows`` of these items, as often as they occur; unknown ones are left out."""
    places = places_of(item_ids, model.items)
    known = places[places >= 0]
    chosen = np.sort(np.random.default_rng([seed, _SHARED_SEED]).permutation(len(known))[:rows])
    vectors: NDArray[np.float32] = model.scorer.item_vectors[torch.from_numpy(known[chosen])].cpu().numpy()
    return vectors


def places_of(item_ids: pl.Series, items: pl.DataFrame) -> NDArray[np.int64]:
    """Return the row in ``items`` of each id, -1 where there is none or the id is null."""
    numbers = items.select("item_id").with_row_index("place")
    asked = pl.DataFrame({"item_id": item_ids.cast(pl.String)})
    found = asked.join(numbers, on="item_id", how="left", maintain_order="left")["place"]
    return found.cast(pl.Int64).fill_null(-1).to_numpy()
