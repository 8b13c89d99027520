"""Trained towers as a scorer of the whole catalogue.

Shape legend: B examples, n items, c content width, W input width, D vector width.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn.batching import cut_batches
from learn.data import Examples, Histories
from learn.model.batches import pad_histories
from learn.model.towers import Towers

# Content vectors read from disk at a time: 8,192 x 4,096 x 4 bytes are 134 MB.
_BLOCK_ITEMS = 8_192
# Positions of histories encoded at a time, with padding: 4,096 x 896 x 4 bytes are 15 MB, which fit into a cache.
_BLOCK_POSITIONS = 4_096


def compute_id_rows(histories: Histories) -> NDArray[np.int64]:
    """Return (n,) int64: each item's row in the ID table, -1 for items without training interactions."""
    seen = histories.count_popularity() > 0
    return np.where(seen, np.cumsum(seen) - 1, -1)


class TowerScorer:
    """Both towers with their catalogue encoded: inner products of user and item vectors.

    Args:
        towers: The trained towers; they are put into evaluation mode.
        content: (n, c) float32 content vectors in item order, memory-mapped or not.
        ids: (n,) int64 rows from :func:`compute_id_rows`.
        name: Name in the metrics.
    """

    def __init__(
        self, towers: Towers, *, content: NDArray[np.float32], ids: NDArray[np.int64], name: str = "towers"
    ) -> None:
        self.name = name
        self.towers = towers.eval()
        self.device = next(towers.parameters()).device
        self.item_inputs, self.item_vectors = self._encode_items(content, ids)

    @classmethod
    def from_vectors(
        cls, towers: Towers, *, item_inputs: Tensor, item_vectors: Tensor, name: str = "towers"
    ) -> TowerScorer:
        """Return a scorer of a catalogue that was encoded before, as a bundle holds it.

        Args:
            towers: The trained towers; they are put into evaluation mode.
            item_inputs: (n, W) float32, on the towers' device.
            item_vectors: (n, D) float32, on the same device.
            name: Name in the metrics.
        """
        scorer = cls.__new__(cls)
        scorer.name = name
        scorer.towers = towers.eval()
        scorer.device = next(towers.parameters()).device
        scorer.item_inputs, scorer.item_vectors = item_inputs, item_vectors
        return scorer

    @torch.inference_mode()
    def _encode_items(self, content: NDArray[np.float32], ids: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        inputs, vectors = [], []
        for begin in range(0, len(content), _BLOCK_ITEMS):
            block = slice(begin, begin + _BLOCK_ITEMS)
            texts = torch.tensor(content[block]).to(self.device)
            inputs.append(self.towers.compute_item_inputs(texts, torch.tensor(ids[block]).to(self.device)))
            vectors.append(self.towers.encode_items(inputs[-1]))
        return torch.cat(inputs), torch.cat(vectors)  # (n, W), (n, D)

    def encode_runs(self, items: NDArray[np.int32], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Tensor:
        """Return (B, D) user vectors after the runs ``items[starts:stops]``; zeros for empty ones."""
        longest = self.towers.settings.max_history
        vectors = torch.empty(len(starts), self.towers.dimension, device=self.device)
        # An empty history takes a position as well. Histories of a block have similar lengths, to avoid padding.
        places = np.clip(stops - starts, 1, longest)
        for block in cut_batches(places, budget=lambda: _BLOCK_POSITIONS, padding=1.0):
            padded, lengths = pad_histories(items, starts[block], stops[block], max_length=longest)
            vectors[torch.from_numpy(block).to(self.device)] = self._encode(padded, lengths)
        return vectors  # (B, D)

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """Return (B, n) float32 scores; a row is all -inf if the history is empty."""
        users = self.encode_runs(histories.items, examples.starts[rows], examples.stops[rows])
        scores = (users @ self.item_vectors.T).cpu()
        empty = examples.starts[rows] == examples.stops[rows]
        scores[torch.from_numpy(np.asarray(empty))] = -torch.inf
        return scores

    def split(self, vectors: Tensor) -> tuple[Tensor, ...]:
        """Cut (m, D) vectors into the towers' part and each channel's."""
        return torch.split(vectors, self.towers.widths, dim=-1)

    @torch.inference_mode()
    def reweight(self, weights: Sequence[float]) -> TowerScorer:
        """Return the same scorer with its channels at these weights; the towers stay as they are."""
        parts, inputs = list(self.split(self.item_vectors)), self.split(self.item_inputs)
        for place, (channel, weight) in enumerate(zip(self.towers.channels, weights, strict=True), start=1):
            parts[place] = weight * channel.signs * inputs[place]
        other = copy(self)
        other.item_vectors = torch.cat(parts, dim=-1)  # (n, D)
        return other

    @torch.inference_mode()
    def _encode(self, padded: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tensor:
        inputs = self.item_inputs[torch.from_numpy(padded).to(self.device)]  # (B, T, W)
        real = torch.from_numpy(lengths).to(self.device)
        users = self.towers.encode_users(inputs, real.clamp_min(1))  # (B, D)
        return users * (real > 0).unsqueeze(1)
