"""Closed-form baselines: the least that a trained model has to beat.

Each is fitted on only the training part, without random draws, and each is a :class:`Scorer`. It reads the example's
whole history, however new. A user without a history gets nothing from it, which counts as a miss; only popularity
answers everybody.

The number of newest items that are read, and their decay, were chosen once on the validation part of public
review data (Amazon Industrial and Scientific, then checked on Video Games). They are the same for every data set.

The blend adds the scores of several baselines on one scale, with weights chosen on validation.

Shape legend: B examples of a block, U users, N items, A items with training interactions, V terms, c content
dimensions, S scorers, W weightings tried.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from learn.config import EvaluationSettings
from learn.data import Examples, Histories
from learn.errors import SettingsError
from learn.evaluation.lists import centre_directions, sample_examples
from learn.evaluation.metrics import compute_metric
from learn.evaluation.ranking import (
    Scorer,
    build_history_profile,
    empty_histories,
    flatten_histories,
    iterate_blocks,
    iterate_tiles,
    rank_block,
)
from learn.model import count_transitions

_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Popularity:
    """The items with the most training interactions, the same for everybody."""

    counts: Tensor
    name: str = "popularity"

    @classmethod
    def fit(cls, histories: Histories) -> Popularity:
        """Count the training interactions of each item."""
        return cls(torch.from_numpy(histories.count_popularity().astype(np.float32)))

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:  # noqa: ARG002 - the protocol's
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        return self.counts.expand(rows.stop - rows.start, -1)  # (B, N)


@dataclass(frozen=True)
class ContentNeighbours:
    """Recommends items whose content vectors are nearest to those of the newest items; nothing is trained.

    The vectors are centred, because raw text vectors all point in similar directions (NDCG@10 on validation .0693
    against .0668). Five items that fade by .7 were better than only the last (.0636) and no worse than ten (.0691).
    """

    directions: _Floats
    last: int = 5
    decay: float = 0.7
    name: str = "content_neighbours"

    @classmethod
    def fit(cls, content: _Floats) -> ContentNeighbours:
        """Centre and normalise the content vectors (N, c) of all items."""
        return cls(centre_directions(content))

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        profile = build_history_profile(histories, examples, rows, last=self.last, decay=self.decay)
        asked = torch.from_numpy(profile @ self.directions)  # (B, c)
        return _withhold_scores(asked @ torch.from_numpy(self.directions).T, examples, rows)  # (B, N)


@dataclass(frozen=True)
class Transitions:
    """Recommends items that came soon after the newest items in other users' histories.

    A pair of items at distance t counts ``fade ** (t - 1)``. Pairs in the other direction count half: review and
    shop data order loosely, and it gained .008 NDCG@10 on validation (``backward=0`` counts only the order).
    """

    counts: sparse.csr_array
    last: int = 10
    decay: float = 0.7
    name: str = "transitions"

    @classmethod
    def fit(cls, histories: Histories, *, window: int = 10, fade: float = 0.8, backward: float = 0.5) -> Transitions:
        """Count the transitions within the training part.

        Args:
            histories: All histories.
            window: Longest distance that counts.
            fade: Weight of a pair one step further apart.
            backward: Weight of a pair met in the other direction.
        """
        return cls(count_transitions(histories, window=window, fade=fade, backward=backward))

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        profile = build_history_profile(histories, examples, rows, last=self.last, decay=self.decay)
        return _withhold_scores(torch.from_numpy((profile @ self.counts).toarray()), examples, rows)  # (B, N)


@dataclass(frozen=True)
class TfidfNeighbours:
    """Recommends items whose texts share the most distinctive words with those of the newest items.

    Only titles were better than titles with brand, category and description (NDCG@10 on validation .0787 against
    .0771 and less), because the words of a long description drown those of the title.
    """

    terms: sparse.csr_array
    items_by_term: sparse.csr_array = field(repr=False)
    last: int = 5
    decay: float = 0.7
    name: str = "tfidf_neighbours"

    @classmethod
    def fit(cls, texts: Sequence[str | None]) -> TfidfNeighbours:
        """Weight the words of each item's text; an absent text has none.

        Args:
            texts: (N) one per item, usually titles.

        Raises:
            SettingsError: No text holds a word.
        """
        vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32)
        try:
            terms = sparse.csr_array(vectorizer.fit_transform([text or "" for text in texts]))
        except ValueError as fault:
            raise SettingsError(
                f"The items' texts contain no words to compare ({fault}).",
                where="evaluation.baselines",
                fix="leave `tfidf_neighbours` and `blend` out of `evaluation.baselines`, or map the title column",
            ) from fault
        return cls(terms, sparse.csr_array(terms.T))

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        profile = build_history_profile(histories, examples, rows, last=self.last, decay=self.decay)
        shared = (profile @ self.terms) @ self.items_by_term
        return _withhold_scores(torch.from_numpy(shared.toarray()), examples, rows)  # (B, N)


@dataclass(frozen=True)
class Ease:
    """EASE (Steck, WWW 2019): the linear item-to-item model with no weight from an item to itself.

    It reads the ten newest items that fade by .8, which beat the unweighted whole history on validation.
    """

    weights: _Floats = field(repr=False)
    trained: NDArray[np.int64] = field(repr=False)
    last: int = 10
    decay: float = 0.8
    name: str = "ease"

    @classmethod
    def fit(cls, histories: Histories, *, regularisation: float, max_items: int) -> Ease:
        """Solve for the weights between the items that have training interactions.

        Args:
            histories: All histories.
            regularisation: Added to the diagonal of the Gram matrix.
            max_items: Most items it is solved for: it needs 12 bytes times their square of memory.

        Raises:
            SettingsError: There are more items than that.
        """
        users, items = histories.read_training_pairs()
        trained, columns = np.unique(items, return_inverse=True)
        if len(trained) > max_items:
            size_gb = 12 * len(trained) ** 2 / 1e9
            raise SettingsError(
                f"EASE over {len(trained):,} items would need {size_gb:,.0f} GB of memory and a matrix inverse.",
                where="evaluation.ease_max_items",
                fix="raise that setting, or leave `ease` out of `evaluation.baselines`",
            )
        seen = sparse.csr_array(
            (np.ones(len(users), np.float32), (users, columns)), shape=(histories.user_count, len(trained))
        )
        seen.data[:] = 1.0  # a repeated purchase counts once
        return cls(_solve_ease(seen, regularisation), trained.astype(np.int64))

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`; items without training interactions score 0."""
        profile = build_history_profile(histories, examples, rows, last=self.last, decay=self.decay)
        scores = profile[:, self.trained] @ self.weights  # (B, A)
        if len(self.trained) < histories.item_count:
            everywhere = np.zeros(profile.shape, dtype=np.float32)  # (B, N)
            everywhere[:, self.trained] = scores
            scores = everywhere
        return _withhold_scores(torch.from_numpy(scores), examples, rows)  # (B, N)


def _solve_ease(seen: sparse.csr_array, regularisation: float) -> _Floats:
    gram = torch.from_numpy((seen.T @ seen).toarray())  # (A, A)
    gram.diagonal().add_(regularisation)
    weights = torch.cholesky_inverse(torch.linalg.cholesky(gram))  # (A, A)
    weights /= -weights.diagonal().clone()
    weights.fill_diagonal_(0.0)
    # LAPACK returns columns, but histories gather rows.
    solved: _Floats = weights.contiguous().numpy()
    return solved


def _withhold_scores(scores: Tensor, examples: Examples, rows: slice) -> Tensor:
    """Set the scores of examples without a history to -inf, in place."""
    scores[torch.from_numpy(empty_histories(examples, rows))] = -torch.inf
    return scores


# Most weightings that are tried: tenths for three scorers, coarser with more.
_MAX_WEIGHTINGS = 66
_TILE_SCORES = 2**17


@dataclass(frozen=True)
class Blend:
    """The weighted sum of several scorers' standardised scores.

    Each scorer's scores are divided by their standard deviation over the catalogue, separately for each user, after
    their mean was subtracted, because scores of different models share no unit. A scorer that recommends nothing to a
    user is ignored for that user; if all are, nothing is recommended.
    """

    scorers: tuple[Scorer, ...]
    weights: tuple[float, ...]
    name: str = "blend"

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        used = [(scorer, weight) for scorer, weight in zip(self.scorers, self.weights, strict=True) if weight > 0]
        parts = [_Part.from_scores(scorer.score(histories, examples, rows)) for scorer, _ in used]
        return _mix_scores(parts, [weight for _, weight in used])


def tune_blend(scorers: Sequence[Scorer], histories: Histories, *, settings: EvaluationSettings, seed: int) -> Blend:
    """Choose the weights with the best NDCG at the first cutoff on validation, history masked.

    All weights of a grid are tried on at most ``settings.tuning_users`` examples, drawn by ``seed``; of ties
    the most even weights win.

    Raises:
        ValueError: There is no scorer to blend.
    """
    if not scorers:
        raise ValueError("a blend needs at least one scorer")
    examples = sample_examples(histories.open_examples("validation"), count=settings.tuning_users, seed=seed)
    weightings = _list_weightings(len(scorers))
    quality = np.zeros(len(weightings))  # (W,)
    for rows in iterate_blocks(len(examples), histories.item_count * len(scorers), block_users=settings.block_users):
        quality += _measure_quality(scorers, weightings, histories, examples, rows, cutoff=settings.cutoffs[0])
    best = weightings[int(quality.argmax())]
    return Blend(tuple(scorers), tuple(float(weight) for weight in best))


def _measure_quality(
    scorers: Sequence[Scorer],
    weightings: NDArray[np.float64],
    histories: Histories,
    examples: Examples,
    rows: slice,
    *,
    cutoff: int,
) -> NDArray[np.float64]:
    """Return (W,): the sum of the block's NDCG under each weighting."""
    targets, seen = np.asarray(examples.targets[rows]), flatten_histories(histories, examples, rows)
    parts = [_Part.from_scores(scorer.score(histories, examples, rows)) for scorer in scorers]
    ranks = (rank_block(_mix_scores(parts, weights.tolist()), targets, seen) for weights in weightings)
    return np.array([compute_metric(each.masked, f"ndcg@{cutoff}").sum() for each in ranks])


@dataclass(frozen=True)
class _Part:
    """One scorer's block: (B, N) standardised scores, and which of them the scorer gave."""

    scores: Tensor
    given: Tensor

    @classmethod
    def from_scores(cls, scores: Tensor) -> _Part:
        standardised = torch.empty_like(scores)  # (B, N)
        given = torch.empty_like(scores, dtype=torch.bool)  # (B, N)
        # A few rows at a time stay in the cache over the many passes (measured: twice as fast).
        for rows in iterate_tiles(*scores.shape, scores=_TILE_SCORES):
            given[rows] = scores[rows].isfinite()
            standardised[rows] = _standardise(scores[rows], given[rows])
        return cls(standardised, given)


def _mix_scores(parts: Sequence[_Part], weights: Sequence[float]) -> Tensor:
    """Return (B, N) weighted sums; -inf where no scorer with a weight gave a score."""
    total = torch.zeros_like(parts[0].scores)  # (B, N)
    given = torch.zeros_like(parts[0].given)  # (B, N)
    for part, weight in zip(parts, weights, strict=True):
        if weight > 0:
            total.add_(part.scores, alpha=weight)
            given.logical_or_(part.given)
    return total.masked_fill_(~given, -torch.inf)


def _standardise(scores: Tensor, given: Tensor) -> Tensor:
    """Return (B, N) scores with mean 0 and deviation 1 over the ``given`` ones of each row; 0 elsewhere."""
    count = given.sum(dim=1, keepdim=True).clamp_(min=1)  # (B, 1)
    known = torch.where(given, scores, 0.0)
    centred = torch.where(given, known - known.sum(dim=1, keepdim=True) / count, 0.0)
    deviation = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()  # (B, 1)
    return centred / torch.where(deviation > 0, deviation, 1.0)


def _list_weightings(scorers: int) -> NDArray[np.float64]:
    """Return (W, S) shares that sum to 1: the finest even grid within the limit, the most even shares first."""
    steps = 1
    while scorers > 1 and math.comb(steps + scorers, scorers - 1) <= _MAX_WEIGHTINGS:
        steps += 1
    grid = [shares for shares in itertools.product(range(steps + 1), repeat=scorers) if sum(shares) == steps]
    shares = np.array(grid, dtype=np.float64) / steps
    return shares[np.argsort(np.square(shares).sum(axis=1), kind="stable")]


_BLENDED = ("transitions", "tfidf_neighbours", "ease")


@dataclass(frozen=True)
class BaselineSet:
    """Fitted baselines, in the order of the settings.

    Attributes:
        scorers: The baselines that could be fitted.
        left_out: Name -> reason, for those that could not.
    """

    scorers: tuple[Scorer, ...]
    left_out: dict[str, str]


def fit_baselines(
    histories: Histories,
    *,
    titles: Sequence[str | None],
    content: NDArray[np.float32],
    settings: EvaluationSettings,
    seed: int,
) -> BaselineSet:
    """Fit ``settings.baselines`` on the training part; the blend's weights are chosen on validation.

    A baseline that is unsuitable for this data (EASE on a large catalogue, TF-IDF without words) is left out with its
    reason instead of stopping the run; the blend then mixes the others.

    Args:
        histories: All histories.
        titles: (N) titles by item index, None if absent.
        content: (N, c) content vectors by item index.
        settings: Which baselines, and their limits.
        seed: Seed of the draw of tuning users.
    """
    fits: dict[str, Callable[[], Scorer]] = {
        "popularity": lambda: Popularity.fit(histories),
        "content_neighbours": lambda: ContentNeighbours.fit(content),
        "transitions": lambda: Transitions.fit(histories),
        "tfidf_neighbours": lambda: TfidfNeighbours.fit(titles),
        "ease": lambda: Ease.fit(
            histories, regularisation=settings.ease_regularisation, max_items=settings.ease_max_items
        ),
    }
    wanted = dict.fromkeys(settings.baselines)
    needed = [name for name in fits if name in wanted or ("blend" in wanted and name in _BLENDED)]
    fitted: dict[str, Scorer] = {}
    left_out: dict[str, str] = {}
    for name in needed:
        try:
            fitted[name] = fits[name]()
        except SettingsError as fault:
            left_out[name] = fault.what
    if "blend" in wanted:
        parts = [fitted[name] for name in _BLENDED if name in fitted]
        fitted["blend"] = tune_blend(parts, histories, settings=settings, seed=seed)
    return BaselineSet(tuple(fitted[name] for name in wanted if name in fitted), left_out)
