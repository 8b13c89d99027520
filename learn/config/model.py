"""Settings of the towers, their training, and the processes that train together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from learn.config.base import Section


class TowerSettings(Section):
    """PAL: the shape of the towers."""

    item_tower: Literal["adaptor", "shared", "shared_sequence", "frozen"] = "adaptor"
    """What makes an item's vector: the user tower's own adaptor; ``shared``: the whole user tower, each item alone
    (the paper's b); ``shared_sequence``: the same, the target sequence under causal attention in training (a);
    ``frozen``: the content vector through a linear head alone (c)."""

    read_text: bool = True
    """Whether the towers read the frozen text. Without it they are SASRec on item IDs, a baseline that knows no new
    item."""

    dimension: int = Field(default=256, ge=4)
    """Width of the towers and of the vectors served: 256 beat 128 on validation by .003 NDCG@10, above it nothing was
    gained."""

    blocks: int = Field(default=1, ge=1)
    """Transformer blocks: two were no better than one on short histories."""

    heads: int = Field(default=1, ge=1)
    """Attention heads: one is enough for one block (eSASRec, RecSys'25)."""

    max_history: int = Field(default=50, ge=1)
    """Newest interactions the user tower reads."""

    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Inside the blocks: shop data is sparse, .5 beat .2 on validation."""

    input_dropout: float = Field(default=0.3, ge=0, lt=1)
    """On the content vectors before the adaptor: keeps the towers from leaning on single directions of the text."""

    positions: bool = True
    """Learned positions, counted from the oldest item read; the paper's Amazon code has none."""

    recent_items: int = Field(default=10, ge=0)
    """Newest items whose own vectors are mixed into the user vector with learned weights: the largest single gain on
    validation (+.016 Recall@10). 0 switches it off."""

    id_embeddings: bool = True
    """A regularised table next to the frozen text, so that behaviour can correct what the text says; an item without
    training interactions is read by its text alone."""

    id_dropout: float = Field(default=0.1, ge=0, lt=1)
    """On the table's rows, so that the text is not forgotten."""

    whitening: bool = True
    """Centre and whiten the content vectors on training items: frozen LLM vectors are anisotropic (WhitenRec,
    ICDE'24)."""

    cooccurrence_rank: int = Field(default=256, ge=0)
    """Width of the channel that remembers what people chose together, in closed form next to the towers: .003 NDCG@10
    on validation, and it keeps an item from recommending itself. Twice the rank gave no more. 0 switches it off."""

    text_channel: bool = True
    """The whitened text itself as a second channel: .001 NDCG@10 on validation, and it costs no training."""

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
    """Softmax over the catalogue at every position, or over a sample of it weighed for how it was drawn; or the paper's
    dense all-action loss with negatives from the batch. ``auto`` samples catalogues above ``full_softmax_items``."""

    full_softmax_items: int = Field(default=8_192, ge=1)
    """Items with training interactions up to which ``auto`` takes the full softmax: beyond it a step's time and memory
    are the catalogue's, not the batch's."""

    def choose_loss(self, items: int) -> Literal["full_softmax", "sampled_softmax", "dense_all_action"]:
        """Return the loss for a catalogue of so many items with training interactions."""
        if self.loss != "auto":
            return self.loss
        return "sampled_softmax" if items > self.full_softmax_items else "full_softmax"

    uniform_negatives: int = Field(default=2_048, ge=1)
    """Items drawn uniformly for each step of the sampled softmax, next to the batch's own targets."""

    mask_seen: bool = True
    """Take items already in the history out of the softmax: the service does not recommend them either."""

    epochs: int = Field(default=30, ge=1)
    """At most; early stopping ends it sooner."""

    patience: int = Field(default=2, ge=1)
    """Epochs in a row without a better validation NDCG@10 before training stops."""

    anneal: float = Field(default=0.25, gt=0, le=1)
    """After an epoch without a better figure training goes back to the best weights and multiplies the learning rate by
    this: smaller steps find what larger ones stepped over (.0821 to .0839 NDCG@10 on a shop of 17,000 items, no
    difference on a small one). 1: it never goes back."""

    batch_positions: int = Field(default=0, ge=0)
    """Positions per batch, padding counted: short histories come many to a batch, long ones few, and a step takes the
    same time and memory. 0: 512, which reached what 1,024 reached in half the epochs, and 1,024 under the sampled
    softmax, where a step also reads every candidate's text."""

    batches_per_step: int = Field(default=1, ge=1)
    """Batches whose gradients are summed before the weights move: larger steps than memory holds at once."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """AdamW's usual rate for small transformers from scratch."""

    warm_learning_rate: float = Field(default=3e-4, gt=0)
    """The same for a training that starts from earlier weights."""

    weight_decay: float = Field(default=0.01, ge=0)
    """Also what holds the ID table near zero where data is thin."""

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
    """Arithmetic of the matrix products; ``auto`` takes bfloat16 where the processor computes in it, since a processor
    without it is four times slower in bfloat16 than in float32."""

    reuse: bool = True
    """Take the finished towers of an earlier run over the same histories, vectors, settings and seed."""


class ProcessSettings(Section):
    """How many processes train the towers, and how they wait for each other."""

    training: int = Field(default=1, ge=1, le=1_024)
    """Processes that share each training batch: one, because on one machine a process takes all cores already. On a
    cluster each has a machine of its own, with the memory and GPU of the kind ``towers``."""

    answer_seconds: int = Field(default=1_800, ge=10)
    """How long the processes wait for each other. A process that ends is noticed at once; this is for machines that
    vanish without a word. The others wait as long while the first one measures on validation, chooses channel weights
    and writes, so it must be longer than that: half an hour is torch's own choice."""
