"""Batches of sequences of similar length, for texts and for histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

MOST_PADDING = 0.05
"""Share of padding that a batch of unlike lengths may hold."""


def cut_batches(lengths: npt.NDArray[np.int64], *, budget: Callable[[], int], padding: float) -> Iterator[Rows]:
    """Batches over all rows, the longest first: what does not fit the memory shows at once, and the last are short.

    Args:
        lengths: (n,) tokens of each text, or items of each history, each at least 1.
        budget: Tokens of a batch with its padding; asked before each, because it falls where memory is short.
            A text longer than it is a batch of its own.
        padding: Share of a batch that may be padding; 0: all its texts have the same length, 1: any share.
    """
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    start = 0
    while start < len(order):
        longest = int(ordered[start])
        most = ordered[start : start + max(1, budget() // longest)]
        held = np.cumsum(most) / (longest * np.arange(1, len(most) + 1))
        # Lengths fall, so the share of padding only grows along the batch.
        end = start + int(np.count_nonzero(held >= 1 - padding))
        yield order[start:end]
        start = end


def pad_tokens(tokens: list[list[int]], *, blank: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
    """Token ids as one array, filled up on the right, and what is real of it.

    Padding is on the right for decoders too: positions count from the text's first token in every model, a causal
    one never sees what comes later, and pooling knows each text's end.

    Args:
        tokens: Ids of each text, none empty.
        blank: Id that stands for padding.

    Returns:
        ids: (B, T) int64.
        mask: (B, T) int64, 1 where a token is real; None if all are.
    """
    lengths = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
    if (lengths == lengths[0]).all():
        return np.array(tokens, dtype=np.int64), None
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)  # (B, T)
    ids = np.full(mask.shape, blank, dtype=np.int64)
    ids[mask.astype(bool)] = np.concatenate([np.array(each, dtype=np.int64) for each in tokens])
    return ids, mask
