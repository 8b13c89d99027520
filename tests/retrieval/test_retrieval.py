from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from learn.retrieval import AppendableMatrix, Candidates, rank_exactly, select_top_k

# Few distinct values, so that ties are the rule.
scores_with_ties = hnp.arrays(
    np.float32, st.integers(1, 40), elements=st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 0.5, 3.0])
)


@given(scores=scores_with_ties, k=st.integers(1, 60))
def test_top_k_is_the_head_of_a_full_sort(scores: NDArray[np.float32], k: int) -> None:
    by_hand = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    assert select_top_k(scores, k).tolist() == [row for row in by_hand if scores[row] > -np.inf][:k]


NOBODY = np.empty(0, dtype=np.int64)


def made_up_vectors(count: int, dimension: int) -> tuple[AppendableMatrix, NDArray[np.float32]]:
    draw = np.random.default_rng(3)
    user = draw.standard_normal(dimension, dtype=np.float32)
    bundled, added = (draw.standard_normal((size, dimension), dtype=np.float32) for size in (count - 7, 7))
    return AppendableMatrix(bundled, added), user


def test_the_search_is_exact_and_leaves_out_what_is_excluded() -> None:
    vectors, user = made_up_vectors(500, 8)
    hits = rank_exactly(vectors, user, Candidates(None, np.array([1, 5, 5, 17]))).select_best(500)
    expected = np.concatenate([vectors.bundled, vectors.added]).astype(np.float64) @ user.astype(np.float64)
    assert set(hits.rows.tolist()) == set(range(500)) - {1, 5, 17}
    np.testing.assert_allclose(hits.scores, expected[hits.rows], rtol=1e-4, atol=1e-5)
    assert (np.diff(hits.scores) <= 0).all()


@pytest.mark.parametrize("count", [3, 40, 450])
def test_among_few_or_many_candidates_the_best_of_them_win(count: int) -> None:
    vectors, user = made_up_vectors(500, 8)
    rows = np.sort(np.random.default_rng(4).permutation(500)[:count])
    everything = rank_exactly(vectors, user, Candidates(None, NOBODY)).select_best(500)
    among = rank_exactly(vectors, user, Candidates(rows, NOBODY)).select_best(10)
    assert among.rows.tolist() == [row for row in everything.rows.tolist() if row in set(rows.tolist())][:10]


def test_rows_from_both_parts_are_taken_in_the_order_asked_for() -> None:
    vectors, _ = made_up_vectors(500, 8)
    whole = np.concatenate([vectors.bundled, vectors.added])
    rows = np.array([499, 0, 492, 493, 3, 499])
    np.testing.assert_array_equal(vectors.take(rows), whole[rows])
