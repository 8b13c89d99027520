"""Which items follow which in people's histories, counted on the training part.

from learn.data.transitions import count_transitions
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from learn.data.histories import Histories


def count_transitions(histories: Histories, *, window: int, fade: float, backward: float) -> sparse.csr_array:
    """Count how often one item came soon after another in somebody's training history.

    Args:
        histories: All histories; the training part alone is read.
        window: Longest distance that counts.
        fade: Weight of a pair one step further apart.
        backward: Weight of a pair met in the other direction.

    Returns:
        (n, n) float32; the row is the earlier item.
    """
    users, items = histories.training_pairs()
    before, after, weights = [], [], []
    for distance in range(1, window + 1):
        together = users[distance:] == users[:-distance]
        before.append(items[:-distance][together])
        after.append(items[distance:][together])
        weights.append(np.full(int(together.sum()), fade ** (distance - 1), dtype=np.float32))
    earlier, later, weight = (np.concatenate(parts) for parts in (before, after, weights))
    index = (np.concatenate([earlier, later]), np.concatenate([later, earlier]))
    values = np.concatenate([weight, np.float32(backward) * weight])
    counts = sparse.csr_array((values, index), shape=(histories.item_count, histories.item_count))
    counts.eliminate_zeros()
    return counts
