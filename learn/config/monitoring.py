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
    """What drift does to the run; ``--on-drift`` wins over it. Only a warning, because a new season is drift too."""

    significance: float = Field(default=0.01, gt=0, lt=1)
    """Family-wise false-alarm rate over all tests of one report, after correction."""

    min_effect: float = Field(default=0.1, ge=0)
    """Smallest effect (a distance from 0 to 1) that counts: with enough rows any difference is significant."""

    permutations: int = Field(default=10_000, ge=100)
    """Permutations for each p-value: they cost milliseconds, because only bin counts are drawn. If this is fewer than
    the correction over the report's columns needs, it is raised to that number."""


class MonitoringSettings(Section):
    """When live traffic needs a look, a retraining or a person, and where the verdict is sent."""

    k: int = Field(default=10, ge=1)
    """Length of the lists that are compared and measured: what most pages show, and the k of the offline figures."""

    fewest_answers: int = Field(default=200, ge=1)
    """With fewer answers than this the verdict is ``watch``, because there are too few to judge."""

    retrain_effect: float = Field(default=0.2, gt=0, le=1)
    """Effect of a drifted column that calls for a retraining instead of a look: nearly a tenth of the
    traffic has moved to something new. ``[drift]`` says what counts as drifted at all."""

    alarm_effect: float = Field(default=0.7, gt=0, le=1)
    """Effect above which something broke rather than drifted: the two sides have about a third in common."""

    retrain_unknown_share: float = Field(default=0.05, gt=0, le=1)
    """Share of unknown items in people's histories above which the model should be trained again: one in
    twenty is beyond what a catalogue gains between two weekly trainings of most shops."""

    alarm_damaged_share: float = Field(default=0.01, gt=0, le=1)
    """Share of damaged log lines above which the log itself is broken; a crash leaves one line."""

    recent_days: int = Field(default=3, ge=1)
    """Newest days whose hit rate is compared with the days before: a single day mostly shows its weekday."""

    retrain_quality_fall: float = Field(default=0.2, gt=0, le=1)
    """Significant relative fall of the live hit rate that calls for a retraining; weekdays differ by a tenth."""

    alarm_quality_fall: float = Field(default=0.5, gt=0, le=1)
    """Significant relative fall of the live hit rate that drift cannot explain so fast: half of it is lost."""

    feedback_significance: float = Field(default=0.01, gt=0, lt=1)
    """False-alarm rate over all tests on feedback together, after correction: the same as in ``[drift]``."""

    trend_runs: int = Field(default=20, ge=2)
    """Runs whose drift the cards show next to each other, including this one: three weeks of daily runs, which is what
    a card has room for."""

    ratio_significance: float = Field(default=0.001, gt=0, lt=1)
    """P-value below which the users are not split as planned, which makes the comparison void; one in
    a thousand is usual for this check."""

    retrain_backoff_hours: float = Field(default=6.0, ge=0)
    """Time after a failed retraining before the next one starts, doubled with each failure in a row: what failed at
    night usually fails again within the hour, and a day later someone has looked."""

    retrain_backoff_most_hours: float = Field(default=48.0, ge=0)
    """Longest such time: a loop that nobody watches must continue by itself after the data is fixed."""

    webhook: str = ""
    """Address that receives the verdict as JSON by POST; empty: it is not sent. The environment variable
    ``LEARN_WEBHOOK`` wins over it: settings travel with the run and the bundle, and an address may hold a secret."""

    webhook_from: Literal["ok", "watch", "retrain", "alarm"] = "watch"
    """Lowest verdict that is sent: nobody reads a daily message."""

    webhook_attempts: int = Field(default=3, ge=1)
    """Attempts in one run; messages that could not be delivered are kept on disk and sent by the next run."""

    webhook_timeout_seconds: float = Field(default=5.0, gt=0)
    """Longest wait of one attempt: a receiver that needs longer does its work before it answers."""
