"""The model packed with the bento: served where nobody has promoted another, and its settings are the service's."""

from __future__ import annotations

from pathlib import Path

import bentoml

from learn.config import ServingSettings
from learn.errors import BundleError
from learn.serving.bundle import Bundle, read_bundle, read_manifest

MODEL_ALIAS = "learn_bundle"
"""What a bento calls the one model packed with it, whatever its name and version."""

_NEWEST = "learn_user_tower:latest"


def load_packed() -> Bundle:
    """Read the bundle packed with the bento; straight from the source tree, the newest in the model store.

    Raises:
        BundleError: There is none, or it is damaged.
    """
    return read_bundle(_folder())


def packed_settings() -> ServingSettings:
    """Return what the packed bundle says of serving.

    Raises:
        BundleError: As :func:`load_packed` raises it.
    """
    return read_manifest(_folder()).settings.serving


def _folder() -> Path:
    for tag in (MODEL_ALIAS, _NEWEST):
        try:
            return Path(bentoml.models.get(tag).path)
        except bentoml.exceptions.BentoMLException:
            continue
    raise BundleError(
        f"BentoML's model store does not hold `{_NEWEST}`.",
        where=_NEWEST,
        fix="see `bentoml models list`; the train flow stores a bundle on each run",
    )
