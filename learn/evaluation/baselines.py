"""Closed-form baselines: what a model has to beat before it has shown anything.

Each is fitted on the training part alone, in closed form and without random draws, and each is a
:class:`~learn.evaluation.ranking.Scorer`. An example's own history, however new, is what it asks with. But
for popularity, a user without a history is recommended nothing, which counts as a miss.

How many of the newest items are read and how fast older ones fade was chosen on the validation part of
public review data (Amazon's Industrial and Scientific, then checked on Video Games), once, and is the same
for every data set.

Shape legend: B examples of a block, U users, N items, A items with training interactions, V terms,
c content dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from learn.data.histories import Examples, Histories
from learn.data.transitions import count_transitions
from learn.errors import SettingsError
from learn.evaluation.beyond_accuracy import centred_directions
from learn.evaluation.profiles import empty_histories, history_profile

_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Popularity:
    """The items with the most training interactions, the same for everybody."""

    counts: Tensor
    name: str = "popularity"

    @classmethod
    def fit(cls, histories: Histories) -> Popularity:
        """Count the training interactions of each item."""
        return cls(torch.from_numpy(histories.popularity().astype(np.float32)))

    def scores(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:  # noqa: ARG002 - the protocol's
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        return self.counts.expand(rows.stop - rows.start, -1)  # (B, N)


@dataclass(frozen=True)
class ContentNeighbours:
    """Items whose content vectors lie nearest to those of the newest items; nothing is trained.

    The vectors are centred, since raw text vectors all point much the same way (NDCG@10 on validation .0693
    against .0668). Five items that fade by .7 were better than the last alone (.0636) and no worse than ten (.0691).
    """

    directions: _Floats
    last: int = 5
    decay: float = 0.7
    name: str = "content_neighbours"

    @classmethod
    def fit(cls, content: _Floats) -> ContentNeighbours:
        """Centre and normalise the content vectors (N, c) of all items."""
        return cls(centred_directions(content))

    def scores(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        profile = history_profile(histories, examples, rows, last=self.last, decay=self.decay)
        asked = torch.from_numpy(profile @ self.directions)  # (B, c)
        return _withheld(asked @ torch.from_numpy(self.directions).T, examples, rows)  # (B, N)


@dataclass(frozen=True)
class Transitions:
    """Items that came soon after the newest items in other users' histories.

    A pair of items at distance t counts ``fade ** (t - 1)``. Pairs in the other direction count half: review and
    shop data order loosely, and it was worth .008 NDCG@10 on validation (``backward=0`` counts order alone).
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

    def scores(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        profile = history_profile(histories, examples, rows, last=self.last, decay=self.decay)
        return _withheld(torch.from_numpy((profile @ self.counts).toarray()), examples, rows)  # (B, N)


@dataclass(frozen=True)
class TfidfNeighbours:
    """Items whose texts share the most telling words with those of the newest items.

    Titles alone were better than titles with brand, category and description (NDCG@10 on validation .0787 against
    .0771 and less), since words of a long description drown those of the title.
    """

    terms: sparse.csr_array
    items_by_term: sparse.csr_array = field(repr=False)
    last: int = 5
    decay: float = 0.7
    name: str = "tfidf_neighbours"

    @classmethod
    def fit(cls, texts: Sequence[str | None]) -> TfidfNeighbours:
        """Weigh the words of each item's text; an absent text has none.

        Args:
            texts: (N) one per item, titles as a rule.

        Raises:
            SettingsError: No text holds a word.
        """
        vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32)
        try:
            terms = sparse.csr_array(vectorizer.fit_transform([text or "" for text in texts]))
        except ValueError as fault:
            raise SettingsError(
                f"Item texts hold no words to compare ({fault}).",
                where="evaluation.baselines",
                fix="leave `tfidf_neighbours` and `blend` out of `evaluation.baselines`, or map the title column",
            ) from fault
        return cls(terms, sparse.csr_array(terms.T))

    def scores(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`."""
        profile = history_profile(histories, examples, rows, last=self.last, decay=self.decay)
        shared = (profile @ self.terms) @ self.items_by_term
        return _withheld(torch.from_numpy(shared.toarray()), examples, rows)  # (B, N)


@dataclass(frozen=True)
class Ease:
    """EASE (Steck, WWW 2019): the linear item-to-item model with no weight from an item to itself.

    Asked with the ten newest items that fade by .8: against the whole history unweighted it won on validation.
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
            SettingsError: There are more items.
        """
        users, items = histories.training_pairs()
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
        seen.data[:] = 1.0  # a repeated purchase is one
        return cls(_ease_weights(seen, regularisation), trained.astype(np.int64))

    def scores(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`; items without training interactions score 0."""
        profile = history_profile(histories, examples, rows, last=self.last, decay=self.decay)
        scores = profile[:, self.trained] @ self.weights  # (B, A)
        if len(self.trained) < histories.item_count:
            everywhere = np.zeros(profile.shape, dtype=np.float32)  # (B, N)
            everywhere[:, self.trained] = scores
            scores = everywhere
        return _withheld(torch.from_numpy(scores), examples, rows)  # (B, N)


def _ease_weights(seen: sparse.csr_array, regularisation: float) -> _Floats:
    gram = torch.from_numpy((seen.T @ seen).toarray())  # (A, A)
    gram.diagonal().add_(regularisation)
    weights = torch.cholesky_inverse(torch.linalg.cholesky(gram))  # (A, A)
    weights /= -weights.diagonal().clone()
    weights.fill_diagonal_(0.0)
    # LAPACK answers column by column; rows are what a history gathers.
    solved: _Floats = weights.contiguous().numpy()
    return solved


def _withheld(scores: Tensor, examples: Examples, rows: slice) -> Tensor:
    """Recommend nothing, in place, to examples without a history."""
    scores[torch.from_numpy(empty_histories(examples, rows))] = -torch.inf
    return scores
