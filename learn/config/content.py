"""Settings of content extraction (CEX): how text becomes a frozen vector."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from learn.config.base import Section

Arithmetic = Literal["auto", "float32", "bfloat16", "int8"]


class ContentSettings(Section):
    """CEX: how each item's text becomes a frozen vector."""

    encoder: str = "all-MiniLM-L6-v2"
    """Name of a packaged encoder, the folder of one, or `owner/model[@revision]` of the hub: taken from the hub's local
    cache, else downloaded. MiniLM comes by the package index alone, fits any laptop, and larger encoders bought little
    (BLaIR's table)."""

    trust_remote_code: str = ""
    """The encoder whose own Python code may run, by the very name that is in `encoder`; empty: none, because a
    model's code can do whatever you can."""

    pooling: Literal["mean", "last", "cls"] = "mean"
    """Mean over real tokens, as in the paper's code and MiniLM's own training. `last` reads the end-of-text token
    behind the text, `cls` the first token."""

    layer: int = -1
    """Layer whose token states are pooled: -1 the last, -2 the one before it, 0 the embeddings. Encoders trained for
    similarity want the last; a plain LLM's last but one is often better, since its last is bent on the next word."""

    instruction: str = ""
    """Text put before every item's, read and pooled with it: `query: ` for E5, none for MiniLM. Items and histories are
    all items here, so one instruction serves both sides."""

    max_tokens: int = Field(default=256, ge=8)
    """Tokens read of each text: MiniLM was trained on at most 256."""

    arithmetic: Arithmetic = "auto"
    """How the encoder computes. `auto` takes what the store already holds, else `bfloat16` where the machine computes
    in it and the vectors are the float32 ones to a cosine of .999 (2.6 times as fast with AVX512-BF16), else `float32`.
    `int8` is faster on any processor and comes less close."""

    fields: tuple[str, ...] = ("title", "brand", "category", "price", "keywords", "attributes", "description")
    """Columns in the prompt, in this order; the title first, because the end is what truncation cuts. The paper's six
    industrial fields, and the description last."""

    labels: dict[str, str] = Field(default_factory=dict)
    """Words before a field's text, by column, e.g. `title = "Titel"`; the column's name otherwise, and nothing at all
    where the label is empty."""

    max_field_characters: int = Field(default=1_000, ge=10)
    """Characters kept of each field but the title, so that a long description never pushes another field out."""

    field_vectors: tuple[str, ...] = ()
    """Of `fields`, those that also get a vector of their own, behind the whole prompt's, for towers that weigh fields
    apart, e.g. `["title", "brand", "category"]`; none: each is one more pass and makes the vectors wider by the
    encoder's width."""

    tokens_per_batch: int = Field(default=0, ge=0)
    """Tokens of one forward pass, padding included; 0: 2,048 on a processor, where small batches of similar lengths
    beat large ones (measured: 8-32 texts), 65,536 on a GPU. Halved by itself where the memory does not suffice."""

    store: str = ""
    """Where the vectors are kept: a folder, or a URL such as ``s3://bucket/folder`` (needs the extra ``s3``); empty:
    ``content`` in the workspace, which needs no thought. Machines that share a place encode nothing twice."""

    stored_as: Literal["float32", "float16"] = "float32"
    """Numbers in the store: float32 keeps every bit; float16 halves the disk and moves a unit vector by some 3 in
    10,000. Part of the content key."""

    part_items: int = Field(default=4_096, ge=1)
    """Vectors per part of the store, at most: what a kill can lose, about half a minute's work on two cores."""

    part_seconds: float = Field(default=60.0, gt=0)
    """A part is also written when it has been in the making for so long, so that a kill loses about a minute's work of
    the slowest encoder too."""

    shards: int = Field(default=0, ge=0)
    """Parallel encoding tasks; 0: one for each 50,000 missing items, 100 at most, since on one machine they share
    the same cores."""

    threads: int = Field(default=0, ge=0)
    """Cores for encoding, one text batch on each; 0: all that the process may use (``OMP_NUM_THREADS`` counts). The
    vectors are the same bytes whatever is here."""

    @model_validator(mode="after")
    def _read_fields(self) -> Self:
        if unread := [field for field in self.field_vectors if field not in self.fields]:
            raise ValueError(f"field_vectors names columns that are not among fields: {', '.join(unread)}")
        if len(set(self.field_vectors)) < len(self.field_vectors):
            raise ValueError("field_vectors names a column twice")
        return self
