"""Median and quantiles of more numbers than memory holds, exact to the bit.

    from learn.data.order_statistics import compute_median, compute_upper_quantile

The numbers are read a few times over in pieces: each time they are counted in equal parts of the range in which the
wanted one is, until few enough are left to be sorted. Counted are the numbers' bits, read as integers that are in
the same order, so that no rounding moves a border.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_Keys = NDArray[np.uint64]
Chunks = Callable[[], Iterable[_Floats]]
"""Gives the numbers, a piece at a time, again at each call; none is NaN."""

HELD = 1_000_000
"""Numbers that are sorted in memory at once."""
_PARTS = 65_536
_SIGN = np.uint64(1 << 63)


def compute_median(chunks: Chunks, *, held: int = HELD) -> float | None:
    """Return what ``numpy.median`` does of all numbers together; None if there is none."""
    count = sum(len(chunk) for chunk in chunks())
    if count == 0:
        return None
    middle = (_smallest(chunks, rank, held=held) for rank in sorted({(count - 1) // 2, count // 2}))
    return float(np.mean(list(middle)))


def compute_upper_quantile(chunks: Chunks, share: float, *, held: int = HELD) -> float:
    """Return what ``numpy.quantile(…, share, method="higher")`` does; there is one number at least."""
    count = sum(len(chunk) for chunk in chunks())
    return _smallest(chunks, math.ceil((count - 1) * share), held=held)


def _smallest(chunks: Chunks, rank: int, *, held: int) -> float:
    """Return the number that ``rank`` others are before."""
    low, high = 0, 2**64 - 1
    inside = held + 1
    while inside > held and low < high:
        width = (high - low) // _PARTS + 1
        counts = np.zeros(_PARTS, np.int64)
        for keys in map(_keys, chunks()):
            parts = (_between(keys, low, high) - np.uint64(low)) // np.uint64(width)
            counts += np.bincount(parts.astype(np.int64), minlength=_PARTS)
        part = int(np.searchsorted(np.cumsum(counts), rank, side="right"))
        rank -= int(counts[:part].sum())
        low, high, inside = low + part * width, min(high, low + (part + 1) * width - 1), int(counts[part])
    if low == high:
        return float(_numbers(np.array([low], np.uint64))[0])
    kept = np.concatenate([_between(_keys(chunk), low, high) for chunk in chunks()])
    return float(_numbers(np.partition(kept, rank)[rank : rank + 1])[0])


def _between(keys: _Keys, low: int, high: int) -> _Keys:
    return keys[(keys >= np.uint64(low)) & (keys <= np.uint64(high))]


def _keys(numbers: _Floats) -> _Keys:
    # Adding zero makes -0.0 and 0.0, which are one number, one key.
    bits = (np.ascontiguousarray(numbers, np.float64) + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _numbers(keys: _Keys) -> _Floats:
    return np.where(keys & _SIGN, keys & ~_SIGN, ~keys).view(np.float64)
