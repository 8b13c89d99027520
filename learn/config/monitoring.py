"""Settings of the drift report and of the monitor."""

from __future__ import annotations

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
