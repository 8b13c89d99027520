"""What is watched and served."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from learn.section import Section


class DriftSettings(Section):
    """When the newest window counts as different from the training window."""

    sample_rows: int = Field(default=5_000, ge=100)
    """Rows drawn (seeded) from each window for the column tests: more make every difference significant."""

    sample_vectors: int = Field(default=1_000, ge=50)
    """Vectors drawn from each side for the embedding test: its kernel grows with the square."""

    on_drift: Literal["warn", "fail"] = "warn"
    """What a drift does to the run; ``--on-drift`` wins over it. A warning, because a new season is drift as well."""

    significance: float = Field(default=0.01, gt=0, lt=1)
    """Family-wise false-alarm rate over all tests of one report, after correction."""

    min_effect: float = Field(default=0.1, ge=0)
    """Smallest effect (a distance from 0 to 1) that counts: with enough rows anything is significant."""

    permutations: int = Field(default=10_000, ge=100)
    """Permutations behind each p-value: they cost milliseconds, since only bin counts are drawn. Fewer than the
    correction over the report's columns needs are raised to what it needs."""


class ServingSettings(Section):
    """What is packed, and how it is checked before it counts."""

    model_name: str = "learn_user_tower"
    """Name in BentoML's model store and of the bento."""

    parity_users: int = Field(default=100, ge=1)
    """Users whose served top-10 is compared with the offline ranking before the run succeeds."""

    max_history: int = Field(default=10_000, ge=1)
    """Longest history a request may carry; longer ones get a 4xx."""

    max_k: int = Field(default=1_000, ge=1)
    """Largest k a request may ask for."""

    max_batch: int = Field(default=100, ge=1)
    """Requests, histories or items that one call may carry: 100 lists take about as long as a person notices, and
    encoding 100 new items some two seconds."""

    ann_items: int = Field(default=200_000, ge=1)
    """Catalogues from this size on are searched approximately (HNSW): below it, scoring every item takes a few
    milliseconds at width 64 and some 50 at width 896, misses nothing, and needs no memory for a graph."""

    state: Path | None = None
    """Folder for what a service keeps itself (items changed at run time); None: ``learn`` in BentoML's home, beside the
    models it serves."""

    load_encoder: Literal["at_start", "when_needed"] = "when_needed"
    """When the service loads the frozen encoder: most services read no new text, and it costs memory and seconds; at
    the start, the first new item does not wait for it."""
