from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learn.config.data import SplitSettings
from learn.config.evaluation import EvaluationSettings
from learn.evaluation.lists import NOTHING, centre_directions, list_figures, rank_lists, sample_examples
from learn.evaluation.slices import SLICES, mark_slices, mark_tail_items
from tests.evaluation.synthetic_histories import TableScorer, in_memory, split_histories

SETTINGS = EvaluationSettings(short_history=2, tail_share=0.3)


def test_each_slice_holds_the_examples_it_names() -> None:
    # The last item of each user is the target; the training part is what comes before.
    users = [[0, 1, 0, 1, 2], [0, 1, 2], [0, 0, 3], [4], [1, 0, 1]]
    histories, examples = in_memory(users, item_count=5)
    masks = mark_slices(histories, examples, settings=SETTINGS)
    assert tuple(masks) == SLICES
    # Training counts: item 0 six times, item 1 four times, the others never.
    assert masks["cold_items"].tolist() == [True, True, True, True, False]
    assert masks["tail_items"].tolist() == [False] * 5
    assert masks["short_histories"].tolist() == [False, True, True, True, True]
    assert masks["new_users"].tolist() == [False, False, False, True, False]
    assert masks["repeats"].tolist() == [False, False, False, False, True]


def test_a_target_that_was_seen_once_in_training_is_of_the_tail_and_not_cold() -> None:
    users = [[0, 1, 2], [0, 0, 1], [0, 0, 3]]
    histories, examples = in_memory(users, item_count=4)
    masks = mark_slices(histories, examples, settings=SETTINGS)
    # Training holds item 0 five times and item 1 once; items 2 and 3 are targets only.
    assert masks["cold_items"].tolist() == [True, False, True]
    assert masks["tail_items"].tolist() == [False, True, False]


def test_users_without_anything_before_the_cut_are_new(tmp_path: Path) -> None:
    users = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3], []]
    split = SplitSettings(method="by_date", validation_from="5", test_from="8")
    histories = split_histories(tmp_path, [*users, [4, 0]], item_count=10, split=split)
    masks = mark_slices(histories, histories.open_examples("test"), settings=SETTINGS)
    assert masks["new_users"].tolist() == [False]
    assert masks["cold_items"].tolist() == [True]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60).map(np.array), st.floats(0.01, 0.99))
def test_the_tail_is_the_largest_that_stays_within_its_share(popularity: np.ndarray, share: float) -> None:
    tail = mark_tail_items(popularity, share=share)
    total = popularity.sum()
    assert popularity[tail].sum() <= share * total
    assert not tail[popularity == 0].any()
    outside = popularity[(popularity > 0) & ~tail]
    if len(outside):
        assert popularity[tail].max(initial=0) < outside.min()
        assert popularity[popularity <= outside.min()].sum() > share * total


def test_lists_are_the_best_unseen_items() -> None:
    random = np.random.default_rng(0)
    table = random.permuted(np.tile(np.arange(30.0), (6, 1)), axis=1).astype(np.float32)
    users = [random.integers(0, 30, size=8).tolist() for _ in range(6)]
    histories, examples = in_memory(users, item_count=30)
    lists = rank_lists(TableScorer(torch.from_numpy(table)), histories, examples, length=5, block_users=4)
    for row, items in enumerate(users):
        expected = [item for item in np.argsort(-table[row]).tolist() if item not in items[:-1]][:5]
        assert lists[row].tolist() == expected


def test_places_nobody_can_fill_are_left_empty() -> None:
    table = torch.tensor([[-torch.inf, 1.0, torch.nan, 2.0], [-torch.inf] * 4])
    histories, examples = in_memory([[3, 0], [1, 0]], item_count=4)
    lists = rank_lists(TableScorer(table), histories, examples, length=10, block_users=8)
    assert lists.tolist() == [[1, NOTHING, NOTHING, NOTHING], [NOTHING] * 4]
    found = list_figures(lists, histories, examples, settings=SETTINGS, content=np.eye(4, dtype=np.float32))
    assert found.filled == 1 / 8
    assert found.coverage == 1 / 4
    assert found.diversity is None


def test_list_figures_of_known_lists() -> None:
    histories, examples = in_memory([[0, 0, 1, 3], [0, 1, 2]], item_count=4)
    content = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=np.float32)
    found = list_figures(np.array([[0, 1], [0, 2]]), histories, examples, settings=SETTINGS, content=content)
    # Popularity 3, 2, 0, 0; the histories hold items 0, 1 and 0, 1; the lists 0, 1, 0, 2.
    assert found.popularity_lift == pytest.approx((3 + 2 + 3 + 0) / 4 / 2.5 - 1)
    assert found.coverage == 3 / 4
    assert found.tail_share == 1 / 4
    assert found.diversity == pytest.approx(1 - (-1 + 0) / 2)
    assert found.concentration == pytest.approx(0.375)


def test_diversity_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(1)
    content = random.normal(size=(20, 6)).astype(np.float32) + 3
    lists = np.stack([random.choice(20, size=7, replace=False) for _ in range(5)])
    histories, examples = in_memory([[0, 1]] * 5, item_count=20)
    units = centre_directions(content)
    pairs = [[units[a] @ units[b] for place, a in enumerate(row) for b in row[place + 1 :]] for row in lists.tolist()]
    found = list_figures(lists, histories, examples, settings=SETTINGS, content=content)
    assert found.diversity == pytest.approx(1 - np.mean(pairs), abs=1e-5)


def test_a_sample_is_drawn_once_per_seed_and_in_order() -> None:
    _, examples = in_memory([[0, user % 7] for user in range(50)], item_count=7)
    sample = sample_examples(examples, count=20, seed=3)
    assert len(set(sample.users.tolist())) == 20
    assert sample.users.tolist() == sorted(sample.users.tolist())
    assert sample.users.tolist() == sample_examples(examples, count=20, seed=3).users.tolist()
    assert sample.users.tolist() != sample_examples(examples, count=20, seed=4).users.tolist()
    assert sample_examples(examples, count=50, seed=3) is examples
