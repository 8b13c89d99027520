"""Token states to one unit vector for each text."""

from __future__ import annotations

import torch
from torch import Tensor


def pool_states(states: Tensor, pooling: str, *, mask: Tensor | None = None) -> Tensor:
    """One vector for each text.

    Args:
        states: (B, T, c) token states, padded on the right.
        pooling: ``mean`` over the real tokens, ``last`` real token, or ``cls`` (the first token).
        mask: (B, T), 1 where a token is real; None: all are.

    Returns:
        (B, c), of the same dtype.
    """
    if pooling == "cls":
        return states[:, 0]  # (B, c)
    if pooling == "last":
        ends = torch.full((len(states),), states.shape[1]) if mask is None else mask.sum(dim=1)
        return states[torch.arange(len(states)), ends - 1]  # (B, c)
    if mask is None:
        return states.mean(dim=1)  # (B, c)
    real = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
    return (states * real).sum(dim=1) / real.sum(dim=1)  # (B, c)
