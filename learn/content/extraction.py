"""Content extraction: what is missing, encoding it in shards, and all vectors in item order."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from learn.config import ContentSettings
from learn.content.arithmetic import settled_fingerprint
from learn.content.fields import texts_of, weigh_fields
from learn.content.fingerprint import (
    EncoderFingerprint,
    Keys,
    content_keys,
    fingerprint_encoder,
)
from learn.content.places import place_at
from learn.content.progress import EncodingProgress
from learn.content.prompt import ItemPrompt
from learn.content.search import first_of_each
from learn.content.shards import (
    KEYS,
    Shard,
    item_chunks,
    item_count,
    missing_windows,
    plan_in_the_making,
    save_keys,
    shard_keys,
    share_out,
    write_shards,
)
from learn.content.source import EncoderSource, resolved
from learn.content.store import ContentStore, GrowingPart
from learn.errors import DataError, EncoderError, storage_faults

# What is known of each item while vectors are gathered takes some 80 bytes: so many items at once are 40 MB.
_COLLECTED_ITEMS = 1 << 19


@dataclass(frozen=True)
class ExtractionPlan:
    """What an extraction will do; small, the data lies in ``folder``.

    Attributes:
        folder: ``keys.npy``, (items * texts of an item,) of ``S32``, and the shards' texts.
        store: Root of the content stores, path or URL.
        settings: As planned with.
        fingerprint: Of the encoder.
        items: Rows of the table.
        reused: Texts whose vector is in the store already; an item has one, and one more for each of the settings'
            ``field_vectors``.
        duplicates: Texts that are missing more than once: encoded once.
        shards: At least one, possibly empty.
    """

    folder: Path
    store: str
    settings: ContentSettings
    fingerprint: EncoderFingerprint
    items: int
    reused: int
    duplicates: int
    shards: tuple[Shard, ...]

    @property
    def missing(self) -> int:
        """Texts to encode."""
        return sum(shard.texts for shard in self.shards)


@dataclass(frozen=True)
class ShardResult:
    """What one task did: texts and tokens encoded, and the seconds it took, loading included."""

    encoded: int
    seconds: float
    tokens: int


@dataclass(frozen=True)
class ContentSummary:
    """The content vectors of a table of items.

    Attributes:
        path: ``.npy`` of (items, dimension) float32 unit vectors in item order.
        items: Rows.
        encoded: Texts encoded by this run.
        reused: Texts whose vector was in the store before.
        dimension: Width of a row: the encoder's, as many times as an item has vectors.
        fingerprint: Of the encoder.
        store: Folder of the encoder's store, path or URL.
        seconds: Spent encoding, summed over the shards.
        tokens: Read by the encoder.
    """

    path: Path
    items: int
    encoded: int
    reused: int
    dimension: int
    fingerprint: EncoderFingerprint
    store: str
    seconds: float
    tokens: int


def plan_extraction(
    items: Path, *, store: str | Path, settings: ContentSettings, folder: Path | None = None
) -> ExtractionPlan:
    """Find the items whose text has no vector yet and share them out by work.

    Loads no model, unless the arithmetic is to be chosen by measurement and this machine has a choice.

    Args:
        items: The valid items, Parquet.
        store: Root of the content stores, path or URL.
        settings: Encoder and prompt.
        folder: Where the plan's files go, replaced if present; None: ``content_plan`` beside the items.

    Raises:
        EncoderError: There is no such encoder.
        DataError: There are no items, or none of the prompt's columns.
        StoreError: The store is damaged or cannot be reached.
        StorageError: The plan cannot be written.
    """
    prompt = ItemPrompt(settings)
    fingerprint = settled_fingerprint(
        resolved(settings),
        settings,
        template_version=prompt.template_version,
        held=lambda each: _store_of(store, each).dimension is not None,
        missing=lambda each: len(_store_of(store, each).missing(_keys_of_items(items, prompt, each)[0])),
    )
    keys, characters = _keys_of_items(items, prompt, fingerprint)
    opened = ContentStore.for_encoder(store, fingerprint)
    folder = items.parent / "content_plan" if folder is None else folder
    with storage_faults(folder), plan_in_the_making(folder) as building:
        # Before the store is looked into: garbage collection keeps what stands in such a file.
        save_keys(building / KEYS, keys)
        absent = opened.missing(keys)
        rows = absent[first_of_each(keys[absent])]
        shares = share_out(rows, characters, wanted=settings.shards)
        shards = write_shards(
            building, folder=folder, items=items, prompt=prompt, keys=keys, shares=shares, characters=characters
        )
    return ExtractionPlan(
        folder=folder,
        store=str(store),
        settings=settings,
        fingerprint=fingerprint,
        items=len(keys) // prompt.blocks,
        reused=len(keys) - len(absent),
        duplicates=len(absent) - len(rows),
        shards=shards,
    )


def encode_shard(
    plan: ExtractionPlan, shard: Shard, *, parallel: int = 1, progress: EncodingProgress | None = None
) -> ShardResult:
    """Encode a shard's texts into the store, part by part; what is in the store by now is passed over.

    Args:
        plan: The plan the shard belongs to.
        shard: One of its shards.
        parallel: Shards encoded at the same time on this machine; they share its cores.
        progress: Shows the progress; None: on standard error.

    Raises:
        EncoderError: The encoder cannot be loaded, or it has changed since the plan was made.
        StoreError: The store is damaged.
        StorageError: The store cannot be written.
    """
    store = ContentStore.for_encoder(plan.store, plan.fingerprint)
    if shard.file is None or not len((found := store.search(shard_keys(shard.file))).missing):
        return ShardResult(encoded=0, seconds=0.0, tokens=0)
    # Here and no earlier: a run that encodes nothing shall not wait for torch.
    from learn.content.encoder import load_encoder
    from learn.content.threads import available_threads

    with EncodingProgress(shard.texts) if progress is None else progress as shown:
        threads = max(1, (plan.settings.threads or available_threads()) // max(1, parallel))
        encoder = load_encoder(
            plan.settings, source=_unchanged_source(plan), threads=threads, arithmetic=plan.fingerprint.dtype
        )
        part = GrowingPart(store, items=plan.settings.part_items, seconds=plan.settings.part_seconds)
        for keys, texts in missing_windows(shard.file, found, size=plan.settings.part_items):
            start = 0
            while start < len(keys):
                taken = slice(start, start + part.room())
                part.add(keys[taken], encoder.encode(texts[taken], progress=shown.advance))
                start = taken.stop
        part.close()
        return ShardResult(encoded=shown.texts, seconds=shown.seconds, tokens=shown.tokens)


def collect_vectors(plan: ExtractionPlan, results: Sequence[ShardResult], *, destination: Path) -> ContentSummary:
    """Write the vectors of all items, in item order, to ``destination/vectors.npy``.

    Args:
        plan: What was to be done.
        results: What the shards did.
        destination: Folder, made if absent.

    Raises:
        StoreError: A vector is missing, or a part is damaged.
        StorageError: The file cannot be written.
    """
    store = ContentStore.for_encoder(plan.store, plan.fingerprint)
    keys: Keys = np.load(plan.folder / KEYS, mmap_mode="r")
    blocks, width = len(keys) // plan.items, store.dimension or 0
    nothing = content_keys([""], plan.fingerprint)[0]
    path = destination / "vectors.npy"
    temporary = destination / f".vectors.{uuid.uuid4().hex[:12]}.tmp"
    with storage_faults(path):
        destination.mkdir(parents=True, exist_ok=True)
        try:
            out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=(plan.items, blocks * width))
            _reserve(temporary)
            for start in range(0, plan.items, _COLLECTED_ITEMS // blocks):
                rows = out[start : start + _COLLECTED_ITEMS // blocks]  # (n, blocks * c)
                wanted = keys[start * blocks :][: len(rows) * blocks]
                store.read(wanted, out=rows.reshape(len(wanted), width))
                weigh_fields(rows, said=(wanted != nothing).reshape(-1, blocks))
            out.flush()
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return ContentSummary(
        path=path,
        items=plan.items,
        encoded=sum(result.encoded for result in results),
        reused=plan.reused,
        dimension=blocks * width,
        fingerprint=plan.fingerprint,
        store=store.location,
        seconds=sum(result.seconds for result in results),
        tokens=sum(result.tokens for result in results),
    )


def _reserve(path: Path) -> None:
    # A full disk kills a process that writes to a memory map; asked beforehand, it is an error like any other.
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))


def _keys_of_items(
    items: Path, prompt: ItemPrompt, fingerprint: EncoderFingerprint
) -> tuple[Keys, npt.NDArray[np.int32]]:
    count = item_count(items) * prompt.blocks
    keys, characters = np.empty(count, dtype="S32"), np.empty(count, dtype=np.int32)
    start = 0
    for frame in item_chunks(items, prompt):
        texts = texts_of(prompt.render(frame), blocks=prompt.blocks)
        rows = slice(start, start + len(texts))
        keys[rows] = content_keys(texts, fingerprint)
        characters[rows] = np.fromiter(map(len, texts), dtype=np.int32, count=len(texts))
        start = rows.stop
    if not count:
        raise DataError("There are no items to encode.", where=items, fix="look into the quarantine: no item was valid")
    return keys, characters


def _store_of(root: str | Path, fingerprint: EncoderFingerprint) -> ContentStore:
    return ContentStore(place_at(root).within(fingerprint.folder_name))


def _unchanged_source(plan: ExtractionPlan) -> EncoderSource:
    source, told = resolved(plan.settings), plan.fingerprint
    now = fingerprint_encoder(source, plan.settings, template_version=told.template_version, arithmetic=told.dtype)
    if now != told:
        raise EncoderError(
            "The encoder has changed since this run began.", where=source.folder, fix="start the run anew"
        )
    return source
