"""Bundles in BentoML's model store."""

from __future__ import annotations

import re
from pathlib import Path

import bentoml

from learn.environment import settle
from learn.errors import BundleError
from learn.serving.bundle import Bundle, copy_bundle, read_bundle

# BentoML takes letters, digits and these marks in a label's value, no slash, and at most 63 characters.
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9._-]+")
_LABEL_CHARACTERS = 63


def store_bundle(bundle: Path, *, name: str) -> str:
    """Put a bundle into BentoML's model store; a bundle that stands there already is not copied again.

    Args:
        bundle: Folder of the bundle.
        name: Name in the store.

    Returns:
        Its tag, ``name:version``.

    Raises:
        BundleError: The bundle is damaged.
        StorageError: The disk is full or closed.
    """
    settle()
    checked = read_bundle(bundle)
    tag = f"{name}:{checked.version}"
    if _stands_whole(tag):
        return tag
    with bentoml.models.create(tag, labels=_labels(checked), metadata=_metadata(checked)) as model:
        copy_bundle(bundle, Path(model.path))
    return tag


def load_stored(tag: str) -> Bundle:
    """Read a bundle out of the store, after checking it.

    Args:
        tag: ``name:version``, ``name:latest``, or an alias that the served bento gives its model.

    Raises:
        BundleError: The store does not hold it, or it is damaged.
    """
    try:
        model = bentoml.models.get(tag)
    except bentoml.exceptions.BentoMLException as fault:
        raise BundleError(
            f"BentoML's model store does not hold `{tag}`.",
            where=tag,
            fix="see `bentoml models list`; the train flow stores a bundle on each run",
        ) from fault
    return read_bundle(Path(model.path))


def newest_stored(name: str) -> Bundle | None:
    """Read the bundle that was stored last under a name; None where the store has none of that name.

    Raises:
        BundleError: It is damaged.
    """
    settle()
    tag = f"{name}:latest"
    try:
        bentoml.models.get(tag)
    except bentoml.exceptions.NotFound:
        return None
    return load_stored(tag)


def _stands_whole(tag: str) -> bool:
    try:
        bentoml.models.get(tag)
    except bentoml.exceptions.NotFound:
        return False
    try:
        load_stored(tag)
    except BundleError:
        bentoml.models.delete(tag)
        return False
    return True


def _labels(bundle: Bundle) -> dict[str, str]:
    manifest = bundle.manifest
    labels = {
        "data_version": manifest.data_version,
        "encoder": manifest.encoder_fingerprint,
        "code_revision": manifest.code_revision or "",
        "parent": manifest.parent or "",
    }
    cleaned = {key: _NOT_IN_LABELS.sub("-", value)[:_LABEL_CHARACTERS].strip("._-") for key, value in labels.items()}
    return {key: value for key, value in cleaned.items() if value}


def _metadata(bundle: Bundle) -> dict[str, str | int]:
    return {
        "items": len(bundle.items),
        "dimension": int(bundle.item_vectors.shape[1]),
        "weights_sha256": bundle.manifest.weights_sha256,
        "run_id": bundle.manifest.run_id,
    }
