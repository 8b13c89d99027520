"""Settings of drift, monitoring, the traffic log and the service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from learn.config.base import Section


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


class MonitoringSettings(Section):
    """When live traffic calls for a look, a retraining or a person, and who is told."""

    k: int = Field(default=10, ge=1)
    """Length of the lists that are compared and measured: what most pages show, and the k of the offline figures."""

    fewest_answers: int = Field(default=200, ge=1)
    """Fewer answers than this are no basis for a verdict: it is ``watch``, and says so."""

    retrain_effect: float = Field(default=0.2, gt=0, le=1)
    """Effect of a drifted column from which on it calls for a retraining instead of a look: nearly a tenth of the
    traffic has moved to something new. What counts as drifted at all is in ``[drift]``."""

    alarm_effect: float = Field(default=0.7, gt=0, le=1)
    """Effect from which on something broke rather than drifted: the two sides have about a third in common."""

    retrain_unknown_share: float = Field(default=0.05, gt=0, le=1)
    """Share of the items in people's histories that the model does not know from which on it is trained again: one in
    twenty is beyond what a catalogue gains between two weekly trainings of most shops."""

    alarm_damaged_share: float = Field(default=0.01, gt=0, le=1)
    """Share of damaged log lines from which on the log itself is broken; a crash leaves one line."""

    recent_days: int = Field(default=3, ge=1)
    """Newest days whose hit rate is compared with the days before: one day alone is mostly its weekday."""

    retrain_quality_fall: float = Field(default=0.2, gt=0, le=1)
    """Significant relative fall of the live hit rate that calls for a retraining; weekdays alone make a tenth."""

    alarm_quality_fall: float = Field(default=0.5, gt=0, le=1)
    """Significant relative fall of the live hit rate that no drift explains overnight: half of it gone."""

    feedback_significance: float = Field(default=0.01, gt=0, lt=1)
    """False-alarm rate over all tests on feedback together, after correction: as the one of ``[drift]``."""

    trend_runs: int = Field(default=20, ge=2)
    """Runs whose drift the cards show next to each other, this one among them: three weeks of daily ones, and what a
    card has room for."""

    ratio_significance: float = Field(default=0.001, gt=0, lt=1)
    """When users are split otherwise than planned the comparison is void, so only a flagrant mismatch counts; one in
    a thousand is the custom for this check."""

    retrain_backoff_hours: float = Field(default=6.0, ge=0)
    """Time after a failed retraining before the next is started, doubled with each failure in a row: what failed at
    night mostly fails again within the hour, and a day later someone has looked."""

    retrain_backoff_most_hours: float = Field(default=48.0, ge=0)
    """Longest such time: a loop that nobody watches must come back by itself once the data is fixed."""

    webhook: str = ""
    """Address that gets the verdict as JSON by POST; empty: nobody is told. The environment variable
    ``LEARN_WEBHOOK`` wins over it: settings travel with the run and the bundle, and an address may hold a secret."""

    webhook_from: Literal["ok", "watch", "retrain", "alarm"] = "watch"
    """Lowest verdict that is sent: nobody reads a message that comes every day."""

    webhook_attempts: int = Field(default=3, ge=1)
    """Attempts in one run; what no attempt delivered is kept on disk and sent by the next run."""

    webhook_timeout_seconds: float = Field(default=5.0, gt=0)
    """Longest wait of one attempt: a receiver that needs more does its work before it answers."""


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
