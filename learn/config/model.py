"""Settings of the towers, their training, and the processes that train together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from learn.config.base import Section


class TowerSettings(Section):
    """PAL: the shape of the towers."""

    item_tower: Literal["adaptor", "shared", "shared_sequence", "frozen"] = "adaptor"
    """What makes an item's vector: the user tower's own adaptor; ``shared``: the whole user tower, on each item by
    itself (the paper's b); ``shared_sequence``: the same, the target sequence under causal attention in training (a);
    ``frozen``: only a linear head on the content vector (c)."""

    read_text: bool = True
    """Whether the towers read the frozen text. Without it they are SASRec on item IDs, a baseline that cannot score a
    new item."""

    dimension: int = Field(default=256, ge=4)
    """Width of the towers and of the served vectors: 256 beat 128 on validation by .003 NDCG@10; more gained
    nothing."""

    blocks: int = Field(default=1, ge=1)
    """Transformer blocks: two were no better than one on short histories."""

    heads: int = Field(default=1, ge=1)
    """Attention heads: one is enough for one block (eSASRec, RecSys'25)."""

    max_history: int = Field(default=50, ge=1)
    """Newest interactions the user tower reads."""

    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout inside the blocks: shop data is sparse, and .5 beat .2 on validation."""

    input_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout on the content vectors before the adaptor, so that the towers do not rely on single directions of the
    text."""

    positions: bool = True
    """Learned positions, counted from the oldest item read; the paper's Amazon code has none."""

    recent_items: int = Field(default=10, ge=0)
    """Newest items whose own vectors are mixed into the user vector with learned weights: the largest single gain on
    validation (+.016 Recall@10). 0 switches it off."""

    id_embeddings: bool = True
    """A regularised table next to the frozen text, so that behaviour can correct what the text says; an item without
    training interactions is read only by its text."""

    id_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout on the table's rows, so that the towers do not ignore the text."""

    whitening: bool = True
    """Centre and whiten the content vectors on training items: frozen LLM vectors are anisotropic (WhitenRec,
    ICDE'24)."""

    cooccurrence_rank: int = Field(default=256, ge=0)
    """Width of the channel of items chosen together, computed in closed form next to the towers: it adds .003 NDCG@10
    on validation, and it keeps an item from recommending itself. Twice the rank gave no more. 0 switches it off."""

    text_channel: bool = True
    """The whitened text itself as a second channel: it adds .001 NDCG@10 on validation and needs no training."""

    repeat_width: int = Field(default=0, ge=0)
    """Width of the channel that remembers what a user has taken, a random direction for each item and one weight, by
    training and validation: it keeps items of the history from the list, or brings them back where people buy the same
    again, in the score itself. 0, none: the ranking leaves the history out by itself unless nothing is masked
    (``configs/unmasked.toml``)."""

    @model_validator(mode="after")
    def _require_input(self) -> TowerSettings:
        if not self.read_text and (self.item_tower == "frozen" or not self.id_embeddings):
            raise ValueError("towers that read no text need `id_embeddings` and another `item_tower` than `frozen`")
        return self

    @model_validator(mode="after")
    def _require_even_heads(self) -> TowerSettings:
        if self.dimension % self.heads:
            raise ValueError(f"dimension {self.dimension} cannot be divided by {self.heads} heads")
        return self


class TrainingSettings(Section):
    """PAL: how the towers are trained."""

    loss: Literal["auto", "full_softmax", "sampled_softmax", "dense_all_action"] = "auto"
    """Softmax over the catalogue at every position, or over a sample of it weighted by how it was drawn; or the paper's
    dense all-action loss with negatives from the batch. ``auto`` samples catalogues above ``full_softmax_items``."""

    full_softmax_items: int = Field(default=8_192, ge=1)
    """Items with training interactions up to which ``auto`` uses the full softmax: above, a step's time and memory
    grow with the catalogue instead of the batch."""

    def choose_loss(self, items: int) -> Literal["full_softmax", "sampled_softmax", "dense_all_action"]:
        """Return the loss for a catalogue of so many items with training interactions."""
        if self.loss != "auto":
            return self.loss
        return "sampled_softmax" if items > self.full_softmax_items else "full_softmax"

    uniform_negatives: int = Field(default=2_048, ge=1)
    """Items drawn uniformly for each step of the sampled softmax, next to the batch's own targets."""

    mask_seen: bool = True
    """Leave items that are already in the history out of the softmax: the service does not recommend them either."""

    epochs: int = Field(default=30, ge=1)
    """Most epochs; early stopping usually ends sooner."""

    patience: int = Field(default=2, ge=1)
    """Epochs in a row without a better validation NDCG@10 before training stops."""

    anneal: float = Field(default=0.25, gt=0, le=1)
    """After an epoch without improvement training goes back to the best weights and multiplies the learning rate by
    this: smaller steps find what larger ones missed (.0821 to .0839 NDCG@10 on a shop of 17,000 items, no
    difference on a small one). 1: it never goes back."""

    batch_positions: int = Field(default=0, ge=0)
    """Positions per batch, with padding: a batch has many short histories or few long ones, so each step takes the
    same time and memory. 0: 512, which reached what 1,024 reached in half the epochs, and 1,024 under the sampled
    softmax, where a step also reads every candidate's text."""

    batches_per_step: int = Field(default=1, ge=1)
    """Batches whose gradients are summed before the weights move: larger steps than memory holds at once."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """AdamW's usual rate for small transformers from scratch."""

    warm_learning_rate: float = Field(default=3e-4, gt=0)
    """The same for a training that starts from earlier weights."""

    weight_decay: float = Field(default=0.01, ge=0)
    """It also keeps the ID table near zero for items with little data."""

    temperature: float = Field(default=0.07, gt=0)
    """Start of the softmax temperature, learned from there under a softmax; fixed under ``dense_all_action``
    (.05 in the paper's code)."""

    clip_norm: float = Field(default=5.0, gt=0)
    """Gradient norm at which steps are clipped."""

    history_positions: int = Field(default=10, ge=1)
    """Dense all-action: history positions sampled per user (the paper's code: 10)."""

    target_positions: int = Field(default=10, ge=1)
    """Dense all-action: target positions sampled per user (the paper's code: 10)."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the towers train; ``auto`` takes a CUDA device if there is one."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the matrix products; ``auto`` uses bfloat16 if the processor computes in it, because a processor
    without it is four times slower in bfloat16 than in float32."""

    reuse: bool = True
    """Reuse the finished towers of an earlier run with the same histories, vectors, settings and seed."""


class ProcessSettings(Section):
    """How many processes train the towers, and how they wait for each other."""

    training: int = Field(default=1, ge=1, le=1_024)
    """Processes that share each training batch: one, because on one machine a process already uses all cores. On a
    cluster each has its own machine, with the memory and GPU of the kind ``towers``."""

    answer_seconds: int = Field(default=1_800, ge=10)
    """How long the processes wait for each other. The end of a process is noticed at once; this is for machines that
    vanish silently. The others also wait while the first one measures on validation, chooses channel weights
    and writes, so it must be longer than that: half an hour is torch's own choice."""
