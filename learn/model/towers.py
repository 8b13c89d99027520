"""PAL: the item tower and the user tower, aligned by what people did (LEARN, arXiv 2405.03988, section 3).

Content vectors are whitened first: frozen LLM vectors crowd into a narrow cone, and centring and whitening spread them
(WhitenRec, ICDE'24).

Shape legend: B users in a batch, T history positions, c width of a content vector, w width inside the towers, d width
of the towers' vectors, K newest items mixed into the user vector; W and D are w and d with what the channels append.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from learn.config import TowerSettings
from learn.model.channels import Channel, Cooccurrence, Repeats, TextNeighbours

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

        Unit length instead of unit variance: the ID table next to them learns in steps of a fixed size, and with
        longer vectors it took four times as many epochs to reach a lower quality.
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


_LEVELS = 256


class Dropout(nn.Module):
    """``torch.nn.Dropout``, but on the CPU eight masks are drawn from one random number.

    torch draws each element separately on one thread, which took a quarter of a training step (measured on
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


# The weight of an item k places back when training starts; it ends near 1, .8, .6, .4 on real shops.
_RECENCY_START = 0.7
# Behaviour starts small next to the text: a table that starts large would drown it.
_ID_START_STD = 0.01


class Block(nn.Module):
    """One pre-norm transformer block with causal attention.

    Args:
        width: Width w.
        heads: Attention heads.
        dropout: Dropout rate of both residual branches and the feed-forward layer.
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
        """Map (B, T, w) to (B, T, w); position t sees only positions up to t."""
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)  # (B, heads, T, w / heads)
            for part in self.projections(self.attention_norm(x)).chunk(3, dim=-1)
        )
        # Histories are padded on the right, so the causal mask hides the padding from every real position.
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        attended: Tensor = self.attended(mixed.transpose(1, 2).reshape(batch, length, width))  # (B, T, w)
        return self._feed_forward(x, attended)

    def forward_last(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return :meth:`forward` at the last real position of each history, (B, w), at a fraction of the cost.

        With one query per history, keys and values need not be projected at every position: the query is moved to the
        other side of the key's projection, and the value's projection is applied to the mean. A key's bias shifts all
        positions equally, which does not change the softmax.

        Args:
            x: (B, T, w).
            lengths: (B,) int64 real positions, at least 1.
        """
        batch, length, width = x.shape
        last = _select_last(x, lengths)  # (B, w)
        normed = self.attention_norm(x)
        queries, keys, values = self.projections.weight.view(3, self.heads, width // self.heads, width)
        query_bias, _, value_bias = self.projections.bias.view(3, self.heads, width // self.heads)
        asked = (
            torch.einsum("bw,hdw->bhd", _select_last(normed, lengths), queries) + query_bias
        )  # (B, heads, w / heads)
        asked = torch.einsum("bhd,hdw->bhw", asked, keys) * (width // self.heads) ** -0.5  # (B, heads, w)
        logits = torch.einsum("bhw,btw->bht", asked, normed)  # (B, heads, T)
        padding = torch.arange(length, device=x.device) >= lengths.unsqueeze(1)  # (B, T)
        shares = logits.masked_fill(padding.unsqueeze(1), -torch.inf).softmax(dim=-1)
        read = torch.einsum("bht,btw->bhw", shares, normed)  # (B, heads, w)
        mixed = torch.einsum("bhw,hdw->bhd", read, values) + value_bias  # (B, heads, w / heads)
        return self._feed_forward(last, self.attended(mixed.reshape(batch, width)))

    def _feed_forward(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.dropout(attended)
        changed: Tensor = self.dropout(self.feed_forward(x))
        return x + changed


class Towers(nn.Module):
    """Both towers, and the channels next to them. The score of a user and an item is one inner product.

    ``tower_*`` methods return what is trained, unit vectors of width d. The others return what is served, with
    channels.

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
        self.adaptor = nn.Linear(content_dimension, width) if settings.read_text else None
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
        rank = min(settings.cooccurrence_rank, id_count)
        self.cooccurrence = Cooccurrence(id_count, rank, content_dimension=content_dimension) if rank else None
        self.text = TextNeighbours(content_dimension) if settings.text_channel else None
        taken = settings.repeat_width if id_count else 0
        self.repeats = Repeats(id_count, taken, last=settings.max_history) if taken else None
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
        if self.settings.item_tower == "adaptor" and self.adaptor is not None:
            # Untrained towers then already rank by the text's principal directions.
            nn.init.eye_(self.adaptor.weight)
            nn.init.zeros_(self.adaptor.bias)
        if self.id_table is not None:
            nn.init.normal_(self.id_table.weight, std=_ID_START_STD)
        if self.positions is not None:
            nn.init.normal_(self.positions, std=0.02)

    @property
    def channels(self) -> list[Channel]:
        """The channels, in the order of their numbers behind the towers' own."""
        return [channel for channel in (self.cooccurrence, self.text, self.repeats) if channel is not None]

    @property
    def tower_dimension(self) -> int:
        """Width d of the towers' own vectors."""
        return self.content_dimension if self.settings.item_tower == "frozen" else self.settings.dimension

    @property
    def dimension(self) -> int:
        """Width D of the served vectors."""
        return self.tower_dimension + sum(channel.dimension for channel in self.channels)

    @property
    def input_dimension(self) -> int:
        """Width W of what is read of an item."""
        # Inputs and vectors are equally wide in every variant: in front of the frozen one is the content itself.
        return self.dimension

    def compute_item_inputs(self, content: Tensor, ids: Tensor) -> Tensor:
        """Return the towers' inputs of each item, which do not depend on its place in a history.

        Args:
            content: (n, c) float32 frozen content vectors.
            ids: (n,) int64 rows of the ID table; -1 for an item without training interactions, of which only the
                text is read.

        Returns:
            (n, W) float32.
        """
        whitened = self.whitening(content)
        parts = [self.compute_inputs(whitened, ids)]
        if self.cooccurrence is not None:
            parts.append(self.cooccurrence.compute_inputs(ids, whitened))
        if self.text is not None:
            parts.append(self.text.compute_inputs(whitened))
        if self.repeats is not None:
            parts.append(self.repeats.compute_inputs(ids))
        return torch.cat(parts, dim=-1)  # (n, W)

    def encode_items(self, inputs: Tensor) -> Tensor:
        """Map items' inputs (n, W) to the vectors (n, D) that users are compared with.

        An item's vector does not depend on its neighbours.
        """
        own, *rest = torch.split(inputs, self.widths, dim=-1)
        parts = [channel.encode_items(part) for channel, part in zip(self.channels, rest, strict=True)]
        return torch.cat([self.encode_tower_items(own), *parts], dim=-1)  # (n, D)

    def encode_users(self, histories: Tensor, lengths: Tensor) -> Tensor:
        """Return the user vector after each whole history.

        Args:
            histories: (B, T, W) inputs of the items, oldest first, padded on the right; T at most ``max_history``.
            lengths: (B,) int64, at least 1: real positions of each history.

        Returns:
            (B, D).
        """
        own, *rest = torch.split(histories, self.widths, dim=-1)
        parts = [channel.encode_users(part, lengths) for channel, part in zip(self.channels, rest, strict=True)]
        return torch.cat([self._encode_last(own, lengths), *parts], dim=-1)  # (B, D)

    @property
    def widths(self) -> list[int]:
        """Widths of the towers' own numbers and of each channel's; they sum to D."""
        return [self.tower_dimension, *(channel.dimension for channel in self.channels)]

    def compute_inputs(self, whitened: Tensor, ids: Tensor) -> Tensor:
        """Return the inputs of both towers for each item.

        Args:
            whitened: (n, c) float32 whitened content vectors; they do not change in training.
            ids: (n,) int64 rows of the ID table; -1 for an item without training interactions.

        Returns:
            (n, w) float32.
        """
        if self.settings.item_tower == "frozen":
            return whitened
        x = whitened.new_zeros(len(whitened), self.settings.dimension)  # (n, w)
        if self.adaptor is not None:
            x = self.adaptor(self.content_dropout(whitened))
        if self.id_table is None:
            return x
        known = (ids >= 0).unsqueeze(-1)  # (n, 1)
        behaviour: Tensor = self.id_dropout(self.id_table(ids.clamp_min(0)))  # (n, w)
        return x + behaviour * known

    def encode_tower_items(self, inputs: Tensor) -> Tensor:
        """Map items' inputs (n, w) to unit vectors (n, d)."""
        if self.settings.item_tower in ("adaptor", "frozen"):
            return functional.normalize(inputs, dim=-1)
        return self._encode_sequences(inputs.unsqueeze(1)).squeeze(1)  # (n, d)

    def encode_item_sequences(self, inputs: Tensor) -> Tensor:
        """Map target sequences (B, K, w) under causal attention to (B, K, d): the paper's item tower (a)."""
        return self._encode_sequences(inputs)

    def encode_positions(self, histories: Tensor) -> Tensor:
        """Return the unit user vector after every history position.

        Args:
            histories: (B, T, w) inputs of the items, oldest first, padded on the right; T at most ``max_history``.

        Returns:
            (B, T, d); the values at padded positions have no meaning.
        """
        states = self._encode_sequences(histories)
        if not self.settings.recent_items:
            return states
        mixed = self.sequence_weight * states
        batch, length = histories.shape[:2]
        items = self.encode_tower_items(histories.flatten(0, 1)).view(batch, length, -1)  # (B, T, d)
        for places_back in range(min(self.settings.recent_items, length)):
            earlier = items[:, : length - places_back]  # (B, T - k, d)
            mixed = mixed + self.recency_weights[places_back] * functional.pad(earlier, (0, 0, places_back, 0))
        return functional.normalize(mixed, dim=-1)

    def _encode_last(self, histories: Tensor, lengths: Tensor) -> Tensor:
        """Return :meth:`encode_positions` at only the last real position: (B, d)."""
        x = self._embed_inputs(histories)
        for block in self.blocks[:-1]:
            x = block(x)
        final = cast("Block", self.blocks[-1])
        state = self._normalise(final.forward_last(x, lengths))  # (B, d)
        newest = min(self.settings.recent_items, histories.shape[1])
        if not newest:
            return state
        ages = torch.arange(newest, device=lengths.device)  # (K,)
        places = lengths.unsqueeze(1) - 1 - ages  # (B, K)
        inputs = histories.gather(1, places.clamp_min(0).unsqueeze(-1).expand(-1, -1, histories.shape[-1]))  # (B, K, w)
        items = self.encode_tower_items(inputs.flatten(0, 1)).view(*places.shape, -1)  # (B, K, d)
        weights = self.recency_weights[:newest] * (places >= 0)  # (B, K)
        return functional.normalize(self.sequence_weight * state + torch.einsum("bk,bkd->bd", weights, items), dim=-1)

    def _encode_sequences(self, inputs: Tensor) -> Tensor:
        x = self._embed_inputs(inputs)
        for block in self.blocks:
            x = block(x)
        return self._normalise(x)  # (B, T, d)

    def _embed_inputs(self, inputs: Tensor) -> Tensor:
        if self.settings.item_tower == "frozen" and self.adaptor is not None:
            inputs = self.adaptor(self.content_dropout(inputs))  # (B, T, width)
        x: Tensor = self.input_norm(inputs)
        if self.positions is not None:
            x = x + self.positions[: x.shape[1]]
        embedded: Tensor = self.input_channel_dropout(x)
        return embedded

    def _normalise(self, x: Tensor) -> Tensor:
        return functional.normalize(self.head(self.output_norm(x)), dim=-1)


def _select_last(x: Tensor, lengths: Tensor) -> Tensor:
    """Return (B, w): the values at the last real position of (B, T, w)."""
    places = (lengths - 1).view(-1, 1, 1).expand(-1, 1, x.shape[-1])  # (B, 1, w)
    return x.gather(1, places).squeeze(1)
