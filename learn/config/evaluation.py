"""How models are compared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from learn.section import Section


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
    def _ten_is_among_them(cls, cutoffs: tuple[int, ...]) -> tuple[int, ...]:
        if 10 not in cutoffs or min(cutoffs) < 1:
            raise ValueError("cutoffs are positive and hold 10, by which epochs are chosen and models judged")
        return cutoffs
