"""PAL: the item tower and the user tower, aligned by what people did (LEARN, arXiv 2405.03988, section 3).

Shape legend: B users in a batch, T history positions, c width of a content vector, w width inside the
towers, d width of the vectors served, K newest items mixed into the user vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from learn.alignment.dropout import Dropout
from learn.alignment.whitening import Whitening
from learn.config import TowerSettings

# The weight of an item k places back when training starts; it ends near 1, .8, .6, .4 on real shops.
_RECENCY_START = 0.7
# Behaviour has to earn its weight against the text: a table that starts large drowns it.
_ID_START_STD = 0.01


class Block(nn.Module):
    """One pre-norm transformer block with causal attention.

    Args:
        width: Width w.
        heads: Attention heads.
        dropout: On both residual branches and the feed-forward layer.
    """

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(4 * width, width),
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, w) to (B, T, w); position t sees positions up to t alone."""
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)  # (B, heads, T, w / heads)
            for part in self.projections(self.attention_norm(x)).chunk(3, dim=-1)
        )
        # Histories are padded on the right, so the causal mask hides the padding from every real position.
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        attended: Tensor = self.attended(mixed.transpose(1, 2).reshape(batch, length, width))  # (B, T, w)
        x = x + self.dropout(attended)
        changed: Tensor = self.dropout(self.feed_forward(x))
        return x + changed


class Towers(nn.Module):
    """Both towers. The score of a user and an item is the inner product of two unit vectors.

    Args:
        settings: The shape of the towers.
        content_dimension: Width c of the frozen content vectors.
        id_count: Items with training interactions, each with a row in the ID table.
    """

    def __init__(self, settings: TowerSettings, *, content_dimension: int, id_count: int) -> None:
        super().__init__()
        self.settings, self.content_dimension, self.id_count = settings, content_dimension, id_count
        width = settings.dimension
        self.whitening = Whitening(content_dimension)
        self.content_dropout = Dropout(settings.input_dropout)
        self.adaptor = nn.Linear(content_dimension, width)
        self.id_table = nn.Embedding(id_count, width) if settings.id_embeddings and id_count else None
        self.id_dropout = Dropout(settings.id_dropout)
        self.input_norm = nn.LayerNorm(width)
        self.positions = nn.Parameter(torch.zeros(settings.max_history, width)) if settings.positions else None
        self.input_channel_dropout = Dropout(settings.dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads=settings.heads, dropout=settings.dropout) for _ in range(settings.blocks)
        )
        self.output_norm = nn.LayerNorm(width)
        self.head = self._make_head(width)
        self.sequence_weight = nn.Parameter(torch.ones(()))
        self.recency_weights = nn.Parameter(_RECENCY_START ** torch.arange(settings.recent_items).float())  # (K,)
        self._start()

    def _make_head(self, width: int) -> nn.Module:
        match self.settings.item_tower:
            case "adaptor":
                return nn.Identity()
            case "frozen":
                return nn.Linear(width, self.content_dimension)
            case _:
                return nn.Linear(width, width)

    @torch.no_grad()
    def _start(self) -> None:
        if self.settings.item_tower == "adaptor":
            # Untrained towers then already rank by the text's principal directions.
            nn.init.eye_(self.adaptor.weight)
            nn.init.zeros_(self.adaptor.bias)
        if self.id_table is not None:
            nn.init.normal_(self.id_table.weight, std=_ID_START_STD)
        if self.positions is not None:
            nn.init.normal_(self.positions, std=0.02)

    @property
    def dimension(self) -> int:
        """Width d of the vectors served."""
        return self.content_dimension if self.settings.item_tower == "frozen" else self.settings.dimension

    @property
    def input_dimension(self) -> int:
        """Width w of what the towers read of an item."""
        return self.content_dimension if self.settings.item_tower == "frozen" else self.settings.dimension

    def item_inputs(self, content: Tensor, ids: Tensor) -> Tensor:
        """Return what both towers read of each item.

        Args:
            content: (n, c) float32 frozen content vectors.
            ids: (n,) int64 rows of the ID table; -1 for an item without training interactions, which is read by
                its text alone.

        Returns:
            (n, w) float32.
        """
        whitened: Tensor = self.whitening(content)
        if self.settings.item_tower == "frozen":
            return whitened
        x: Tensor = self.adaptor(self.content_dropout(whitened))  # (n, w)
        if self.id_table is None:
            return x
        known = (ids >= 0).unsqueeze(-1)  # (n, 1)
        behaviour: Tensor = self.id_dropout(self.id_table(ids.clamp_min(0)))  # (n, w)
        return x + behaviour * known

    def item_vectors(self, inputs: Tensor) -> Tensor:
        """Map items' inputs (n, w) to unit vectors (n, d); an item's vector does not depend on its neighbours."""
        if self.settings.item_tower in ("adaptor", "frozen"):
            return functional.normalize(inputs, dim=-1)
        return self._sequence_states(inputs.unsqueeze(1)).squeeze(1)  # (n, d)

    def item_sequence_vectors(self, inputs: Tensor) -> Tensor:
        """Map target sequences (B, K, w) under causal attention to (B, K, d): the paper's item tower (a)."""
        return self._sequence_states(inputs)

    def user_states(self, histories: Tensor) -> Tensor:
        """Return the unit user vector after every history position.

        Args:
            histories: (B, T, w) inputs of the items, oldest first, padded on the right; T at most ``max_history``.

        Returns:
            (B, T, d); what stands at a padded position carries no meaning.
        """
        states = self._sequence_states(histories)
        if not self.settings.recent_items:
            return states
        mixed = self.sequence_weight * states
        batch, length = histories.shape[:2]
        items = self.item_vectors(histories.flatten(0, 1)).view(batch, length, -1)  # (B, T, d)
        for places_back in range(min(self.settings.recent_items, length)):
            earlier = items[:, : length - places_back]  # (B, T - k, d)
            mixed = mixed + self.recency_weights[places_back] * functional.pad(earlier, (0, 0, places_back, 0))
        return functional.normalize(mixed, dim=-1)

    def user_vectors(self, histories: Tensor, lengths: Tensor) -> Tensor:
        """Return the unit user vector after each whole history.

        Args:
            histories: (B, T, w) as in :meth:`user_states`.
            lengths: (B,) int64, at least 1: real positions of each history.

        Returns:
            (B, d).
        """
        states = self.user_states(histories)
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, states.shape[-1])  # (B, 1, d)
        return states.gather(1, last).squeeze(1)  # (B, d)

    def _sequence_states(self, inputs: Tensor) -> Tensor:
        if self.settings.item_tower == "frozen":
            inputs = self.adaptor(self.content_dropout(inputs))  # (B, T, width)
        x = self.input_norm(inputs)
        if self.positions is not None:
            x = x + self.positions[: x.shape[1]]
        x = self.input_channel_dropout(x)
        for block in self.blocks:
            x = block(x)
        return functional.normalize(self.head(self.output_norm(x)), dim=-1)  # (B, T, d)
