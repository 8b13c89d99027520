"""The reference profile: what live traffic is compared with, written when the model was trained.

    profile.json          format, of which model, of how many interactions, until when, seed
    requests.parquet      requests as the service would have had them in the newest training window, with the answers
    items.parquet         titles, categories … of the items in them
    catalogue.parquet     the same of a sample of the whole catalogue, which new items are compared with
    popularity.parquet    training interactions of every item of the catalogue
    item_vectors.parquet  (m, d) float32, vectors of the requests' items
    user_vectors.parquet  (u, d) float32, vectors of the requests' users

Nothing in it is a pickle. Its size does not grow with the traffic; one small table grows with the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from learn.config import Settings
from learn.data import Histories, TimestampScale, detect_timestamp_scale
from learn.errors import DriftError
from learn.monitoring.requests import (
    DESCRIBED,
    MonitoredModel,
    Sizes,
    View,
    find_places,
    read_history_runs,
    simulate_requests,
)
from learn.storage import atomic_files

FOLDER = "profile"
"""Its name in the bundle, or next to it."""

FORMAT = 1
_FACTS, _REQUESTS, _ITEMS, _CATALOGUE, _POPULARITY = (
    "profile.json",
    "requests.parquet",
    "items.parquet",
    "catalogue.parquet",
    "popularity.parquet",
)
_VECTORS = ("item_vectors", "user_vectors")
_FILES = (_REQUESTS, _ITEMS, _CATALOGUE, _POPULARITY, *(f"{name}.parquet" for name in _VECTORS), _FACTS)


class ProfileFacts(BaseModel):
    """What a profile says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    format: int = FORMAT
    """Layout of the folder."""

    weights_sha256: str
    """Hash of the weights of the model that it belongs to."""

    interactions: int
    """Interactions of the training data, all windows."""

    until: int | float | None
    """Timestamp of the newest of them, in the table's unit; None if timestamps are only an order."""

    clock: TimestampScale | None = None
    """What the timestamps of the training data are; None in profiles of earlier versions."""

    k: int
    """Places of the lists in it."""

    @property
    def scale(self) -> TimestampScale:
        """What ``until`` is; a profile of an earlier version does not say it, and its number is known by its size."""
        return self.clock or detect_timestamp_scale(self.until or 0.0)


@dataclass(frozen=True)
class Profile:
    """What traffic is compared with.

    Attributes:
        facts: What it says of itself.
        view: The newest training window as the service would have seen it.
        catalogue: A sample of the catalogue, as :data:`learn.monitoring.requests.DESCRIBED`.
        popularity: ``item_id`` and ``count`` in training, of every item of the catalogue.
    """

    facts: ProfileFacts
    view: View
    catalogue: pl.DataFrame
    popularity: pl.DataFrame


def make_profile(histories: Histories, model: MonitoredModel, *, settings: Settings) -> Profile:
    """Make the profile of a model out of what it was trained on.

    Args:
        histories: Of its run; the newest window is what comes after each user's training part.
        model: The model, its catalogue in the histories' item order.
        settings: Sample sizes, ``k`` and the seed.

    Raises:
        DriftError: Nobody is active after the training part.
    """
    runs, items = read_history_runs(histories), select_described_columns(model.items)
    view = simulate_requests(
        "training data", runs, model, items=items, sizes=Sizes.from_settings(settings), seed=settings.seed
    )
    named = find_places(view.requests["item_id"].unique(maintain_order=True), items)
    drawn = np.random.default_rng(settings.seed).permutation(items.height)[: settings.drift.sample_rows]
    times = np.asarray(histories.timestamps)
    return Profile(
        ProfileFacts(
            weights_sha256=model.weights_sha256,
            interactions=len(times),
            until=times.max().item() if histories.scale.is_clock else None,
            clock=histories.scale,
            k=settings.monitoring.k,
        ),
        View(view.name, view.requests, items[np.sort(named)], view.item_vectors, view.user_vectors),
        items[np.sort(drawn)],
        pl.DataFrame({"item_id": items["item_id"], "count": histories.count_popularity()}),
    )


def write_profile(folder: Path, profile: Profile) -> Path:
    """Write a profile; it is complete in ``folder`` or not at all, and the same profile gives the same bytes.

    Raises:
        StorageError: The disk is full or not writable.
    """
    with atomic_files(folder, names=_FILES) as stage:
        profile.view.requests.write_parquet(stage / _REQUESTS)
        profile.view.items.write_parquet(stage / _ITEMS)
        profile.catalogue.write_parquet(stage / _CATALOGUE)
        profile.popularity.write_parquet(stage / _POPULARITY)
        for name in _VECTORS:
            pl.DataFrame({"vector": _to_list_column(getattr(profile.view, name))}).write_parquet(
                stage / f"{name}.parquet"
            )
        (stage / _FACTS).write_text(profile.facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return folder


def read_profile(folder: Path, *, weights_sha256: str | None = None) -> Profile:
    """Read a profile.

    Args:
        folder: Where it is.
        weights_sha256: Of the model it must belong to; None: of any.

    Raises:
        DriftError: There is none, it is damaged, of another layout, or of another model.
    """
    fix = "run the train flow again with this version of LEARN, or name the profile's folder with `--profile`"
    try:
        facts = ProfileFacts.model_validate_json((folder / _FACTS).read_bytes())
        tables = [pl.read_parquet(folder / name, glob=False) for name in (_REQUESTS, _ITEMS, _CATALOGUE, _POPULARITY)]
        vectors = [_from_list_column(pl.read_parquet(folder / f"{name}.parquet", glob=False)) for name in _VECTORS]
    except FileNotFoundError as fault:
        raise DriftError("There is no reference profile, or a part of it is missing.", where=folder, fix=fix) from fault
    except (OSError, ValueError, ValidationError, pl.exceptions.PolarsError) as fault:
        raise DriftError("The reference profile cannot be read.", where=folder, fix=fix) from fault
    if facts.format != FORMAT:
        raise DriftError(
            f"The reference profile has layout {facts.format}; this version of LEARN reads {FORMAT}.",
            where=folder,
            fix=fix,
        )
    if weights_sha256 is not None and facts.weights_sha256 != weights_sha256:
        raise DriftError("The reference profile belongs to another model.", where=folder, fix=fix)
    requests, items, catalogue, popularity = tables
    return Profile(facts, View("training data", requests, items, vectors[0], vectors[1]), catalogue, popularity)


def select_described_columns(items: pl.DataFrame) -> pl.DataFrame:
    """Return ``item_id`` and those columns of a table of items that a comparison looks at."""
    return items.select("item_id", *(name for name in DESCRIBED if name in items.columns))


def _to_list_column(vectors: NDArray[np.float32] | None) -> pl.Series:
    width = 1 if vectors is None else vectors.shape[1]
    rows = np.empty((0, width), np.float32) if vectors is None else vectors
    return pl.Series("vector", rows, dtype=pl.Array(pl.Float32, width))


def _from_list_column(frame: pl.DataFrame) -> NDArray[np.float32] | None:
    return frame["vector"].to_numpy() if frame.height else None
