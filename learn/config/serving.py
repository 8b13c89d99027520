"""Settings of the service: deployment, operations, the traffic log, and what a bundle says of serving."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from learn.config.base import Section


class DeploymentSettings(Section):
    """Which models a running service answers with; each service reads them from its environment."""

    serve: str = "champion"
    """`champion` follows the alias, and uses the packed model if nobody has promoted any; `packed` is the model
    that came with the bento, whatever the aliases are; a version is always that one."""

    poll_seconds: float = Field(default=1.0, gt=0)
    """How often the file of the aliases is read: this costs microseconds, and a person waits for the swap."""

    retry_seconds: float = Field(default=60.0, gt=0)
    """When a refused model is tried again: someone may have fixed it, and reading it costs seconds of a core."""

    shadow_queue: int = Field(default=100, ge=1)
    """Requests that may wait for the challenger's answer in the shadow; further ones are skipped and counted, because
    the shadow must never slow down what people see."""


class OperationsSettings(Section):
    """How a running service answers, logs and is closed; each service reads them from its environment.

    The API keys are not among them, because settings are shown: they are the environment's ``LEARN_SERVING_KEYS`` (with
    commas between them) or the lines of the file ``LEARN_SERVING_KEYS_FILE``.
    """

    max_requests: int = Field(default=128, ge=1)
    """Requests that may be open at the same time; further ones get a 503 at once. A list takes about two milliseconds
    of a core, so the last of 128 waits a quarter of a second; people do not wait for longer."""

    retry_after_seconds: int = Field(default=1, ge=1)
    """How long such a 503 asks the client to wait: the queue is short, so it is empty by then."""

    keys_for: Literal["changes", "feedback", "all"] = "changes"
    """Which requests need an API key: those that change items; those and `feedback`; or every request for an
    answer. Pages, probes and metrics are open. Lists are requested by a shop's own servers, which control access."""

    log_format: Literal["text", "json"] = "text"
    """How the service writes its log to standard output: lines for people, or one JSON object a line for machines."""


class TrafficSettings(Section):
    """What a service keeps of its answers and of feedback; each service reads them from its environment.

    The key that hashes user ids is not among them, because settings are written into bundles and reports: it is only in
    the environment, as ``LEARN_TRAFFIC_KEY``.
    """

    folder: Path | None = None
    """Folder of the files; None: nothing is kept, because people's behaviour is only kept on request."""

    queue_records: int = Field(default=100_000, ge=1)
    """Records that may wait for the disk, at most some 100 MB; further ones are dropped and counted, because a request
    never waits for the log."""

    flush_seconds: float = Field(default=1.0, gt=0)
    """How often waiting records are written: a killed process loses this much; waking the writer per request costs
    more."""

    rotate_bytes: int = Field(default=64 * 2**20, ge=1024)
    """Size at which a file is finished: some 100,000 answers, which take a second to read."""

    rotate_seconds: float = Field(default=3_600, gt=0)
    """Age at which a file is finished, so that quiet hours reach anyone who collects finished files."""

    keep_bytes: int = Field(default=10 * 2**30, ge=1024)
    """Largest size of all files together; above it the oldest are deleted, so that a forgotten service fills no
    disk."""

    keep_days: float = Field(default=90, gt=0)
    """Age at which files are deleted: a season to look back on; there is no reason to keep people's behaviour
    longer."""


class ServingSettings(Section):
    """What is packed, and how it is checked."""

    model_name: str = "learn_user_tower"
    """Name in BentoML's model store and of the bento."""

    parity_users: int = Field(default=100, ge=1)
    """Users whose served top-10 is compared with the offline ranking before the run succeeds."""

    max_history: int = Field(default=10_000, ge=1)
    """Longest history a request may carry; longer ones get a 4xx."""

    max_k: int = Field(default=1_000, ge=1)
    """Largest k of a request."""

    max_batch: int = Field(default=100, ge=1)
    """Most requests, histories or items of one call: 100 lists take as long as a person just notices, and
    encoding 100 new items takes some two seconds."""

    ann_items: int = Field(default=200_000, ge=1)
    """Catalogues of at least this size are searched approximately (HNSW): below it, scoring every item takes a few
    milliseconds at width 64 and some 50 at width 896, misses nothing, and needs no memory for a graph."""

    state: Path | None = None
    """Folder for the service's own files (items changed at run time); None: ``learn`` in BentoML's home, next to
    the models it serves."""

    load_encoder: Literal["at_start", "when_needed"] = "when_needed"
    """When the service loads the frozen encoder: most services read no new text, and loading costs memory and seconds.
    At ``start``, the first new item need not wait for it."""
