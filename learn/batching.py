"""Batches of sequences of similar length, for texts and for histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

MOST_PADDING = 0.05
"""Largest share of padding in a batch of different lengths."""


def cut_batches(lengths: npt.NDArray[np.int64], *, budget: Callable[[], int], padding: float) -> Iterator[Rows]:
    """Yield batches of all rows, the longest first, so that a lack of memory shows at once.

    Args:
        lengths: (n,) tokens of each text, or items of each history, each at least 1.
        budget: Returns the most tokens of a batch with padding; called before each, because it falls if memory runs
            out. A longer text is a batch by itself.
        padding: Share of a batch that may be padding; 0: all its texts have the same length, 1: any share.
    """
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    start = 0
    while start < len(order):
        longest = int(ordered[start])
        most = ordered[start : start + max(1, budget() // longest)]
        held = np.cumsum(most) / (longest * np.arange(1, len(most) + 1))
        # Lengths decrease, so the share of padding only grows along the batch.
        end = start + int(np.count_nonzero(held >= 1 - padding))
        yield order[start:end]
        start = end


def pad_tokens(tokens: list[list[int]], *, blank: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
    """Pad token ids on the right into one array, and return it with the mask of real tokens.

    Padding is on the right for decoders too: positions count from the text's first token in every model, a causal
    one never sees what comes later, and pooling knows each text's end.

    Args:
        tokens: Ids of each text, none empty.
        blank: Id of the padding token.

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
