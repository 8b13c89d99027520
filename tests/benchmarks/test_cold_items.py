"""The splits that request unseen items alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.quality.cold_items import AmongItems, ask_for_unseen, find_unseen_items, hold_out_items
from learn.config.data import SplitSettings
from learn.data.histories import Histories
from learn.errors import SplitError
from learn.evaluation.baselines import Popularity
from learn.evaluation.ranking import rank_targets
from tests.evaluation.synthetic_histories import TableScorer, split_histories

USERS = [[(start + step) % 20 for step in range(7)] for start in range(20) for _ in range(2)]


@pytest.fixture
def whole(tmp_path: Path) -> Histories:
    return split_histories(tmp_path, USERS, item_count=20)


def test_no_training_part_holds_a_held_out_item(whole: Histories, tmp_path: Path) -> None:
    split = hold_out_items(whole, tmp_path / "held", share=0.2, seed=3)
    held = find_unseen_items(split.folder)
    assert len(held) == 4
    assert not np.isin(split.items[split.mark_training()], held).any()
    assert (split.count_popularity()[held] == 0).all()


def test_test_asks_for_held_out_items_alone_and_validation_for_the_others(whole: Histories, tmp_path: Path) -> None:
    split = hold_out_items(whole, tmp_path / "held", share=0.2, seed=3)
    held = find_unseen_items(split.folder)
    asked = whole.open_examples("test")
    test, validation = split.open_examples("test"), split.open_examples("validation")
    assert len(test) == np.isin(asked.targets, held).sum() > 0
    assert np.isin(test.targets, held).all()
    assert not np.isin(validation.targets, held).any()
    assert len(validation) == (~np.isin(whole.open_examples("validation").targets, held)).sum()


def test_histories_are_the_old_ones_without_the_held_out_items_of_training(whole: Histories, tmp_path: Path) -> None:
    split = hold_out_items(whole, tmp_path / "held", share=0.2, seed=3)
    held, test = find_unseen_items(split.folder), split.open_examples("test")
    for user, start, stop, target in zip(test.users, test.starts, test.stops, test.targets, strict=True):
        items = USERS[user]
        *training, validation, last = items
        assert target == last
        assert split.items[start:stop].tolist() == [item for item in training if item not in held] + [validation]
        assert split.items[stop] == target


def test_the_draw_hangs_on_its_seed_alone(whole: Histories, tmp_path: Path) -> None:
    first, again, other = (
        find_unseen_items(hold_out_items(whole, tmp_path / name, share=0.2, seed=seed).folder).tolist()
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again != other


def test_a_share_that_leaves_nothing_to_ask_is_refused(whole: Histories, tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="0 held-out items"):
        hold_out_items(whole, tmp_path / "held", share=0.01, seed=0)
    assert not (tmp_path / "held").exists()


def test_among_the_held_out_items_popularity_knows_ties_alone(whole: Histories, tmp_path: Path) -> None:
    split = hold_out_items(whole, tmp_path / "held", share=0.2, seed=3)
    among = AmongItems(Popularity.fit(split), torch.from_numpy(find_unseen_items(split.folder)))
    ranks = rank_targets(among, split, split.open_examples("test"), block_users=7)
    # Four items, all tied: the middle of 1 to 4.
    assert set(ranks.unmasked) == {2.5}


def test_among_items_keeps_the_order_of_the_model(whole: Histories, tmp_path: Path) -> None:
    split = hold_out_items(whole, tmp_path / "held", share=0.2, seed=3)
    held, test = find_unseen_items(split.folder), split.open_examples("test")
    table = torch.rand(len(test), 20)
    expected = [
        1 + sum(float(row[item] > row[target]) for item in held)
        for row, target in zip(table, test.targets, strict=True)
    ]
    ranks = rank_targets(AmongItems(TableScorer(table), torch.from_numpy(held)), split, test, block_users=5)
    assert ranks.unmasked.tolist() == expected


BY_DATE = SplitSettings(method="by_date", validation_from="4", test_from="6")
# Four of each are training, two validation, the rest test; training knows items 0 to 9.
SHOPPERS = [
    [0, 1, 2, 3, 4, 5, 6, 10, 11],
    [1, 2, 3, 4, 10, 5, 10, 11],
    [2, 3, 4, 5, 6, 7, 8, 9],
    [6, 7, 8, 9],
]


@pytest.fixture
def shop(tmp_path: Path) -> Histories:
    return split_histories(tmp_path, SHOPPERS, item_count=13, split=BY_DATE)


def test_each_user_is_asked_for_the_first_unseen_item_after_all_before_it(shop: Histories, tmp_path: Path) -> None:
    split = ask_for_unseen(shop, tmp_path / "unseen")
    test = split.open_examples("test")
    asked = [
        (user, split.items[start:stop].tolist(), target)
        for user, start, stop, target in zip(test.users, test.starts, test.stops, test.targets, strict=True)
    ]
    # The second took item 10 before: that is no longer new.
    assert asked == [(0, SHOPPERS[0][:7], 10), (1, SHOPPERS[1][:7], 11)]
    assert find_unseen_items(split.folder).tolist() == [10, 11, 12]


def test_asking_for_the_unseen_leaves_training_and_validation_as_they_were(shop: Histories, tmp_path: Path) -> None:
    split = ask_for_unseen(shop, tmp_path / "unseen")
    assert split.count_popularity().tolist() == shop.count_popularity().tolist()
    for name in ("users", "starts", "stops", "targets"):
        before, after = (getattr(each.open_examples("validation"), name).tolist() for each in (shop, split))
        assert before == after
    assert split.user_ids == shop.user_ids


def test_a_shop_without_new_items_is_refused(tmp_path: Path) -> None:
    known = split_histories(tmp_path, [[0, 1, 2, 3, 0, 1, 2, 3]], item_count=4, split=BY_DATE)
    with pytest.raises(SplitError, match="Nobody took an item"):
        ask_for_unseen(known, tmp_path / "unseen")
    assert not (tmp_path / "unseen").exists()
