from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from learn.serving.retrieval import ExactRetriever, top_k

# Few distinct values, so that ties are the rule.
scores_with_ties = hnp.arrays(
    np.float32, st.integers(1, 40), elements=st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 0.5, 3.0])
)


@given(scores=scores_with_ties, k=st.integers(1, 60))
def test_top_k_is_the_head_of_a_full_sort(scores: NDArray[np.float32], k: int) -> None:
    by_hand = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    assert top_k(scores, k).tolist() == [row for row in by_hand if scores[row] > -np.inf][:k]


def test_the_search_is_exact_and_leaves_out_what_is_excluded() -> None:
    draw = np.random.default_rng(3)
    vectors = draw.standard_normal((500, 8), dtype=np.float32)
    user = draw.standard_normal(8, dtype=np.float32)
    excluded = np.array([1, 5, 5, 17])
    hits = ExactRetriever(vectors).search(torch.from_numpy(user), k=500, excluded=excluded)
    expected = vectors.astype(np.float64) @ user.astype(np.float64)
    assert set(hits.rows.tolist()) == set(range(500)) - {1, 5, 17}
    np.testing.assert_allclose(hits.scores, expected[hits.rows], rtol=1e-4, atol=1e-5)
    assert (np.diff(hits.scores) <= 0).all()


def test_a_search_does_not_change_the_next_one() -> None:
    vectors = np.eye(4, dtype=np.float32)
    retriever = ExactRetriever(vectors)
    user = torch.tensor([4.0, 3.0, 2.0, 1.0])
    retriever.search(user, k=2, excluded=np.array([0, 1]))
    assert retriever.search(user, k=2, excluded=np.array([], dtype=np.int64)).rows.tolist() == [0, 1]
