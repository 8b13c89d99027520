"""The forward pass: token ids in, token states out."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from learn.content.loading import LoadedModel
from learn.errors import EncoderError


class Engine(Protocol):
    """Computes token states; called from several threads at once.

    Attributes:
        exact: Whether the vectors shall be the same bytes in any company: no padding, no tiny products.
        device: Where the ids go.
    """

    exact: bool
    device: str

    def states(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Token states (B, T, c) in float32 of ids (B, T) and mask (B, T), both int64."""


class TorchEngine:
    """A transformers model as it is.

    Args:
        loaded: The model, on its device.
        layer: Which layer's states, counted from the end: -1 the last.
        exact: See :class:`Engine`.

    Raises:
        EncoderError: The model has no such layer.
    """

    def __init__(self, loaded: LoadedModel, *, layer: int, exact: bool) -> None:
        self._model = loaded.model
        self._layer = layer
        self.exact = exact
        self.device = str(loaded.model.device)
        config: Any = loaded.model.config
        layers = int(getattr(config, "num_hidden_layers", 0) or 0)
        # The embeddings count as layer 0.
        if layer != -1 and layers and not -layers - 1 <= layer <= layers:
            raise EncoderError(
                f"The encoder has {layers} layers, there is no layer {layer}.",
                where="content.layer",
                fix=f"give -1 (the last) to {-layers - 1} (the embeddings)",
            )

    def states(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Token states (B, T, c) in float32."""
        if self._layer == -1:
            found: Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        else:
            found = self._model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[
                self._layer
            ]
        return found.float()  # (B, T, c)
