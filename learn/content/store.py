"""The content store: vectors of texts by content key, in parts that are written once and never change.

A part is an Arrow file of keys and vectors with a checksum over both. A look-up needs memory only for the keys it looks
up, however many the store holds.
"""

from __future__ import annotations

import json
import mmap
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from learn.content.fingerprint import EncoderFingerprint, Keys
from learn.errors import StoreError
from learn.storage import Place, StoredFile, open_place

KEY_TYPE: pa.DataType = pa.binary(32)


def to_key_column(keys: Keys) -> pa.Array[Any]:
    """Return an Arrow column of ``fixed_size_binary[32]`` with these keys."""
    buffer = pa.py_buffer(np.ascontiguousarray(keys, dtype="S32").tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(KEY_TYPE, len(keys), [None, buffer])


def from_key_column(column: Any) -> Keys:
    """Return the keys of an Arrow array of ``fixed_size_binary[32]``, (n,) of ``S32``, as a view if Arrow allows it."""
    if not len(column):
        return np.empty(0, dtype="S32")
    whole: Keys = np.frombuffer(column.buffers()[1], dtype="S32")
    return whole[column.offset : column.offset + len(column)]


Stored = npt.NDArray[np.float32] | npt.NDArray[np.float16]
StoredAs = Literal["float32", "float16"]

REPAIR = "delete this file: the next run encodes the texts it held again"

_CHECKSUM, _WIDTH = b"crc32", b"width"
_ONLY_KEYS = pa.ipc.IpcReadOptions(included_fields=[0])


@dataclass(frozen=True)
class Part:
    """The contents of a part.

    Attributes:
        keys: (n,) of ``S32``.
        vectors: (n, c), as stored; (0, c) where only the keys were requested.
        width: c.
        checksum: The checksum stored in the file.
    """

    keys: Keys
    vectors: Stored
    width: int
    checksum: str

    @property
    def whole(self) -> bool:
        """Whether keys and vectors match the checksum."""
        return self.checksum == compute_checksum(self.keys, self.vectors)


def list_parts(place: Place) -> list[StoredFile]:
    """List the parts of a place in the order in which they were begun."""
    return [file for file in place.list_files() if file.name.startswith("part-") and file.name.endswith(".arrow")]


def name_part(begun_nanoseconds: int | None = None) -> str:
    """Return a name that no other part has; names sort by time."""
    stamp = time.time_ns() if begun_nanoseconds is None else begun_nanoseconds
    return f"part-{stamp:020d}-{uuid.uuid4().hex[:12]}.arrow"


def parse_begin_nanoseconds(name: str) -> int:
    """Return when the vectors in a part were first written."""
    stamp = name.split("-")[1]
    return int(stamp) if stamp.isdigit() else 0


def encode_part(keys: Keys, vectors: Stored) -> pa.Buffer:
    """Return a part as the bytes of an Arrow file; float16 vectors stay float16, all others become float32."""
    rows: Stored = vectors if vectors.dtype == np.float16 else vectors.astype(np.float32, copy=False)
    vector_column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
    keys_column = to_key_column(keys)
    fields = [pa.field("key", keys_column.type), pa.field("vector", vector_column.type)]
    schema = pa.schema(fields, metadata={_CHECKSUM: compute_checksum(keys, rows), _WIDTH: str(rows.shape[1])})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_arrays([keys_column, vector_column], schema=schema))
    return sink.getvalue()


def read_parts(place: Place, names: Sequence[str], *, with_vectors: bool) -> Iterator[Part]:
    """Yield parts in the order of the names.

    Args:
        place: Where they are.
        names: Names of their files.
        with_vectors: Whether to read the vectors too; from a remote place only what is read is downloaded.

    Raises:
        FileNotFoundError: A part was removed.
        StoreError: A part is damaged, or a file is not a part.
    """

    return place.map_files(
        names,
        lambda name, source: _read(source, where=place.locate(name), with_vectors=with_vectors),
        whole=with_vectors,
    )


def compute_checksum(keys: Keys, vectors: Stored) -> str:
    """Return the CRC-32 of the keys and the vectors, 8 hexadecimal digits."""
    own = np.ascontiguousarray(keys, dtype="S32")
    return f"{zlib.crc32(np.ascontiguousarray(vectors).data, zlib.crc32(own.tobytes())):08x}"


def _read(source: pa.NativeFile, *, where: str, with_vectors: bool) -> Part:
    try:
        file = pa.ipc.open_file(source, options=_ONLY_KEYS)
        stated = file.schema.metadata or {}
        # Parts of earlier releases do not state their width. They are on local disks, where all columns read as fast.
        if with_vectors or _WIDTH not in stated:
            file = pa.ipc.open_file(source)
        table = file.read_all().combine_chunks()
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as fault:
        what = "A part of the content store is damaged (truncated or overwritten)."
        raise StoreError(what, where=where, fix=REPAIR) from fault
    named = {field.name: field.type for field in table.schema}
    vector_type = named.get("vector")
    if named.get("key") != KEY_TYPE or not (vector_type is None or pa.types.is_fixed_size_list(vector_type)):
        raise StoreError("This file is not a part of a content store.", where=where, fix=REPAIR)
    width = int(stated[_WIDTH]) if vector_type is None else int(vector_type.list_size)
    return Part(
        keys=from_key_column(table.column("key").chunk(0)) if table.num_rows else np.empty(0, dtype="S32"),
        vectors=_read_vectors(table, width),
        width=width,
        checksum=stated.get(_CHECKSUM, b"").decode(errors="replace"),
    )


def _read_vectors(table: pa.Table, width: int) -> Stored:
    if "vector" not in table.column_names or not table.num_rows:
        return np.empty((0, width), dtype=np.float32)
    column: Any = table.column("vector").chunk(0)
    found: Stored = column.flatten().to_numpy(zero_copy_only=True)
    return found.reshape(-1, width)


_TRIES: Final = 5


class Search:
    """The parts of a store that hold some keys. If several hold a key, the first one counts.

    Args:
        place: Folder of the parts.
        keys: n keys, (n,) of ``S32``; repeats are allowed.

    Raises:
        StoreError: A part is damaged, or the place cannot be reached.
    """

    def __init__(self, place: Place, keys: Keys) -> None:
        self._place = place
        self._keys = keys
        starts = read_key_starts(keys)
        self._order = np.argsort(starts, kind="stable")
        self._sorted = starts[self._order]
        self._begin()
        self.refresh()

    def _begin(self) -> None:
        self.parts: list[str] = []
        self.width: int | None = None
        self.part_numbers = np.full(len(self._keys), -1, dtype=np.int32)  # (n,) into parts; -1: in none
        self.rows = np.zeros(len(self._keys), dtype=np.int32)  # (n,) within the part

    @property
    def missing(self) -> npt.NDArray[np.int64]:
        """Return the positions of the keys that are in no part, ascending."""
        return np.flatnonzero(self.part_numbers < 0)

    def refresh(self) -> None:
        """Search the parts that were added since the last search.

        Raises:
            StoreError: A part is damaged, or the place cannot be reached.
        """
        for _ in range(_TRIES):
            present = [file.name for file in list_parts(self._place)]
            if not set(self.parts) <= set(present):
                self._begin()
            try:
                self._look_into(sorted(set(present) - set(self.parts)))
            except FileNotFoundError:
                # Garbage collection has merged parts since they were listed.
                continue
            return
        raise StoreError(
            "The parts of the content store change faster than they can be read.",
            where=self._place.location,
            fix="run again when garbage collection has finished",
        )

    def _look_into(self, names: list[str]) -> None:
        for name, part in zip(names, read_parts(self._place, names, with_vectors=False), strict=True):
            self.width = part.width if self.width is None else self.width
            if part.width != self.width:
                raise StoreError(
                    f"The store has vectors of different widths: {sorted((self.width, part.width))}.",
                    where=self._place.locate(name),
                    fix=REPAIR,
                )
            self._note(len(self.parts), part.keys)
            self.parts.append(name)

    def _note(self, number: int, keys: Keys) -> None:
        starts = read_key_starts(keys)
        first = np.searchsorted(self._sorted, starts)
        counts = np.searchsorted(self._sorted, starts, side="right") - first
        rows = np.repeat(np.arange(len(keys)), counts)
        # Positions of each run of equal starts, one run after the other.
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        wanted = self._order[np.repeat(first, counts) + within]
        right = (self._keys[wanted] == keys[rows]) & (self.part_numbers[wanted] < 0)
        self.part_numbers[wanted[right]] = number
        self.rows[wanted[right]] = rows[right]


def find_first_keys(keys: Keys) -> npt.NDArray[np.int64]:
    """Return the positions of keys that occur for the first time, ascending."""
    starts = read_key_starts(keys)
    order = np.argsort(starts, kind="stable")
    alike = np.flatnonzero(starts[order][1:] == starts[order][:-1])
    again = alike[keys[order[alike]] == keys[order[alike + 1]]] + 1
    return np.sort(np.delete(order, again))


def read_key_starts(keys: Keys) -> npt.NDArray[np.uint64]:
    """Return the first 8 bytes of each key as a number: keys are hashes, so few share them."""
    whole = np.ascontiguousarray(keys, dtype="S32").view(np.uint64)
    return whole.reshape(-1, 4)[:, 0].copy()


ENCODER = "encoder.json"

_FIRST_TEXTS = 16
_LET_GO_BYTES = 16 << 20


class ContentStore:
    """Vectors of one encoder in one folder of Arrow files; any number of processes and machines may write at once.

    Args:
        place: Folder of one encoder fingerprint, local or by URL; it need not exist yet.
        stored_as: Type of the numbers in new parts; parts of every type can be read.

    Raises:
        StoreError: The library that this kind of place needs is not installed.
    """

    def __init__(self, place: str | Path | Place, *, stored_as: StoredAs = "float32") -> None:
        self._place = open_place(place) if isinstance(place, str | Path) else place
        self._stored_as = stored_as

    @classmethod
    def create(cls, root: str | Path, fingerprint: EncoderFingerprint) -> ContentStore:
        """Open the store of one encoder under ``root``, and write the fingerprint next to the vectors for people.

        Raises:
            StorageError: The folder cannot be written.
            StoreError: The place cannot be reached or written.
        """
        store = cls.open_existing(root, fingerprint)
        place = store._place
        for left in place.list_abandoned():
            place.remove(left.name)
        if not any(file.name == ENCODER for file in place.list_files()):
            place.write(ENCODER, json.dumps(asdict(fingerprint), indent=2).encode())
        return store

    @classmethod
    def open_existing(cls, root: str | Path, fingerprint: EncoderFingerprint) -> ContentStore:
        """Open the store of one encoder for reading. Nothing is written, and it is empty before the first run."""
        return cls(open_place(root).open_subfolder(fingerprint.folder_name), stored_as=fingerprint.stored_as)

    @property
    def location(self) -> str:
        """Path or URL of the folder."""
        return self._place.location

    def __len__(self) -> int:
        return len(self.read_keys())

    @property
    def dimension(self) -> int | None:
        """Width c of the vectors; None while the store is empty."""
        for file in list_parts(self._place):
            with suppress(FileNotFoundError):  # garbage collection may remove it meanwhile
                return next(iter(read_parts(self._place, [file.name], with_vectors=False))).width
        return None

    def read_keys(self) -> Keys:
        """Return all keys, sorted, (n,) of ``S32``. Each takes 32 bytes of memory, and 64 while they are sorted.

        Raises:
            StoreError: A part is damaged, or the place cannot be reached.
        """
        names = [file.name for file in list_parts(self._place)]
        found = [part.keys for part in read_parts(self._place, names, with_vectors=False)]
        return np.unique(np.concatenate(found or [np.empty(0, dtype="S32")]))

    def search(self, keys: Keys) -> Search:
        """Find the parts that hold the keys' vectors.

        Raises:
            StoreError: A part is damaged, or the place cannot be reached.
        """
        return Search(self._place, keys)

    def find_missing(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Return the positions of the keys that have no vector yet, ascending.

        Raises:
            StoreError: A part is damaged, or the place cannot be reached.
        """
        return self.search(keys).missing

    def write(self, keys: Keys, vectors: npt.NDArray[np.float32]) -> str | None:
        """Add a part atomically.

        Args:
            keys: (n,) of ``S32``.
            vectors: (n, c) float32.

        Returns:
            Path or URL of the new part; None if there was nothing to write.

        Raises:
            StorageError: The disk is full or not writable to this user.
            StoreError: The place cannot be reached or written.
        """
        if len(keys) != len(vectors) or vectors.ndim != 2:
            raise ValueError(f"each key needs a vector: {len(keys)} keys, but vectors of shape {vectors.shape}")
        if not len(keys):
            return None
        name = name_part()
        self._place.write(name, encode_part(keys, vectors.astype(self._stored_as, copy=False)))
        return self._place.locate(name)

    def read_vectors(self, keys: Keys) -> npt.NDArray[np.float32]:
        """Read the vectors of the keys in their order, (n, c) float32.

        Raises:
            StoreError: A part is damaged, or a key has no vector.
        """
        out = np.empty((len(keys), self.dimension or 0), dtype=np.float32)
        self.read(keys, out=out)
        return out

    def read(self, keys: Keys, *, out: npt.NDArray[np.float32]) -> None:
        """Write the vectors of the keys, in their order, into ``out``, which may be a memory map.

        Each part is read once, whatever the order of the keys.

        Args:
            keys: n keys, (n,) of ``S32``; repeats are allowed.
            out: (n, c) float32.

        Raises:
            StoreError: A part is damaged, or a key has no vector.
        """
        if not len(keys):
            return None
        for _ in range(_TRIES):
            found = self.search(keys)
            if len(found.missing):
                raise StoreError(
                    f"{len(found.missing)} of {len(keys)} vectors are not in the content store.",
                    where=self.location,
                    fix="run the extraction again: it encodes the missing texts",
                )
            try:
                return self._copy(found, out)
            except FileNotFoundError:
                # Garbage collection has merged parts since they were found.
                continue
        raise StoreError(
            "The parts of the content store change faster than they can be read.",
            where=self.location,
            fix="run again when garbage collection has finished",
        )

    def _copy(self, found: Search, out: npt.NDArray[np.float32]) -> None:
        order = np.argsort(found.part_numbers, kind="stable")
        used, starts = np.unique(found.part_numbers[order], return_index=True)
        names = [found.parts[number] for number in used]
        parts = read_parts(self._place, names, with_vectors=True)
        copied = 0
        for part, wanted in zip(parts, np.split(order, starts[1:]), strict=True):
            out[wanted] = part.vectors[found.rows[wanted]]
            copied += wanted.size * out.shape[1] * out.itemsize
            if copied > _LET_GO_BYTES:
                _let_go(out)
                copied = 0


class GrowingPart:
    """Buffers vectors and writes them to the store when they are many or have waited long.

    Args:
        store: The store to write to.
        items: Most vectors in a part.
        seconds: Longest time to fill a part, as estimated from the encoder's speed.
    """

    def __init__(self, store: ContentStore, *, items: int, seconds: float) -> None:
        self._store = store
        self._items = items
        self._seconds = seconds
        self._rate: float | None = None
        self._empty()

    def _empty(self) -> None:
        self._begun = self._added = time.monotonic()
        self._keys: list[Keys] = []
        self._vectors: list[npt.NDArray[np.float32]] = []
        self._held = 0

    def count_room(self) -> int:
        """Return how many texts to encode next, at least one; only a few until the encoder's speed is known."""
        left = self._seconds - (self._added - self._begun)
        fitting = _FIRST_TEXTS if self._rate is None else int(self._rate * left)
        return max(1, min(self._items - self._held, fitting))

    def add(self, keys: Keys, vectors: npt.NDArray[np.float32]) -> None:
        """Add vectors, and write the part if it is full or due.

        Raises:
            StorageError: The disk is full or not writable to this user.
            StoreError: The place cannot be reached or written.
        """
        now = time.monotonic()
        self._rate = len(keys) / max(now - self._added, 1e-6)
        self._added = now
        self._keys.append(keys)
        self._vectors.append(vectors)
        self._held += len(keys)
        # With less than a tenth of the time left, another batch is not worthwhile.
        if self._held >= self._items or now - self._begun >= 0.9 * self._seconds:
            self.close()

    def close(self) -> None:
        """Write the buffered vectors.

        Raises:
            StorageError: The disk is full or not writable to this user.
            StoreError: The place cannot be reached or written.
        """
        if self._held:
            self._store.write(np.concatenate(self._keys), np.concatenate(self._vectors))
        self._empty()


def _let_go(out: npt.NDArray[np.float32]) -> None:
    # Pages written to a map count as this process's memory until they are released; the file keeps them.
    base: Any = out
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
