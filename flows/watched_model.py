"""The model whose traffic is watched: its bundle as the monitor reads it, and the reference profile beside it.

Serving and monitoring know nothing of each other; here they meet.
"""

from __future__ import annotations

from pathlib import Path

import torch

from learn.alignment.scoring import TowerScorer
from learn.errors import DriftError
from learn.monitoring.profile import FOLDER
from learn.monitoring.views import WatchedModel
from learn.serving.bundle import read_bundle


def watched_model(folder: Path) -> WatchedModel:
    """Read a bundle as a model to watch.

    Raises:
        BundleError: It is no bundle, or damaged.
    """
    bundle = read_bundle(folder)
    scorer = TowerScorer.encoded(
        bundle.towers,
        # Copies: the bundle's own arrays cannot be written to, and torch warns of them.
        item_inputs=torch.tensor(bundle.item_inputs),
        item_vectors=torch.tensor(bundle.item_vectors),
    )
    return WatchedModel(bundle.version, bundle.manifest.weights_sha256, bundle.items, scorer)


def profile_folder(bundle: Path, *, named: str) -> Path:
    """Return the folder of the reference profile: as named, or in the bundle, or beside it.

    Raises:
        DriftError: There is none.
    """
    places = [Path(named)] if named else [bundle / FOLDER, bundle.parent / FOLDER]
    for place in places:
        if place.is_dir():
            return place
    raise DriftError(
        "The bundle has no reference profile.",
        where=places[0],
        fix="name the profile's folder with `--profile`, or train again: `train_flow.py` writes one beside the bundle",
    )
