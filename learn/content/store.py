"""The content store: vectors of texts, each under its key, in parts that are written once and never changed."""

from __future__ import annotations

import json
import mmap
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from learn.content.fingerprint import EncoderFingerprint, Keys
from learn.content.parts import StoredAs, part_bytes, part_files, part_name, read_parts
from learn.content.places import Place, place_at
from learn.content.search import Search
from learn.errors import StoreError

ENCODER = "encoder.json"

_TRIES = 5
_FIRST_TEXTS = 16
_LET_GO_BYTES = 16 << 20


class ContentStore:
    """Vectors of one encoder in one folder of Arrow files; any number of processes and machines may write at once.

    Args:
        place: Folder of one encoder fingerprint, local or by URL; need not exist yet.
        stored_as: Numbers in the parts that are written here; all are read.

    Raises:
        StoreError: No library is installed that reaches the place.
    """

    def __init__(self, place: str | Path | Place, *, stored_as: StoredAs = "float32") -> None:
        self._place = place_at(place) if isinstance(place, str | Path) else place
        self._stored_as = stored_as

    @classmethod
    def for_encoder(cls, root: str | Path, fingerprint: EncoderFingerprint) -> ContentStore:
        """The store of one encoder under ``root``, with the fingerprint written beside the vectors for people to read.

        Raises:
            StorageError: The folder cannot be written.
            StoreError: The place cannot be reached or written.
        """
        store = cls.existing(root, fingerprint)
        place = store._place
        for left in place.abandoned():
            place.remove(left.name)
        if not any(file.name == ENCODER for file in place.files()):
            place.write(ENCODER, json.dumps(asdict(fingerprint), indent=2).encode())
        return store

    @classmethod
    def existing(cls, root: str | Path, fingerprint: EncoderFingerprint) -> ContentStore:
        """The same to look into: nothing is written, and it is empty where no run has written any vector."""
        return cls(place_at(root).within(fingerprint.folder_name), stored_as=fingerprint.stored_as)

    @property
    def location(self) -> str:
        """Path or URL of the folder."""
        return self._place.location

    def __len__(self) -> int:
        return len(self.keys())

    @property
    def dimension(self) -> int | None:
        """Width c of the vectors; None while the store is empty."""
        for file in part_files(self._place):
            with suppress(FileNotFoundError):  # garbage collection may take it meanwhile
                return next(iter(read_parts(self._place, [file.name], with_vectors=False))).width
        return None

    def keys(self) -> Keys:
        """All keys, sorted, (n,) of ``S32``; 32 bytes of memory for each and as many again while they are sorted.

        Raises:
            StoreError: A part is damaged, or the place cannot be reached.
        """
        names = [file.name for file in part_files(self._place)]
        found = [part.keys for part in read_parts(self._place, names, with_vectors=False)]
        return np.unique(np.concatenate(found or [np.empty(0, dtype="S32")]))

    def search(self, keys: Keys) -> Search:
        """Where the keys' vectors lie.

        Raises:
            StoreError: A part is damaged, or the place cannot be reached.
        """
        return Search(self._place, keys)

    def missing(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Positions of the keys that have no vector yet, ascending.

        Raises:
            StoreError: A part is damaged, or the place cannot be reached.
        """
        return self.search(keys).missing

    def write(self, keys: Keys, vectors: npt.NDArray[np.float32]) -> str | None:
        """Add a part, whole or not at all.

        Args:
            keys: (n,) of ``S32``.
            vectors: (n, c) float32.

        Returns:
            Path or URL of the new part; None when there was nothing to write.

        Raises:
            StorageError: The disk is full or closed to this user.
            StoreError: The place cannot be reached or written.
        """
        if len(keys) != len(vectors) or vectors.ndim != 2:
            raise ValueError(f"{len(keys)} keys, vectors of shape {vectors.shape}")
        if not len(keys):
            return None
        name = part_name()
        self._place.write(name, part_bytes(keys, vectors.astype(self._stored_as, copy=False)))
        return self._place.where(name)

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
                    fix="run the extraction again: it encodes what is missing",
                )
            try:
                return self._copy(found, out)
            except FileNotFoundError:
                # Garbage collection has put parts together since they were found.
                continue
        raise StoreError(
            "The parts of the content store change faster than they can be read.",
            where=self.location,
            fix="run again when garbage collection has ended",
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
    """Vectors on their way into the store, written when they are many or have waited long.

    Args:
        store: Where they go.
        items: Most vectors in a part.
        seconds: Longest time that a part is in the making, as nearly as the encoder's pace can be foretold.
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

    def room(self) -> int:
        """How many texts to encode next, at least one: a few until the pace is known."""
        left = self._seconds - (self._added - self._begun)
        fitting = _FIRST_TEXTS if self._rate is None else int(self._rate * left)
        return max(1, min(self._items - self._held, fitting))

    def add(self, keys: Keys, vectors: npt.NDArray[np.float32]) -> None:
        """Take vectors in, and write the part if it is full or due.

        Raises:
            StorageError: The disk is full or closed to this user.
            StoreError: The place cannot be reached or written.
        """
        now = time.monotonic()
        self._rate = len(keys) / max(now - self._added, 1e-6)
        self._added = now
        self._keys.append(keys)
        self._vectors.append(vectors)
        self._held += len(keys)
        # A tenth of the time is too little to be worth another batch.
        if self._held >= self._items or now - self._begun >= 0.9 * self._seconds:
            self.close()

    def close(self) -> None:
        """Write what is held.

        Raises:
            StorageError: The disk is full or closed to this user.
            StoreError: The place cannot be reached or written.
        """
        if self._held:
            self._store.write(np.concatenate(self._keys), np.concatenate(self._vectors))
        self._empty()


def _let_go(out: npt.NDArray[np.float32]) -> None:
    # What was written to a map counts as this process's memory until it is let go; the file keeps it.
    base: Any = out
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
