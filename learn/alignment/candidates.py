"""Which items stand in a step's softmax: all of them, or a sample that is weighed for how it was drawn.

Shape legend: n items with training interactions, C candidates of a step, P positions of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidates:
    """The items of one step's softmax.

    Attributes:
        rows: (C,) int64, ascending rows among the items with training interactions.
        log_weights: (C,) float32, what is added to a candidate's logit wherever it is no target: minus the
            logarithm of the probability that it was drawn.
    """

    rows: NDArray[np.int64]
    log_weights: NDArray[np.float32]


class CandidateSampler:
    """Uniform negatives together with the batch's own targets, with the probability that each was drawn.

    An item gets into a step either as one of the ``uniform`` draws or because it is somebody's target. Weighed by one
    over the probability of either, the sum over the sample is an unbiased estimate of the sum over the catalogue
    (Horvitz-Thompson); the target itself is always there and has weight one, as in "Correcting the LogQ Correction"
    (Khrylchenko et al., RecSys 2025).

    Args:
        target_counts: (n,) int64, how often each item is a target in an epoch.
        uniform: Items drawn uniformly, without replacement.
    """

    def __init__(self, target_counts: NDArray[np.int64], *, uniform: int) -> None:
        self.items = len(target_counts)
        self.uniform = min(uniform, self.items)
        self._shares = target_counts / max(1, int(target_counts.sum()))

    def draw(self, targets: NDArray[np.int64], draw: np.random.Generator) -> Candidates:
        """Return the candidates of a step.

        Args:
            targets: (P,) rows of the batch's targets.
            draw: Source of the uniform rows.
        """
        sampled = draw.choice(self.items, size=self.uniform, replace=False, shuffle=False)
        rows = np.union1d(sampled, targets)  # (C,)
        # Seen from a position, an item that is not its own target came in by one of the P - 1 others.
        absent = (len(targets) - 1) * np.log1p(-np.minimum(self._shares[rows], 1 - 1e-9))
        drawn = 1 - (1 - self.uniform / self.items) * np.exp(absent)  # (C,)
        return Candidates(rows, -np.log(np.maximum(drawn, 1e-12)).astype(np.float32))
