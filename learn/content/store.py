"""The content store: vectors of texts, each under its key, in parts that are written once and never changed."""

from __future__ import annotations

import json
import os
import time
import uuid
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from learn.content.columns import KEY_TYPE, key_column, keys_in
from learn.content.fingerprint import EncoderFingerprint, Keys
from learn.errors import StoreError, storage_faults

_STALE_SECONDS = 3_600
_REPAIR = "delete this file: the texts it held are encoded again by the next run"


@dataclass(frozen=True)
class _Index:
    """All keys of the store, sorted, each with the place of its vector."""

    parts: tuple[Path, ...]
    keys: Keys  # (n,) S32, sorted, each once
    part_numbers: npt.NDArray[np.int32]  # (n,)
    rows: npt.NDArray[np.int64]  # (n,)


class ContentStore:
    """Vectors of one encoder in one folder of Arrow files; any number of processes may write at once.

    Args:
        folder: Folder of one encoder fingerprint; need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = _indexed(())

    @classmethod
    def for_encoder(cls, root: Path, fingerprint: EncoderFingerprint) -> ContentStore:
        """The store of one encoder under ``root``, with the fingerprint written beside the vectors for people to read.

        Raises:
            StorageError: The folder cannot be written.
        """
        folder = root / fingerprint.folder_name
        with storage_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _remove_stale(folder)
            if not (folder / "encoder.json").exists():
                _write_file(folder / "encoder.json", json.dumps(asdict(fingerprint), indent=2).encode())
        return cls(folder)

    def __len__(self) -> int:
        return len(self._refreshed().keys)

    @property
    def dimension(self) -> int | None:
        """Width c of the vectors; None while the store is empty."""
        parts = self._refreshed().parts
        return None if not parts else _vectors_of(_opened(parts[0])).shape[1]

    def keys(self) -> Keys:
        """All keys, sorted, (n,) of ``S32``."""
        return self._refreshed().keys

    def missing(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Positions of the keys that have no vector yet, ascending.

        Raises:
            StoreError: A part is damaged.
        """
        index = self._refreshed()
        if not len(index.keys):
            return np.arange(len(keys))
        found = np.minimum(np.searchsorted(index.keys, keys), len(index.keys) - 1)
        return np.flatnonzero(index.keys[found] != keys)

    def write(self, keys: Keys, vectors: npt.NDArray[np.float32]) -> Path | None:
        """Add a part, whole or not at all.

        Args:
            keys: (n,) of ``S32``.
            vectors: (n, c) float32.

        Returns:
            The new part; None when there was nothing to write.

        Raises:
            StorageError: The disk is full or closed to this user.
        """
        if len(keys) != len(vectors) or vectors.ndim != 2:
            raise ValueError(f"{len(keys)} keys, vectors of shape {vectors.shape}")
        if not len(keys):
            return None
        part = self.folder / f"part-{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.arrow"
        with storage_faults(part):
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_file(part, _part_bytes(keys, vectors))
        return part

    def vectors(self, keys: Keys) -> npt.NDArray[np.float32]:
        """Vectors of the keys in their order, (n, c) float32.

        Raises:
            StoreError: A part is damaged, or a key has no vector.
        """
        out = np.empty((len(keys), self.dimension or 0), dtype=np.float32)
        self.read(keys, out=out)
        return out

    def read(self, keys: Keys, *, out: npt.NDArray[np.float32]) -> None:
        """Write the vectors of the keys, in their order, into ``out``, which may be a memory map.

        Args:
            keys: n keys, (n,) of ``S32``; repeats are allowed.
            out: (n, c) float32.

        Raises:
            StoreError: A part is damaged, or a key has no vector.
        """
        absent = self.missing(keys)
        if len(absent):
            raise StoreError(
                f"{len(absent)} of {len(keys)} vectors are not in the content store.",
                where=self.folder,
                fix="run the extraction again: it encodes what is missing",
            )
        index = self._index
        found = np.searchsorted(index.keys, keys)
        part_numbers, rows = index.part_numbers[found], index.rows[found]
        order = np.argsort(part_numbers, kind="stable")
        used, starts = np.unique(part_numbers[order], return_index=True)
        for number, wanted in zip(used, np.split(order, starts[1:]), strict=True):
            out[wanted] = _vectors_of(_opened(index.parts[number]))[rows[wanted]]

    def check(self) -> int:
        """Read every byte of the store against its checksums; the number of vectors found good.

        Raises:
            StoreError: A part is damaged.
        """
        for part in self._refreshed().parts:
            table = _opened(part)
            stated = (table.schema.metadata or {}).get(b"crc32", b"").decode()
            if stated != _checksum(_keys_of(table), _vectors_of(table)):
                raise StoreError("A part of the content store has changed on disk.", where=part, fix=_REPAIR)
        return len(self._index.keys)

    def _refreshed(self) -> _Index:
        """The index with the parts that other writers have added since."""
        present = tuple(sorted(self.folder.glob("part-*.arrow")))
        if present != self._index.parts:
            self._index = _indexed(present)
        return self._index


def _indexed(parts: tuple[Path, ...]) -> _Index:
    tables = [_opened(part) for part in parts]
    widths = {_vectors_of(table).shape[1]: part for table, part in zip(tables, parts, strict=True)}
    if len(widths) > 1:
        odd = list(widths.values())[-1]
        raise StoreError(f"Vectors of different widths lie together: {sorted(widths)}.", where=odd, fix=_REPAIR)
    sizes = [table.num_rows for table in tables]
    keys, first = np.unique(
        np.concatenate([_keys_of(table) for table in tables] or [np.empty(0, dtype="S32")]),
        return_index=True,
    )
    part_numbers = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
    rows = np.concatenate([np.arange(size) for size in sizes] or [np.empty(0, dtype=np.int64)])
    return _Index(parts, keys, part_numbers[first], rows[first])


def _part_bytes(keys: Keys, vectors: npt.NDArray[np.float32]) -> pa.Buffer:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    vector_column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    keys_column = key_column(keys)
    fields = [pa.field("key", keys_column.type), pa.field("vector", vector_column.type)]
    schema = pa.schema(fields, metadata={"crc32": _checksum(keys, vectors)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_arrays([keys_column, vector_column], schema=schema))
    return sink.getvalue()


def _opened(part: Path) -> pa.Table:
    try:
        with pa.memory_map(str(part)) as source:
            table = pa.ipc.open_file(source).read_all().combine_chunks()
    except (pa.ArrowInvalid, OSError) as fault:
        what = "A part of the content store is damaged (cut off or overwritten)."
        raise StoreError(what, where=part, fix=_REPAIR) from fault
    named = {field.name: field.type for field in table.schema}
    if named.get("key") != KEY_TYPE or not pa.types.is_fixed_size_list(named.get("vector", pa.null())):
        raise StoreError("This file is not a part of a content store.", where=part, fix=_REPAIR)
    return table


def _keys_of(table: pa.Table) -> Keys:
    return keys_in(table.column("key").chunk(0)) if table.num_rows else np.empty(0, dtype="S32")


def _vectors_of(table: pa.Table) -> npt.NDArray[np.float32]:
    width = table.schema.field("vector").type.list_size
    if not table.num_rows:
        return np.empty((0, width), dtype=np.float32)
    column: Any = table.column("vector").chunk(0)
    return np.asarray(column.flatten().to_numpy(zero_copy_only=True), dtype=np.float32).reshape(-1, width)


def _checksum(keys: Keys, vectors: npt.NDArray[np.float32]) -> str:
    return f"{zlib.crc32(vectors.tobytes(), zlib.crc32(keys.tobytes())):08x}"


def _write_file(path: Path, data: bytes | pa.Buffer) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with temporary.open("xb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_stale(folder: Path) -> None:
    # Left by a writer that was killed; a living one finishes a part in seconds.
    for temporary in folder.glob(".*.tmp"):
        if time.time() - temporary.stat().st_mtime > _STALE_SECONDS:
            temporary.unlink(missing_ok=True)
