"""Where the vectors of some keys lie: memory for these keys alone, however many the store holds."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from learn.content.fingerprint import Keys
from learn.content.parts import REPAIR, part_files, read_parts
from learn.content.places import Place
from learn.errors import StoreError

_TRIES: Final = 5


class Search:
    """The parts of a store that hold some keys. Where several hold one key, it is found in the first.

    Args:
        place: Folder of the parts.
        keys: n keys, (n,) of ``S32``; repeats are allowed.

    Raises:
        StoreError: A part is damaged, or the place cannot be reached.
    """

    def __init__(self, place: Place, keys: Keys) -> None:
        self._place = place
        self._keys = keys
        starts = key_starts(keys)
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
        """Positions of the keys that are in no part, ascending."""
        return np.flatnonzero(self.part_numbers < 0)

    def refresh(self) -> None:
        """Look into the parts that have come since.

        Raises:
            StoreError: A part is damaged, or the place cannot be reached.
        """
        for _ in range(_TRIES):
            present = [file.name for file in part_files(self._place)]
            if not set(self.parts) <= set(present):
                self._begin()
            try:
                self._look_into(sorted(set(present) - set(self.parts)))
            except FileNotFoundError:
                # Garbage collection has put parts together since they were listed.
                continue
            return
        raise StoreError(
            "The parts of the content store change faster than they can be read.",
            where=self._place.location,
            fix="run again when garbage collection has ended",
        )

    def _look_into(self, names: list[str]) -> None:
        for name, part in zip(names, read_parts(self._place, names, with_vectors=False), strict=True):
            self.width = part.width if self.width is None else self.width
            if part.width != self.width:
                raise StoreError(
                    f"Vectors of different widths lie together: {sorted((self.width, part.width))}.",
                    where=self._place.where(name),
                    fix=REPAIR,
                )
            self._note(len(self.parts), part.keys)
            self.parts.append(name)

    def _note(self, number: int, keys: Keys) -> None:
        starts = key_starts(keys)
        first = np.searchsorted(self._sorted, starts)
        counts = np.searchsorted(self._sorted, starts, side="right") - first
        rows = np.repeat(np.arange(len(keys)), counts)
        # Positions of one run of equal starts after the other.
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        wanted = self._order[np.repeat(first, counts) + within]
        right = (self._keys[wanted] == keys[rows]) & (self.part_numbers[wanted] < 0)
        self.part_numbers[wanted[right]] = number
        self.rows[wanted[right]] = rows[right]


def first_of_each(keys: Keys) -> npt.NDArray[np.int64]:
    """Positions of the keys that stand nowhere before, ascending."""
    starts = key_starts(keys)
    order = np.argsort(starts, kind="stable")
    alike = np.flatnonzero(starts[order][1:] == starts[order][:-1])
    again = alike[keys[order[alike]] == keys[order[alike + 1]]] + 1
    return np.sort(np.delete(order, again))


def key_starts(keys: Keys) -> npt.NDArray[np.uint64]:
    """First 8 bytes of each key as a number: keys are hashes, so few are alike in them."""
    whole = np.ascontiguousarray(keys, dtype="S32").view(np.uint64)
    return whole.reshape(-1, 4)[:, 0].copy()
