"""What a training step will hold in memory, said before training starts.

Shape legend: P positions of a batch, n items with training interactions, C candidates, m items that a step reads,
w, c widths of the towers and of the content vectors, K newest items mixed in.
"""

from __future__ import annotations

from dataclasses import dataclass

from learn.alignment.towers import Towers

_FLOAT_BYTES = 4
# Weight, gradient and AdamW's two moments.
_COPIES_OF_A_WEIGHT = 4
# Logits, the softmax made of them, which becomes its own gradient, and that in the logits' arithmetic.
_COPIES_OF_A_LOGIT = 3
# Of an item: read, whitened, dropped out; adapted, behaviour, their sum, the unit vector; and the gradients of these.
_ITEM_CONTENT_COPIES, _ITEM_TOWER_COPIES = 5, 10
# Of a position in one block: norms, three projections, attended, mixed, and the feed-forward layer's four-fold width.
_POSITION_COPIES_A_BLOCK = 24


@dataclass(frozen=True)
class StepMemory:
    """An upper estimate, in bytes.

    Attributes:
        weights_bytes: Weights with gradients and moments, and the content vectors: held throughout.
        step_bytes: What one forward and backward pass adds.
        candidates: Items in the softmax of a step.
        positions: Positions of a batch, padding counted.
    """

    weights_bytes: int
    step_bytes: int
    candidates: int
    positions: int

    @property
    def described(self) -> str:
        """One line for people."""
        total = (self.weights_bytes + self.step_bytes) / 2**20
        return (
            f"A step holds at most about {total:,.0f} MiB: {self.positions:,} positions against "
            f"{self.candidates:,} candidates ({self.weights_bytes / 2**20:,.0f} MiB of it weights and content vectors)."
        )


def step_memory(
    towers: Towers, *, items: int, uniform: int | None, batch_positions: int, mask_seen: bool
) -> StepMemory:
    """Estimate the memory of a training step.

    Args:
        towers: The towers to train.
        items: Items with training interactions n.
        uniform: Uniform negatives of a sampled softmax; None: every item is a candidate.
        batch_positions: Positions of a batch, at most.
        mask_seen: Whether the batch's seen items are listed.
    """
    shape = towers.settings
    # A batch holds one whole window at least.
    positions = max(batch_positions, shape.max_history)
    candidates = items if uniform is None else min(items, uniform + positions)
    read = items if uniform is None else min(items, candidates + positions)
    weights = sum(parameter.numel() for parameter in towers.parameters()) * _COPIES_OF_A_WEIGHT
    fixed = sum(buffer.numel() for buffer in towers.buffers()) + items * towers.content_dimension
    item_floats = read * (_ITEM_CONTENT_COPIES * towers.content_dimension + _ITEM_TOWER_COPIES * towers.tower_dimension)
    item_floats += candidates * _ITEM_TOWER_COPIES * shape.repeat_width
    width = shape.dimension + shape.repeat_width
    position_floats = positions * width * (_POSITION_COPIES_A_BLOCK * shape.blocks + 2 * shape.recent_items + 8)
    logits = positions * candidates * _COPIES_OF_A_LOGIT
    # Every position names the items before it: two indices of eight bytes each.
    seen = 4 * positions * shape.max_history // 2 if mask_seen else 0
    return StepMemory(
        weights_bytes=(weights + fixed) * _FLOAT_BYTES,
        step_bytes=(item_floats + position_floats + logits + seen) * _FLOAT_BYTES,
        candidates=candidates,
        positions=positions,
    )
