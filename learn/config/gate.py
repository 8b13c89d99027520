"""What a model must be to be served."""

from __future__ import annotations

from pydantic import Field

from learn.section import Section


class GateSettings(Section):
    """The gate's rules: what the towers of a run must show before they may follow the champion."""

    significance: float = Field(default=0.05, gt=0, lt=0.5)
    """Error rate of each of the gate's tests: at most one equal-but-for-the-margin model in twenty passes by luck."""

    margin: float = Field(default=0.1, ge=0, lt=1)
    """Loss of NDCG@10 against the champion, as a share of the champion's, that must be ruled out: what a thousand
    users can tell from nothing. More users carry a smaller one; 0 asks for proof that the challenger is better."""

    fewest_users: int = Field(default=100, ge=2)
    """Fewer users than this in the newest window prove nothing about a champion, so no model follows it."""

    slice_margin: float = Field(default=0.25, ge=0, lt=1)
    """Loss of NDCG@10 in a slice, as a share of the champion's there, that no model may have: slices are small, and a
    quarter is what people who live in one notice."""

    fewest_slice_users: int = Field(default=50, ge=2)
    """Smaller slices are shown and do not decide: a handful of users turns by a quarter from one seed to the next."""

    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    """Quarantined share of a table above which nothing is promoted; a run stops at ``validation.max_quarantined_share``
    by itself, so this matters where it is the stricter one."""

    max_drift_effect: float = Field(default=0.7, gt=0, le=1)
    """Effect of a drifted column of the newest window from which on something broke, and a person must look: as
    ``monitoring.alarm_effect``. Smaller drift is what new models are trained for."""

    max_latency_milliseconds: float = Field(default=100.0, gt=0)
    """Time that 95 of 100 answers may take in one process without the network; each is the fastest of three, since a
    busy machine says nothing of the model. A page waits a tenth of a second without anybody noticing."""

    max_bundle_bytes: int = Field(default=4 * 2**30, ge=1)
    """Size of the bundle: a swap holds two in memory, and 8 GiB are what a small machine has."""
