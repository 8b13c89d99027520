"""Settings of the evaluation and of the gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from learn.config.base import Section


class EvaluationSettings(Section):
    """How models are compared."""

    cutoffs: tuple[int, ...] = (10, 50)
    """The k of Recall@k and NDCG@k; 10 is always among them, because epochs are chosen and models judged by it."""

    bootstrap_samples: int = Field(default=1_000, ge=100)
    """Resamples of the users for each 95 % interval; more would only change its third digit."""

    block_users: int = Field(default=512, ge=1)
    """Users scored at a time: 512 x 100,000 items x 4 bytes are 200 MB."""

    ranked_scores: int = Field(default=1_000_000_000, ge=1)
    """Users times items up to which every user of a part is ranked. The cost of ranking is this product: a billion
    takes minutes, and without a bound an evaluation could cost more than the training."""

    ranked_users: int = Field(default=20_000, ge=100)
    """Fewest users who are ranked: beyond ``ranked_scores``, as many are drawn as stay within it, but never fewer than
    these. They measure a Recall of .1 to within .004 with 95 % confidence, and the difference of two models, user by
    user, more closely."""

    short_history: int = Field(default=5, ge=1)
    """Users with at most this many items make the slice of short histories."""

    tail_share: float = Field(default=0.2, gt=0, lt=1)
    """Items that together hold this last share of training interactions make the tail slice."""

    baselines: tuple[
        Literal["popularity", "content_neighbours", "transitions", "tfidf_neighbours", "ease", "blend"], ...
    ] = ("popularity", "content_neighbours", "transitions", "tfidf_neighbours", "ease", "blend")
    """Models that the towers are compared with; the blend mixes ``transitions``, ``tfidf_neighbours`` and ``ease``."""

    ease_regularisation: float = Field(default=100.0, gt=0)
    """EASE's only parameter: the best from 5 to 200 on validation, and its neighbours are almost as good."""

    ease_max_items: int = Field(default=20_000, ge=1)
    """Trained items above which EASE (and its part in the blend) is left out: 20,000 take 5 GB and minutes."""

    selection_users: int = Field(default=10_000, ge=100)
    """Validation users on whom epochs and channel weights are chosen, the same ones each time; more make
    epochs longer and the choice no better."""

    tuning_users: int = Field(default=4_000, ge=1)
    """Validation users on whom the blend's weights are chosen: three weights need no more."""

    list_users: int = Field(default=2_000, ge=1)
    """Users whose lists are measured for coverage, popularity bias and diversity: unlike ranks, lists need sorting."""

    @field_validator("cutoffs")
    @classmethod
    def _require_ten(cls, cutoffs: tuple[int, ...]) -> tuple[int, ...]:
        if 10 not in cutoffs or min(cutoffs) < 1:
            raise ValueError("cutoffs are positive and hold 10, by which epochs are chosen and models judged")
        return cutoffs


class GateSettings(Section):
    """The gate's rules: what the towers of a run must show before they may follow the champion."""

    significance: float = Field(default=0.05, gt=0, lt=0.5)
    """Error rate of each of the gate's tests: at most one in twenty models that are worse by the margin passes by
    luck."""

    margin: float = Field(default=0.1, ge=0, lt=1)
    """Loss of NDCG@10 against the champion, as a share of the champion's, that must be ruled out: a thousand
    users can just detect it. With more users it can be smaller; 0 requires proof that the challenger is better."""

    fewest_users: int = Field(default=100, ge=2)
    """Fewer users than this in the newest window prove nothing about a champion, so no model follows it."""

    slice_margin: float = Field(default=0.25, ge=0, lt=1)
    """Largest loss of NDCG@10 in a slice, as a share of the champion's there: slices are small, and a
    quarter is what their users notice."""

    fewest_slice_users: int = Field(default=50, ge=2)
    """Smaller slices are shown but do not decide: with a handful of users the figure changes by a quarter between
    seeds."""

    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    """Quarantined share of a table above which nothing is promoted. A run stops at ``validation.max_quarantined_share``
    anyway, so this only matters if it is stricter."""

    max_drift_effect: float = Field(default=0.7, gt=0, le=1)
    """Effect of a drifted column of the newest window above which something is broken and a person must look: as
    ``monitoring.alarm_effect``. Smaller drift is what new models are trained for."""

    max_latency_milliseconds: float = Field(default=100.0, gt=0)
    """Time that 95 of 100 answers may take in one process without the network; each is the fastest of three, because a
    busy machine would distort it. People do not notice that a page waits for a tenth of a second."""

    max_bundle_bytes: int = Field(default=4 * 2**30, ge=1)
    """Largest size of the bundle: a swap needs two in memory, and a small machine has 8 GiB."""
