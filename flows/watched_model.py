"""The model whose traffic is watched: its bundle as the monitor reads it, and the reference profile beside it.

Serving and monitoring know nothing of each other; here they meet.
"""

from __future__ import annotations

from pathlib import Path

import torch

from flows.champion import champion_version
from flows.earlier_bundles import bundle_folder
from learn.alignment.scoring import TowerScorer
from learn.config import Settings
from learn.errors import BundleError, DriftError
from learn.monitoring.profile import FOLDER
from learn.monitoring.views import WatchedModel
from learn.serving.bundle import read_bundle


def watched_folder(name: str, *, settings: Settings) -> Path:
    """Return the folder of the bundle that is watched: as named, or the champion.

    Args:
        name: What ``--bundle`` says; empty: the champion, since it is what people see.
        settings: Name of the model.

    Raises:
        BundleError: There is no bundle of that name; or none was named, and there is no champion.
        ServingError: The aliases cannot be read.
    """
    if name:
        return bundle_folder(name, option="--bundle")
    model, version = settings.serving.model_name, champion_version(settings)
    if version is None:
        raise BundleError(
            f"Nobody has promoted a `{model}` yet, so there is no champion whose traffic could be watched.",
            where="--bundle",
            fix=f"promote one (`learn models promote VERSION`), or name the model: `--bundle {model}:latest`",
        )
    return bundle_folder(f"{model}:{version}", option="--bundle")


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
        fix="name the profile's folder with `--profile`, or train again: `train_flow.py` puts one into the bundle",
    )
