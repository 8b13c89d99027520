"""Content extraction: find the texts without a vector, encode them in shards, collect all vectors in item order.

Shards hold about equal work. A shard is read window by window, so memory does not grow with it.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import MofNCompleteColumn

from learn.config import ContentSettings
from learn.content.fingerprint import (
    EncoderFingerprint,
    Keys,
    choose_fingerprint,
    compute_content_keys,
    compute_fingerprint,
)
from learn.content.prompt import ItemPrompt, split_fields, weigh_fields
from learn.content.source import EncoderSource, resolve_settings_encoder
from learn.content.store import (
    KEY_TYPE,
    ContentStore,
    GrowingPart,
    Search,
    find_first_keys,
    from_key_column,
    to_key_column,
)
from learn.errors import DataError, EncoderError, StoreError, explain_storage_faults
from learn.progress import LINE_SECONDS, ProgressDisplay
from learn.storage import open_place

KEYS = "keys.npy"
"""Keys of all texts of a plan; garbage collection keeps the vectors of every such file below the workspace."""

Rows = npt.NDArray[np.int64]

_CHUNK_ITEMS = 50_000
_SHARD_ITEMS = 50_000
# By default Metaflow splits a foreach into 100 tasks at most.
_MOST_SHARDS = 100
_SCHEMA = pa.schema([pa.field("key", KEY_TYPE), pa.field("text", pa.large_string())])


@dataclass(frozen=True)
class Shard:
    """Texts that one task encodes.

    Attributes:
        number: The shard's number, counted from 0.
        file: Parquet of ``key`` and ``text``; None when there is nothing to encode.
        texts: Number of texts.
        characters: Their total length, the estimate of the work.
    """

    number: int
    file: Path | None
    texts: int
    characters: int


def count_items(items: Path) -> int:
    """Return the number of rows of a Parquet table."""
    return int(pq.read_metadata(items).num_rows)


def iterate_items(items: Path, prompt: ItemPrompt) -> Iterator[pl.DataFrame]:
    """Yield the prompt's columns of a Parquet table, some ten thousand rows at a time."""
    with pq.ParquetFile(items) as file:
        names = file.schema_arrow.names
        # Read at least one column, so that the prompt can report which columns are missing.
        prompt.require_fields(names)
        present = [name for name in names if name in prompt.fields] or names[:1]
        for batch in file.iter_batches(batch_size=_CHUNK_ITEMS, columns=present):
            yield pl.DataFrame(batch)


def split_rows(rows: Rows, characters: npt.NDArray[np.int32], *, wanted: int) -> list[Rows]:
    """Cut rows into runs of about equal work.

    Args:
        rows: Rows of the texts to encode, ascending.
        characters: (texts,) length of each text.
        wanted: Number of runs; 0: one for each 50,000 rows, 100 at most. Fewer are returned if the work cannot be cut
            that finely.
    """
    if not len(rows):
        return []
    wanted = min(len(rows), wanted or min(_MOST_SHARDS, -(-len(rows) // _SHARD_ITEMS)))
    # Each text also costs its special tokens, about two words.
    work = np.cumsum(characters[rows].astype(np.int64) + 8)
    numbers = (work - 1) * wanted // work[-1]
    return np.split(rows, np.flatnonzero(np.diff(numbers)) + 1)


@contextmanager
def make_shards(folder: Path) -> Iterator[Path]:
    """Yield a folder to build a plan in, which then replaces ``folder`` and whatever that held."""
    building = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}.tmp")
    building.mkdir(parents=True)
    try:
        yield building
        shutil.rmtree(folder, ignore_errors=True)
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def save_keys(path: Path, keys: Keys) -> None:
    """Write a plan's keys atomically."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.save(file, keys)
    unfinished.replace(path)


def write_shards(
    building: Path,
    *,
    folder: Path,
    items: Path,
    prompt: ItemPrompt,
    keys: Keys,
    shares: Sequence[Rows],
    characters: npt.NDArray[np.int32],
) -> tuple[Shard, ...]:
    """Write a file for each share into ``building``, which will be renamed to ``folder``.

    Returns:
        The shards, at least one, possibly empty.
    """
    _write_shares(building, items=items, prompt=prompt, keys=keys, shares=shares)
    made = [
        Shard(
            number=number,
            file=_name_file(folder, number),
            texts=len(rows),
            characters=int(characters[rows].sum(dtype=np.int64)),
        )
        for number, rows in enumerate(shares)
    ]
    return tuple(made) or (Shard(number=0, file=None, texts=0, characters=0),)


def read_shard_keys(file: Path) -> Keys:
    """Return all keys of a shard, (n,) of ``S32``.

    Raises:
        StoreError: The shard's file is gone or damaged.
    """
    with _open_file(file) as table:
        return from_key_column(table.read(columns=["key"]).column("key").combine_chunks())


def iterate_missing_windows(file: Path, found: Search, *, size: int) -> Iterator[tuple[Keys, list[str]]]:
    """Yield the keys and texts of a shard that no writer has stored yet, at most ``size`` at a time.

    Args:
        file: The shard's file.
        found: A search for all its keys; refreshed for each window.
        size: Rows read at the same time.

    Raises:
        StoreError: The shard's file is gone or damaged, or the store is.
    """
    with _open_file(file) as table:
        start = 0
        for batch in table.iter_batches(batch_size=size):
            found.refresh()
            missing = found.missing
            inside = missing[slice(*np.searchsorted(missing, [start, start + len(batch)]))] - start
            if len(inside):
                texts = batch.column("text").take(inside).to_pylist()
                yield from_key_column(batch.column("key"))[inside], [str(text) for text in texts]
            start += len(batch)


def _write_shares(folder: Path, *, items: Path, prompt: ItemPrompt, keys: Keys, shares: Sequence[Rows]) -> None:
    if not shares:
        return
    rows = np.concatenate(shares)
    numbers = np.repeat(np.arange(len(shares)), [len(share) for share in shares])
    start = 0
    writers: dict[int, pq.ParquetWriter] = {}
    with ExitStack() as open_files:
        for frame in iterate_items(items, prompt):
            stop = start + len(frame) * prompt.blocks
            inside = slice(*np.searchsorted(rows, [start, stop]))
            for number in np.unique(numbers[inside]).tolist():
                if number not in writers:
                    file = pq.ParquetWriter(_name_file(folder, number), _SCHEMA, compression="zstd")
                    writers[number] = open_files.enter_context(file)
                chosen = rows[inside][numbers[inside] == number]
                _append(writers[number], keys[chosen], _render_texts(chosen - start, frame, prompt))
            start = stop


def _render_texts(rows: Rows, frame: pl.DataFrame, prompt: ItemPrompt) -> list[str]:
    # Only the requested items are rendered: usually few have changed.
    items, places = np.unique(rows // prompt.blocks, return_inverse=True)
    texts = split_fields(prompt.render(frame[items]), blocks=prompt.blocks)
    return [texts[row] for row in (places * prompt.blocks + rows % prompt.blocks).tolist()]


def _append(writer: pq.ParquetWriter, keys: Keys, texts: list[str]) -> None:
    writer.write_table(pa.Table.from_arrays([to_key_column(keys), pa.array(texts, pa.large_string())], schema=_SCHEMA))


def _open_file(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as fault:
        raise StoreError(
            "A shard of the extraction is missing or damaged.", where=file, fix="start the run again"
        ) from fault


def _name_file(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.parquet"


# While vectors are collected, each item takes some 80 bytes of memory: this many items take 40 MB.
_COLLECTED_ITEMS = 1 << 19


@dataclass(frozen=True)
class ExtractionPlan:
    """What an extraction will do. The record is small; the data is in ``folder``.

    Attributes:
        folder: ``keys.npy``, (items * texts of an item,) of ``S32``, and the shards' texts.
        store: Root of the content stores, path or URL.
        settings: The settings of the plan.
        fingerprint: Of the encoder.
        items: Rows of the table.
        reused: Texts whose vector is already in the store. An item has one text, and one more for each of the settings'
            ``field_vectors``.
        duplicates: Missing texts that occur more than once; each is encoded once.
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
        encoded: Texts that this run encoded.
        reused: Texts whose vector was already in the store.
        dimension: Width of a row: the encoder's width times the vectors of an item.
        fingerprint: Of the encoder.
        store: Folder of the encoder's store, path or URL.
        seconds: Time spent encoding, summed over the shards.
        tokens: Tokens that the encoder read.
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
    """Find the items whose text has no vector yet, and split them into shards of equal work.

    No model is loaded, unless the arithmetic must be chosen by measurement and this machine has a choice.

    Args:
        items: The valid items, Parquet.
        store: Root of the content stores, path or URL.
        settings: Encoder and prompt.
        folder: Where the plan's files go, replaced if present; None: ``content_plan`` next to the items.

    Raises:
        EncoderError: There is no such encoder.
        DataError: There are no items, or none of the prompt's columns.
        StoreError: The store is damaged or cannot be reached.
        StorageError: The plan cannot be written.
    """
    prompt = ItemPrompt(settings)
    fingerprint = choose_fingerprint(
        resolve_settings_encoder(settings),
        settings,
        template_version=prompt.template_version,
        held=lambda each: _store_of(store, each).dimension is not None,
        missing=lambda each: len(_store_of(store, each).find_missing(_compute_item_keys(items, prompt, each)[0])),
    )
    keys, characters = _compute_item_keys(items, prompt, fingerprint)
    opened = ContentStore.create(store, fingerprint)
    folder = items.parent / "content_plan" if folder is None else folder
    with explain_storage_faults(folder), make_shards(folder) as building:
        # Written before the store is read, because garbage collection keeps the vectors of such a file.
        save_keys(building / KEYS, keys)
        absent = opened.find_missing(keys)
        rows = absent[find_first_keys(keys[absent])]
        shares = split_rows(rows, characters, wanted=settings.shards)
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


class EncodingProgress(ProgressDisplay):
    """Shows texts per second, tokens per second, the share of padding, and the remaining time.

    Args:
        total: Texts to encode.
        console: Where to show it; standard error by default.
        line_seconds: Time between two lines if there is no terminal.
    """

    def __init__(self, total: int, *, console: Console | None = None, line_seconds: float = LINE_SECONDS) -> None:
        super().__init__(
            "Encoding", total=total, console=console, line_seconds=line_seconds, counts=MofNCompleteColumn()
        )
        self._texts = total
        self.texts = 0
        self.tokens = 0
        self.padding = 0

    def advance(self, texts: int, tokens: int, padding: int = 0) -> None:
        """Count a finished batch: its texts, its tokens, and its padding tokens besides."""
        self.texts += texts
        self.tokens += tokens
        self.padding += padding
        share = self.padding / max(1, self.tokens + self.padding)
        rate = (
            f"{self.texts / self.seconds:,.0f} texts/s, {self.tokens / self.seconds:,.0f} tokens/s, {share:.1%} padding"
        )
        self.update(self.texts, rate=rate, line=f"Encoded {self.texts:,} of {self._texts:,} texts, {rate}")


def encode_shard(
    plan: ExtractionPlan, shard: Shard, *, parallel: int = 1, progress: EncodingProgress | None = None
) -> ShardResult:
    """Encode a shard's texts into the store, part by part; skip those that are already in the store.

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
    store = ContentStore.create(plan.store, plan.fingerprint)
    if shard.file is None or not len((found := store.search(read_shard_keys(shard.file))).missing):
        return ShardResult(encoded=0, seconds=0.0, tokens=0)
    # Imported here, because a run that encodes nothing must not wait for torch.
    from learn.content.encoder import count_available_threads, load_encoder

    with EncodingProgress(shard.texts) if progress is None else progress as shown:
        threads = max(1, (plan.settings.threads or count_available_threads()) // max(1, parallel))
        encoder = load_encoder(
            plan.settings, source=_require_unchanged_source(plan), threads=threads, arithmetic=plan.fingerprint.dtype
        )
        part = GrowingPart(store, items=plan.settings.part_items, seconds=plan.settings.part_seconds)
        for keys, texts in iterate_missing_windows(shard.file, found, size=plan.settings.part_items):
            start = 0
            while start < len(keys):
                taken = slice(start, start + part.count_room())
                part.add(keys[taken], encoder.encode(texts[taken], progress=shown.advance))
                start = taken.stop
        part.close()
        return ShardResult(encoded=shown.texts, seconds=shown.seconds, tokens=shown.tokens)


def collect_vectors(plan: ExtractionPlan, results: Sequence[ShardResult], *, destination: Path) -> ContentSummary:
    """Write the vectors of all items, in item order, to ``destination/vectors.npy``.

    Args:
        plan: The plan of the extraction.
        results: The results of its shards.
        destination: Folder, made if absent.

    Raises:
        StoreError: A vector is missing, or a part is damaged.
        StorageError: The file cannot be written.
    """
    store = ContentStore.create(plan.store, plan.fingerprint)
    keys: Keys = np.load(plan.folder / KEYS, mmap_mode="r")
    blocks, width = len(keys) // plan.items, store.dimension or 0
    nothing = compute_content_keys([""], plan.fingerprint)[0]
    path = destination / "vectors.npy"
    temporary = destination / f".vectors.{uuid.uuid4().hex[:12]}.tmp"
    with explain_storage_faults(path):
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
    # A full disk kills a process that writes to a memory map. Reserving the space first raises an error instead.
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))


def _compute_item_keys(
    items: Path, prompt: ItemPrompt, fingerprint: EncoderFingerprint
) -> tuple[Keys, npt.NDArray[np.int32]]:
    count = count_items(items) * prompt.blocks
    keys, characters = np.empty(count, dtype="S32"), np.empty(count, dtype=np.int32)
    start = 0
    for frame in iterate_items(items, prompt):
        texts = split_fields(prompt.render(frame), blocks=prompt.blocks)
        rows = slice(start, start + len(texts))
        keys[rows] = compute_content_keys(texts, fingerprint)
        characters[rows] = np.fromiter(map(len, texts), dtype=np.int32, count=len(texts))
        start = rows.stop
    if not count:
        raise DataError("There are no items to encode.", where=items, fix="look at the quarantine: no item was valid")
    return keys, characters


def _store_of(root: str | Path, fingerprint: EncoderFingerprint) -> ContentStore:
    return ContentStore(open_place(root).open_subfolder(fingerprint.folder_name))


def _require_unchanged_source(plan: ExtractionPlan) -> EncoderSource:
    source, planned = resolve_settings_encoder(plan.settings), plan.fingerprint
    now = compute_fingerprint(
        source, plan.settings, template_version=planned.template_version, arithmetic=planned.dtype
    )
    if now != planned:
        raise EncoderError(
            "The encoder has changed since this run began.", where=source.folder, fix="start the run again"
        )
    return source
