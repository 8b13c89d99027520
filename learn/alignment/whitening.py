"""Whitening of frozen content vectors, fitted on training items alone.

Frozen LLM vectors crowd into a narrow cone; centring and whitening spread them out (WhitenRec, ICDE'24).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Below this share of the mean variance a direction is noise, and dividing by it would make it signal.
_VARIANCE_FLOOR = 1e-3


class Whitening(nn.Module):
    """An affine map kept with the weights: ``(x - mean) @ projection``, principal directions first.

    Args:
        dimension: Width c of the content vectors.
    """

    mean: Tensor
    projection: Tensor

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("projection", torch.eye(dimension))

    @torch.no_grad()
    def fit(self, content: Tensor) -> None:
        """Fit on the training items' content vectors (n, c); whitened ones have unit length on average.

        Unit length and not unit variance: the ID table beside them learns by steps of a fixed size, and against
        longer vectors it took four times the epochs to less quality.
        """
        exact = content.double()
        mean = exact.mean(dim=0)  # (c,)
        covariance = torch.cov(exact.T).reshape(len(mean), len(mean))  # (c, c)
        variances, directions = torch.linalg.eigh(covariance)
        floor = _VARIANCE_FLOOR * variances.clamp_min(0).mean().clamp_min(1e-12)
        scaled = directions / ((variances.clamp_min(0) + floor) * len(mean)).sqrt()
        # An eigenvector's sign is arbitrary; fixing it keeps the weights the same across machines' libraries.
        signs = torch.sign(directions.gather(0, directions.abs().argmax(dim=0, keepdim=True)))  # (1, c)
        self.mean.copy_(mean)
        self.projection.copy_((scaled * signs).flip(dims=[1]))

    def forward(self, content: Tensor) -> Tensor:
        """Whiten (n, c) content vectors; the shape stays."""
        return (content - self.mean) @ self.projection
