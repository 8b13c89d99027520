"""Prepare a data folder for an experiment as a run does: valid tables, histories, content vectors.

No data version is recorded. A hash of the files shows whether an earlier call made the same tables.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from learn.config import Section, Settings
from learn.content import ContentSummary, collect_vectors, encode_shard, plan_extraction
from learn.data import READER_VERSION, build_histories, find_sources, load_tables, require_tables
from learn.errors import DataError, explain_storage_faults
from learn.model import RunInputs

Say = Callable[[str], object]
"""Receives a line about each step."""

# The tables and the vectors depend on none of these.
_OF_THE_PACE = {"push", "lock_wait_seconds", "shards", "threads", "store", "part_items", "part_seconds"}
_KEY_DIGITS = 16
_READY = "ready"


def prepare_folder(data: Path, *, settings: Settings, say: Say) -> RunInputs:
    """Load, validate, split and encode a data folder; tables and vectors of an earlier call are reused.

    Args:
        data: Folder of ``items`` and ``interactions``; only read.
        settings: Results are written to ``experiments`` and ``content`` in their workspace.
        say: Receives what is being done.

    Raises:
        DataError: A table is missing or cannot be read, or it changes just now.
        InvalidDataError: Too many rows failed their checks.
        SplitError: No training, validation or test part can be made.
        EncoderError: The encoder cannot be obtained or loaded.
        StoreError: The content store is damaged.
        StorageError: The disk is full or not writable.
    """
    tables = _prepare_tables(data, settings=settings)
    folder = tables.parent
    split = build_histories(tables, folder / f"histories-{_hash_section(settings.split)}", settings=settings.split)
    say(f"Split: {split.described}.")
    content = _prepare_content(tables, folder, settings=settings, say=say)
    return RunInputs(settings, tables, split.folder, content.path, encoder_fingerprint=content.fingerprint.digest)


def _prepare_tables(data: Path, *, settings: Settings) -> Path:
    require_tables(data, settings=settings.data)
    found = find_sources(data, settings.data)
    sources = [found.items.path, found.interactions.path]
    key = _hash_data(sources, settings)
    folder = settings.workspace.absolute() / "experiments" / key
    ready = folder / _READY
    if not ready.exists():
        # Imported here, because Great Expectations takes seconds to load.
        from learn.data import validate_tables

        raw = load_tables(data, folder / "raw", settings=settings.data, timestamps=settings.validation.timestamps)
        if not _has_hash(sources, settings, key):
            # No snapshot is made here, so changed tables must not be stored under the key of the earlier bytes.
            shutil.rmtree(raw.folder, ignore_errors=True)
            fix = "wait until the program that writes there has finished, and run again"
            raise DataError("The tables changed while they were being read.", where=data, fix=fix)
        validate_tables(
            raw.folder,
            folder / "valid",
            report=folder / "validation.html",
            settings=settings.validation,
            sources=sources,
        )
        with explain_storage_faults(folder):
            ready.touch()
    return folder / "valid"


def _prepare_content(tables: Path, folder: Path, *, settings: Settings, say: Say) -> ContentSummary:
    name = f"content-{_hash_section(settings.content)}"
    plan = plan_extraction(
        tables / "items.parquet",
        store=settings.content_store,
        settings=settings.content,
        folder=folder / f"{name}-plan",
    )
    say(f"Content: {plan.missing} texts to encode, {plan.reused} items known.")
    return collect_vectors(plan, [encode_shard(plan, shard) for shard in plan.shards], destination=folder / name)


def _hash_data(sources: Sequence[Path], settings: Settings) -> str:
    """Return a hash of everything that the valid tables depend on."""
    digest = hashlib.sha256()
    for path in sources:
        # The name decides how a file is read.
        digest.update(path.name.encode())
        with explain_storage_faults(path), path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    digest.update(f"{READER_VERSION}{_hash_section(settings.data)}{_hash_section(settings.validation)}".encode())
    return digest.hexdigest()[:_KEY_DIGITS]


def _has_hash(sources: Sequence[Path], settings: Settings, key: str) -> bool:
    try:
        return _hash_data(sources, settings) == key
    except FileNotFoundError:
        return False


def _hash_section(section: Section) -> str:
    values = section.model_dump(mode="json", exclude=_OF_THE_PACE)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_KEY_DIGITS]
