"""Settings of the service: deployment, operations, the traffic log, and what a bundle says of serving."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from learn.config.base import Section


class DeploymentSettings(Section):
    """Which models a running service answers with; each service reads them from its environment."""

    serve: str = "champion"
    """`champion` follows the alias, and takes the packed model if nobody has promoted any; `packed` is the model
    that came with the bento, whatever the aliases say; a version is that one, for good."""

    poll_seconds: float = Field(default=1.0, gt=0)
    """How often the file of the aliases is looked at: looking costs microseconds, and a swap is awaited by a person."""

    retry_seconds: float = Field(default=60.0, gt=0)
    """When a refused model is tried again: someone may have fixed it, and reading it costs seconds of a core."""

    shadow_queue: int = Field(default=100, ge=1)
    """Requests that may wait for the challenger's answer in the shadow; further ones are left out and counted, since
    the shadow must never slow down what people see."""


class OperationsSettings(Section):
    """How a running service answers, logs and is closed; each service reads them from its environment.

    The API keys are none of these, because settings are shown: they are the environment's ``LEARN_SERVING_KEYS`` (with
    commas between them) or the lines of the file ``LEARN_SERVING_KEYS_FILE``.
    """

    max_requests: int = Field(default=128, ge=1)
    """Requests that may be under way at a time; further ones get a 503 at once. A list takes about two milliseconds of
    a core, so the last of 128 waits a quarter of a second, and who waits for longer than that has gone."""

    retry_after_seconds: int = Field(default=1, ge=1)
    """What such a 503 tells the client to wait: the line is short, so it is worked off by then."""

    keys_for: Literal["changes", "feedback", "all"] = "changes"
    """Which requests need an API key: those that change the items; those and `feedback`; or every request for an
    answer. Pages, probes and metrics are open. Lists are requested by a shop's own servers, which see to that."""

    log_format: Literal["text", "json"] = "text"
    """How the service writes its log to standard output: lines for people, or one JSON object a line for machines."""


class TrafficSettings(Section):
    """What a service keeps of its answers and of feedback; each service reads them from its environment.

    The key that hashes user ids is none of these, because settings are written into bundles and reports: it is the
    environment's ``LEARN_TRAFFIC_KEY`` alone.
    """

    folder: Path | None = None
    """Where the files go; None: nothing is kept, because what people do is kept only where somebody requested it."""

    queue_records: int = Field(default=100_000, ge=1)
    """Records that may wait for the disk, some 100 MB at worst; further ones are dropped and counted, since a request
    never waits for the log."""

    flush_seconds: float = Field(default=1.0, gt=0)
    """How often what waits is written: what a killed process loses, against waking the writer for each request."""

    rotate_bytes: int = Field(default=64 * 2**20, ge=1024)
    """Size at which a file is finished: some 100,000 answers, read in a second."""

    rotate_seconds: float = Field(default=3_600, gt=0)
    """Age at which a file is finished, so that quiet hours reach anyone who collects finished files."""

    keep_bytes: int = Field(default=10 * 2**30, ge=1024)
    """Bytes of all files together; the oldest are deleted above it, so that a forgotten service fills no disk."""

    keep_days: float = Field(default=90, gt=0)
    """Age at which files are deleted: a season to look back on, and no reason to keep what people did for longer."""


class ServingSettings(Section):
    """What is packed, and how it is checked before it counts."""

    model_name: str = "learn_user_tower"
    """Name in BentoML's model store and of the bento."""

    parity_users: int = Field(default=100, ge=1)
    """Users whose served top-10 is compared with the offline ranking before the run succeeds."""

    max_history: int = Field(default=10_000, ge=1)
    """Longest history a request may carry; longer ones get a 4xx."""

    max_k: int = Field(default=1_000, ge=1)
    """Largest k a request may request."""

    max_batch: int = Field(default=100, ge=1)
    """Requests, histories or items that one call may carry: 100 lists take about as long as a person notices, and
    encoding 100 new items some two seconds."""

    ann_items: int = Field(default=200_000, ge=1)
    """Catalogues from this size on are searched approximately (HNSW): below it, scoring every item takes a few
    milliseconds at width 64 and some 50 at width 896, misses nothing, and needs no memory for a graph."""

    state: Path | None = None
    """Folder for what a service keeps itself (items changed at run time); None: ``learn`` in BentoML's home, next to
    the models it serves."""

    load_encoder: Literal["at_start", "when_needed"] = "when_needed"
    """When the service loads the frozen encoder: most services read no new text, and it costs memory and seconds; at
    the start, the first new item does not wait for it."""
