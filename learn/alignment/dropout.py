"""Dropout that costs what it should on a processor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 256


class Dropout(nn.Module):
    """``torch.nn.Dropout``, with eight masks drawn from one random number where there is no accelerator.

    Torch draws each element on its own and on one thread, which took a quarter of a training step (measured on
    two cores); here the rate is rounded to the nearest 256th.

    Args:
        rate: Share of elements set to zero in training.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self._dropped_levels = round(rate * _LEVELS)

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of ``x`` and scale the others up, in training; the shape stays."""
        if not self.training or not self._dropped_levels:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.rate)
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        levels = words.view(torch.uint8)[: x.numel()].view(x.shape)
        scale = _LEVELS / (_LEVELS - self._dropped_levels)
        return x * (levels >= self._dropped_levels).to(x.dtype).mul_(scale)
