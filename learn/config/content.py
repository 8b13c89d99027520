"""Settings of content extraction (CEX): how text becomes a frozen vector."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from learn.config.base import Section

Arithmetic = Literal["auto", "float32", "bfloat16", "int8"]


class ContentSettings(Section):
    """CEX: how each item's text becomes a frozen vector."""

    encoder: str = "all-MiniLM-L6-v2"
    """Name of a packaged encoder, a model's folder, or `owner/model[@revision]` of the hub, from the hub's local
    cache or else downloaded. MiniLM is a Python package, fits any laptop, and larger encoders gained little
    (BLaIR's table)."""

    trust_remote_code: str = ""
    """The encoder whose own Python code may run, spelled exactly as in `encoder`; empty: none, because a
    model's code can do whatever you can."""

    pooling: Literal["mean", "last", "cls"] = "mean"
    """Mean over real tokens, as in the paper's code and MiniLM's own training. `last` reads the end-of-text token
    behind the text, `cls` the first token."""

    layer: int = -1
    """Layer whose token states are pooled: -1 the last, -2 the one before it, 0 the embeddings. Encoders trained for
    similarity need the last; a plain LLM's last but one is often better, because its last predicts the next word."""

    instruction: str = ""
    """Text put before every item's text, read and pooled with it: `query: ` for E5, none for MiniLM. Both sides are
    items here, so one instruction serves both."""

    max_tokens: int = Field(default=256, ge=8)
    """Tokens read of each text: MiniLM was trained on at most 256."""

    arithmetic: Arithmetic = "auto"
    """How the encoder computes. `auto` uses what the store already has, else `bfloat16` if the machine computes
    in it and the vectors match float32 to a cosine of .999 (2.6 times as fast with AVX512-BF16), else `float32`.
    `int8` is faster on any processor and less exact."""

    fields: tuple[str, ...] = ("title", "brand", "category", "price", "keywords", "attributes", "description")
    """Columns in the prompt, in this order; the title first, because the end is what truncation cuts. The paper's six
    industrial fields, and the description last."""

    labels: dict[str, str] = Field(default_factory=dict)
    """Words before a field's text, by column, e.g. `title = "Titel"`; the column's name otherwise, and nothing at all
    where the label is empty."""

    max_field_characters: int = Field(default=1_000, ge=10)
    """Characters kept of each field but the title, so that a long description never pushes another field out."""

    field_vectors: tuple[str, ...] = ()
    """Those of `fields` that also get their own vector, after the one of the whole prompt, for towers that weight
    fields separately, e.g. `["title", "brand", "category"]`; none by default: each is one more pass and widens the
    vectors by the encoder's width."""

    tokens_per_batch: int = Field(default=0, ge=0)
    """Tokens of one forward pass, padding included; 0: 2,048 on a CPU, where small batches of similar lengths
    beat large ones (measured: 8-32 texts), 65,536 on a GPU. It is halved automatically if memory runs out."""

    store: str = ""
    """Where the vectors are kept: a folder, or a URL such as ``s3://bucket/folder`` (needs the extra ``s3``); empty:
    ``content`` in the workspace. Machines that share a place encode nothing twice."""

    stored_as: Literal["float32", "float16"] = "float32"
    """Type of the numbers in the store: float32 keeps every bit; float16 halves the disk and changes a unit vector by 3
    in 10,000. Part of the content key."""

    part_items: int = Field(default=4_096, ge=1)
    """Most vectors per part of the store. A kill loses at most this much, about half a minute's work on two cores."""

    part_seconds: float = Field(default=60.0, gt=0)
    """A part is also written after this time, so that a kill loses only about a minute's work of
    even the slowest encoder."""

    shards: int = Field(default=0, ge=0)
    """Parallel encoding tasks; 0: one for each 50,000 missing items, 100 at most, since on one machine they share
    the same cores."""

    threads: int = Field(default=0, ge=0)
    """Cores for encoding, one batch of texts on each; 0: all that the process may use (``OMP_NUM_THREADS`` counts). The
    vectors are the same bytes for any number."""

    @model_validator(mode="after")
    def _read_fields(self) -> Self:
        if unread := [field for field in self.field_vectors if field not in self.fields]:
            raise ValueError(f"field_vectors names columns that are not in fields: {', '.join(unread)}")
        if len(set(self.field_vectors)) < len(self.field_vectors):
            raise ValueError("field_vectors names a column twice")
        return self
