from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learn.evaluation import ranking
from learn.evaluation.ranking import Ranks, iterate_blocks, rank_targets
from tests.evaluation.synthetic_histories import TableScorer, in_memory

ITEMS = 9
LEVELS = st.sampled_from([-np.inf, -1.5, -1e-30, 0.0, 1e-30, 0.25, 1.0, np.nan])
CASES = st.lists(
    st.tuples(
        st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=12),
        st.lists(LEVELS, min_size=ITEMS, max_size=ITEMS),
    ),
    min_size=1,
    max_size=12,
)


def sorted_rank(scores: NDArray[np.float32], target: int, *, without: set[int]) -> float:
    """By brute force: sort what is left, and take the middle of the places of the target's score."""
    if target in without or np.isnan(scores[target]) or scores[target] == -np.inf:
        return np.inf
    left = sorted((float(scores[item]) for item in range(len(scores)) if item not in without), key=lambda s: -s)
    left = [score for score in left if not np.isnan(score)]
    left.sort(reverse=True)
    places = [place for place, score in enumerate(left, start=1) if score == scores[target]]
    return float(np.mean(places))


def ranked(users: list[list[int]], table: NDArray[np.float32], *, block_users: int = 512) -> Ranks:
    histories, examples = in_memory(users, item_count=table.shape[1])
    return rank_targets(TableScorer(torch.from_numpy(table)), histories, examples, block_users=block_users)


@given(CASES, st.integers(1, 5))
@settings(deadline=None, max_examples=120)
def test_ranks_are_those_of_sorting(cases: list[tuple[list[int], list[float]]], block_users: int) -> None:
    users = [items for items, _ in cases]
    table = np.array([scores for _, scores in cases], dtype=np.float32)
    ranks = ranked(users, table, block_users=block_users)
    for row, items in enumerate(users):
        *history, target = items
        assert ranks.unmasked[row] == sorted_rank(table[row], target, without=set())
        assert ranks.masked[row] == sorted_rank(table[row], target, without=set(history))


@given(CASES, st.permutations(range(ITEMS)))
@settings(deadline=None, max_examples=60)
def test_the_order_of_the_catalogue_does_not_matter(
    cases: list[tuple[list[int], list[float]]], order: list[int]
) -> None:
    users = [items for items, _ in cases]
    table = np.array([scores for _, scores in cases], dtype=np.float32)
    renumbered = [[order.index(item) for item in items] for items in users]
    ranks, moved = ranked(users, table), ranked(renumbered, table[:, order])
    np.testing.assert_array_equal(ranks.masked, moved.masked)
    np.testing.assert_array_equal(ranks.unmasked, moved.unmasked)


def test_all_equal_scores_give_the_middle_rank() -> None:
    ranks = ranked([[0, 1, 2]], np.zeros((1, 7), dtype=np.float32))
    assert ranks.unmasked.tolist() == [4.0]
    assert ranks.masked.tolist() == [3.0]


def test_nothing_recommended_is_a_miss() -> None:
    ranks = ranked([[0, 1], [2]], np.full((2, 4), -np.inf, dtype=np.float32))
    assert np.isinf(ranks.masked).all()
    assert np.isinf(ranks.unmasked).all()


def test_a_repeated_target_is_a_miss_only_with_the_history_masked() -> None:
    ranks = ranked([[1, 3, 1]], np.array([[0.0, 9.0, 1.0, 2.0]], dtype=np.float32))
    assert ranks.unmasked.tolist() == [1.0]
    assert ranks.masked.tolist() == [np.inf]


def test_an_item_often_in_the_history_is_taken_out_once() -> None:
    ranks = ranked([[0, 0, 0, 2]], np.array([[5.0, 4.0, 3.0]], dtype=np.float32))
    assert ranks.unmasked.tolist() == [3.0]
    assert ranks.masked.tolist() == [2.0]


def test_tiles_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    table = random.integers(0, 30, size=(40, 200)).astype(np.float32)
    users = [random.integers(0, 200, size=random.integers(1, 20)).tolist() for _ in range(40)]
    whole = ranked(users, table)
    monkeypatch.setattr(ranking, "_TILE_BYTES", 3 * 4 * 200)
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", 7 * 4 * 200)
    cut = ranked(users, table)
    np.testing.assert_array_equal(whole.masked, cut.masked)
    np.testing.assert_array_equal(whole.unmasked, cut.unmasked)


def test_the_scores_are_left_as_they_were() -> None:
    table = np.arange(12, dtype=np.float32).reshape(2, 6)
    ranked([[0, 1], [2, 3]], table)
    np.testing.assert_array_equal(table, np.arange(12, dtype=np.float32).reshape(2, 6))


def test_scores_of_another_shape_are_refused() -> None:
    histories, examples = in_memory([[0, 1], [2, 3]], item_count=6)
    with pytest.raises(ValueError, match=r"shape \(2, 5\), not \(2, 6\)"):
        rank_targets(TableScorer(torch.zeros(2, 5)), histories, examples, block_users=8)


@given(st.integers(0, 500), st.integers(1, 10**9), st.integers(1, 600))
def test_blocks_cover_everything_within_their_memory(examples: int, items: int, block_users: int) -> None:
    found = list(iterate_blocks(examples, items, block_users=block_users))
    assert [row for rows in found for row in range(rows.start, rows.stop)] == list(range(examples))
    assert all(len(range(rows.start, rows.stop)) <= block_users for rows in found)
    assert all(
        (rows.stop - rows.start) * items * 4 <= ranking._BLOCK_BYTES or rows.stop - rows.start == 1 for rows in found
    )
