"""Shards of the texts to encode: shared out by work, written to files, read back window by window."""

from __future__ import annotations

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

from learn.content.columns import KEY_TYPE, key_column, keys_in
from learn.content.fields import texts_of
from learn.content.fingerprint import Keys
from learn.content.prompt import ItemPrompt
from learn.content.search import Search
from learn.errors import StoreError

KEYS = "keys.npy"
"""Keys of all texts of a plan; garbage collection keeps the vectors of every such file below the workspace."""

Rows = npt.NDArray[np.int64]

_CHUNK_ITEMS = 50_000
_SHARD_ITEMS = 50_000
# Metaflow splits a foreach a hundredfold at most unless it is told otherwise.
_MOST_SHARDS = 100
_SCHEMA = pa.schema([pa.field("key", KEY_TYPE), pa.field("text", pa.large_string())])


@dataclass(frozen=True)
class Shard:
    """Texts that one task encodes.

    Attributes:
        number: Counted from 0.
        file: Parquet of ``key`` and ``text``; None when there is nothing to encode.
        texts: How many.
        characters: How long together, the estimate of the work.
    """

    number: int
    file: Path | None
    texts: int
    characters: int


def item_count(items: Path) -> int:
    """Rows of a Parquet table."""
    return int(pq.read_metadata(items).num_rows)


def item_chunks(items: Path, prompt: ItemPrompt) -> Iterator[pl.DataFrame]:
    """The prompt's columns of a Parquet table, some ten thousand rows at a time."""
    with pq.ParquetFile(items) as file:
        names = file.schema_arrow.names
        # One column at least, for the prompt to say that it misses its own.
        prompt.require_fields(names)
        present = [name for name in names if name in prompt.fields] or names[:1]
        for batch in file.iter_batches(batch_size=_CHUNK_ITEMS, columns=present):
            yield pl.DataFrame(batch)


def share_out(rows: Rows, characters: npt.NDArray[np.int32], *, wanted: int) -> list[Rows]:
    """Cut rows into runs of about equal work.

    Args:
        rows: Of the texts to encode, ascending.
        characters: (texts,) length of each text.
        wanted: Number of runs; 0: one for each 50,000 rows, 100 at most. Fewer come back where the work cannot be cut
            so fine.
    """
    if not len(rows):
        return []
    wanted = min(len(rows), wanted or min(_MOST_SHARDS, -(-len(rows) // _SHARD_ITEMS)))
    # Each text also costs its special tokens, about two words.
    work = np.cumsum(characters[rows].astype(np.int64) + 8)
    numbers = (work - 1) * wanted // work[-1]
    return np.split(rows, np.flatnonzero(np.diff(numbers)) + 1)


@contextmanager
def plan_in_the_making(folder: Path) -> Iterator[Path]:
    """A folder to build a plan in, which then takes the place of ``folder`` and whatever that held."""
    building = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}.tmp")
    building.mkdir(parents=True)
    try:
        yield building
        shutil.rmtree(folder, ignore_errors=True)
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def save_keys(path: Path, keys: Keys) -> None:
    """Write a plan's keys; who looks sees all of them or none."""
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
    """Write a file for each share into ``building``, which is to become ``folder``.

    Returns:
        The shards, at least one, possibly empty.
    """
    _write_shares(building, items=items, prompt=prompt, keys=keys, shares=shares)
    made = [
        Shard(
            number=number,
            file=_file(folder, number),
            texts=len(rows),
            characters=int(characters[rows].sum(dtype=np.int64)),
        )
        for number, rows in enumerate(shares)
    ]
    return tuple(made) or (Shard(number=0, file=None, texts=0, characters=0),)


def shard_keys(file: Path) -> Keys:
    """All keys of a shard, (n,) of ``S32``.

    Raises:
        StoreError: The shard's file is gone or damaged.
    """
    with _opened(file) as table:
        return keys_in(table.read(columns=["key"]).column("key").combine_chunks())


def missing_windows(file: Path, found: Search, *, size: int) -> Iterator[tuple[Keys, list[str]]]:
    """Keys and texts of a shard that no writer has stored by then, at most ``size`` at a time.

    Args:
        file: The shard's.
        found: A search for all its keys; refreshed for each window.
        size: Rows looked at together.

    Raises:
        StoreError: The shard's file is gone or damaged, or the store is.
    """
    with _opened(file) as table:
        start = 0
        for batch in table.iter_batches(batch_size=size):
            found.refresh()
            missing = found.missing
            inside = missing[slice(*np.searchsorted(missing, [start, start + len(batch)]))] - start
            if len(inside):
                texts = batch.column("text").take(inside).to_pylist()
                yield keys_in(batch.column("key"))[inside], [str(text) for text in texts]
            start += len(batch)


def _write_shares(folder: Path, *, items: Path, prompt: ItemPrompt, keys: Keys, shares: Sequence[Rows]) -> None:
    if not shares:
        return
    rows = np.concatenate(shares)
    numbers = np.repeat(np.arange(len(shares)), [len(share) for share in shares])
    start = 0
    writers: dict[int, pq.ParquetWriter] = {}
    with ExitStack() as open_files:
        for frame in item_chunks(items, prompt):
            stop = start + len(frame) * prompt.blocks
            inside = slice(*np.searchsorted(rows, [start, stop]))
            for number in np.unique(numbers[inside]).tolist():
                if number not in writers:
                    file = pq.ParquetWriter(_file(folder, number), _SCHEMA, compression="zstd")
                    writers[number] = open_files.enter_context(file)
                chosen = rows[inside][numbers[inside] == number]
                _append(writers[number], keys[chosen], _texts_at(chosen - start, frame, prompt))
            start = stop


def _texts_at(rows: Rows, frame: pl.DataFrame, prompt: ItemPrompt) -> list[str]:
    # Only the items that are wanted are rendered: mostly few have changed.
    items, places = np.unique(rows // prompt.blocks, return_inverse=True)
    texts = texts_of(prompt.render(frame[items]), blocks=prompt.blocks)
    return [texts[row] for row in (places * prompt.blocks + rows % prompt.blocks).tolist()]


def _append(writer: pq.ParquetWriter, keys: Keys, texts: list[str]) -> None:
    writer.write_table(pa.Table.from_arrays([key_column(keys), pa.array(texts, pa.large_string())], schema=_SCHEMA))


def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as fault:
        raise StoreError(
            "A shard of the extraction is gone or damaged.", where=file, fix="start the run anew"
        ) from fault


def _file(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.parquet"
