"""Bundles in BentoML's model store, found by version, by its first characters, or by alias."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

import bentoml

from learn.environment import configure_process
from learn.errors import BundleError
from learn.registry.aliases import Alias, read_aliases
from learn.registry.bundle import Bundle, Manifest, copy_bundle, read_bundle, read_manifest

# BentoML takes letters, digits and these marks in a label's value, no slash, and at most 63 characters.
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9._-]+")
_LABEL_CHARACTERS = 63
# It is compared with what the store lists and never put into a path; this only keeps odd words out of the message.
_VERSION = re.compile(r"[0-9a-z]{1,64}")
_SHOWN_VERSIONS = 5


@dataclass(frozen=True)
class StoredModel:
    """A bundle in the store, as far as known without reading all of it.

    Attributes:
        name: Name of the model.
        version: Version of the bundle.
        folder: Its folder.
        stored: When it was stored.
        manifest: Its manifest; None if it cannot be read.
        fault: Why it cannot be read; empty if it can.
    """

    name: str
    version: str
    folder: Path
    stored: datetime
    manifest: Manifest | None
    fault: str = ""

    @property
    def tag(self) -> str:
        """BentoML's name of it."""
        return f"{self.name}:{self.version}"


def store_bundle(bundle: Path, *, name: str) -> str:
    """Put a bundle into BentoML's model store; a bundle that is there already is not copied again.

    Args:
        bundle: Folder of the bundle.
        name: Name in the store.

    Returns:
        Its tag, ``name:version``.

    Raises:
        BundleError: The bundle is damaged.
        StorageError: The disk is full or not writable.
    """
    configure_process()
    checked = read_bundle(bundle)
    tag = f"{name}:{checked.version}"
    if _is_complete(tag):
        return tag
    with bentoml.models.create(tag, labels=_build_labels(checked), metadata=_build_metadata(checked)) as model:
        copy_bundle(bundle, Path(model.path))
    return tag


def load_stored(tag: str) -> Bundle:
    """Read a bundle out of the store, after checking it.

    Args:
        tag: ``name:version``, ``name:latest``, ``name:champion``, ``name:challenger``, or an alias that the served
            bento gives its model.

    Raises:
        BundleError: The store does not have it, it is damaged, or nobody has promoted one.
        ServingError: The aliases cannot be read.
    """
    name, _, version = tag.partition(":")
    if version in get_args(Alias):
        return read_bundle(find_stored(name, version).folder)
    try:
        model = bentoml.models.get(tag)
    except bentoml.exceptions.BentoMLException as fault:
        raise BundleError(
            f"BentoML's model store has no model `{tag}`.",
            where=tag,
            fix="`bentoml models list` shows the stored models; each run of `learn train` stores one",
        ) from fault
    return read_bundle(Path(model.path))


def read_newest_stored(name: str) -> Bundle | None:
    """Read the bundle that was stored last under a name; None if the store has none of that name.

    Raises:
        BundleError: It is damaged.
    """
    configure_process()
    tag = f"{name}:latest"
    try:
        bentoml.models.get(tag)
    except bentoml.exceptions.NotFound:
        return None
    return load_stored(tag)


def list_stored(name: str) -> list[StoredModel]:
    """Return the bundles stored under a name, the newest first; unreadable ones with what is wrong with them."""
    configure_process()
    try:
        models = bentoml.models.list(name)
    except (bentoml.exceptions.BentoMLException, ValueError):  # none of that name, or not a valid name
        return []
    found = [
        _build_stored_model(name, str(model.tag.version), folder=Path(model.path), stored=model.info.creation_time)
        for model in models
    ]
    return sorted(found, key=lambda model: (model.stored, model.version), reverse=True)


def find_stored(name: str, wanted: str) -> StoredModel:
    """Find one bundle of a name.

    Args:
        name: Name of the model in the store.
        wanted: ``champion``, ``challenger``, ``latest``, a version, or its first characters if they are unique; the
            model's name may be before it, as in a tag.

    Raises:
        BundleError: There is none, or more than one; the message names similar ones.
        ServingError: The aliases cannot be read.
    """
    asked = wanted.removeprefix(f"{name}:")
    stored = list_stored(name)
    if not stored:
        raise BundleError(
            f"BentoML's model store has no model `{name}`.",
            where=wanted,
            fix="run `learn train`, which stores a bundle, or give another --name",
        )
    version = _resolve_alias(name, asked, newest=stored[0].version)
    exact = [model for model in stored if model.version == version]
    matching = exact or [model for model in stored if _VERSION.fullmatch(version) and model.version.startswith(version)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise BundleError(
            f"{len(matching)} versions of `{name}` begin with `{version}`: {_format_models(matching)}.",
            where=wanted,
            fix="give more of its characters",
        )
    versions = [model.version for model in stored]
    near = difflib.get_close_matches(version, versions, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(f'`{each}`' for each in near)}?" if near else f"it has {_format_models(stored)}"
    raise BundleError(f"BentoML's model store has no model `{name}:{version}`.", where=wanted, fix=hint)


def _resolve_alias(name: str, asked: str, *, newest: str) -> str:
    if asked == "latest":
        return newest
    if asked not in get_args(Alias):
        return asked
    aliases = read_aliases(name)
    challenger = None if aliases.challenger is None else aliases.challenger.version
    version = aliases.champion if asked == "champion" else challenger
    if version is None:
        raise BundleError(
            f"`{name}` has no {asked}.", where=asked, fix="name a version; `learn models list` shows them"
        )
    return version


def _format_models(models: list[StoredModel]) -> str:
    named = ", ".join(f"`{model.version}`" for model in models[:_SHOWN_VERSIONS])
    return named + (f" and {len(models) - _SHOWN_VERSIONS} more" if len(models) > _SHOWN_VERSIONS else "")


def _build_stored_model(name: str, version: str, *, folder: Path, stored: datetime) -> StoredModel:
    try:
        return StoredModel(name, version, folder, stored, read_manifest(folder))
    except BundleError as fault:
        return StoredModel(name, version, folder, stored, None, fault.what)


def _is_complete(tag: str) -> bool:
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


def _build_labels(bundle: Bundle) -> dict[str, str]:
    manifest = bundle.manifest
    labels = {
        "data_version": manifest.data_version,
        "encoder": manifest.encoder_fingerprint,
        "code_revision": manifest.code_revision or "",
        "parent": manifest.parent or "",
    }
    cleaned = {key: _NOT_IN_LABELS.sub("-", value)[:_LABEL_CHARACTERS].strip("._-") for key, value in labels.items()}
    return {key: value for key, value in cleaned.items() if value}


def _build_metadata(bundle: Bundle) -> dict[str, str | int]:
    return {
        "items": len(bundle.items),
        "dimension": int(bundle.item_vectors.shape[1]),
        "weights_sha256": bundle.manifest.weights_sha256,
        "run_id": bundle.manifest.run_id,
    }
