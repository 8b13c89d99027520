"""Settings of the evaluation and of the gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from learn.config.base import Section


class EvaluationSettings(Section):
    """How models are compared."""

    cutoffs: tuple[int, ...] = (10, 50)
    """The k of Recall@k and NDCG@k; 10 is always among them, since epochs are chosen and models judged by it."""

    bootstrap_samples: int = Field(default=1_000, ge=100)
    """Resamples of the users behind each 95 % interval; more change its third digit."""

    block_users: int = Field(default=512, ge=1)
    """Users scored at a time: 512 x 100,000 items x 4 bytes are 200 MB."""

    ranked_scores: int = Field(default=1_000_000_000, ge=1)
    """Users times items up to which every user of a part is ranked. Ranking costs this product: a billion of them take
    minutes, and without a bound an evaluation would come to cost more than the training."""

    ranked_users: int = Field(default=20_000, ge=100)
    """Users who are ranked at least: beyond ``ranked_scores`` as many are drawn as stay within it, and never fewer than
    these. So many tell a Recall of .1 to .004 with 95 % confidence, and the difference of two models, user by user,
    closer than that."""

    short_history: int = Field(default=5, ge=1)
    """Users with at most this many items make the slice of short histories."""

    tail_share: float = Field(default=0.2, gt=0, lt=1)
    """Items that together hold this last share of training interactions make the tail slice."""

    baselines: tuple[
        Literal["popularity", "content_neighbours", "transitions", "tfidf_neighbours", "ease", "blend"], ...
    ] = ("popularity", "content_neighbours", "transitions", "tfidf_neighbours", "ease", "blend")
    """What the towers are compared with; the blend mixes ``transitions``, ``tfidf_neighbours`` and ``ease``."""

    ease_regularisation: float = Field(default=100.0, gt=0)
    """EASE's only parameter: best of 5 to 200 on validation, and flat around it."""

    ease_max_items: int = Field(default=20_000, ge=1)
    """Trained items above which EASE (and its part in the blend) is left out: 20,000 take 5 GB and minutes."""

    selection_users: int = Field(default=10_000, ge=100)
    """Validation users by whom epochs and the weights of the channels are chosen, the same ones each time; more make
    epochs longer and no choice better."""

    tuning_users: int = Field(default=4_000, ge=1)
    """Validation users on whom the blend's weights are chosen: three shares need no more."""

    list_users: int = Field(default=2_000, ge=1)
    """Users whose lists are looked at for coverage, popularity bias and diversity: lists need sorting, ranks do not."""

    @field_validator("cutoffs")
    @classmethod
    def _require_ten(cls, cutoffs: tuple[int, ...]) -> tuple[int, ...]:
        if 10 not in cutoffs or min(cutoffs) < 1:
            raise ValueError("cutoffs are positive and hold 10, by which epochs are chosen and models judged")
        return cutoffs


class GateSettings(Section):
    """The gate's rules: what the towers of a run must show before they may follow the champion."""

    significance: float = Field(default=0.05, gt=0, lt=0.5)
    """Error rate of each of the gate's tests: at most one equal-but-for-the-margin model in twenty passes by luck."""

    margin: float = Field(default=0.1, ge=0, lt=1)
    """Loss of NDCG@10 against the champion, as a share of the champion's, that must be ruled out: what a thousand
    users can tell from nothing. More users carry a smaller one; 0 requests proof that the challenger is better."""

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
