from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.registry.bundle import Bundle
from learn.serving.parity import compare, rank_offline
from learn.serving.recommender import Recommender
from tests.serving.synthetic_model import ITEM_COUNT, item_id, made_up_histories

known_ids = st.integers(0, ITEM_COUNT - 1).map(item_id)


@pytest.fixture(scope="session")
def recommender(bundle: Bundle) -> Recommender:
    return Recommender(bundle)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_one_user_at_a_time_gives_the_offline_ranking(
    exclude_seen: bool, bundle: Bundle, recommender: Recommender
) -> None:
    histories = made_up_histories(200)
    expected = rank_offline(bundle, histories, exclude_seen=exclude_seen)
    served = [
        [item.item_id for item in recommender.recommend(history, k=10, exclude_seen=exclude_seen).items]
        for history in histories
    ]
    result = compare(bundle, histories, expected=expected, served=served)
    assert result.different == 0
    assert result.identical + result.tied == 200


def test_the_offline_ranking_is_the_towers_own(bundle: Bundle) -> None:
    history = [item_id(3), item_id(250), item_id(3)]
    rows = np.array([3, 250, 3])
    user, _ = Recommender(bundle).encode_user(history)
    assert user is not None
    scores = bundle.item_vectors.astype(np.float64) @ user
    scores[rows] = -np.inf
    assert rank_offline(bundle, [history], k=5) == [[item_id(row) for row in np.argsort(-scores)[:5]]]


def test_a_wrong_order_is_found(bundle: Bundle) -> None:
    histories = made_up_histories(3)
    expected = rank_offline(bundle, histories)
    served = [expected[0], expected[1][::-1], [*expected[2][:9], histories[2][0]]]
    result = compare(bundle, histories, expected=expected, served=served)
    assert (result.users, result.identical, result.tied, result.different) == (3, 1, 0, 2)
    assert result.examples[0].history == tuple(histories[1])


@settings(max_examples=40, deadline=None)
@given(
    history=st.lists(known_ids | st.text(max_size=6), max_size=40),
    k=st.integers(1, ITEM_COUNT + 50),
    exclude_seen=st.booleans(),
)
def test_every_answer_keeps_its_promises(
    history: list[str], k: int, exclude_seen: bool, recommender: Recommender, bundle: Bundle
) -> None:
    answer = recommender.recommend(history, k=k, exclude_seen=exclude_seen)
    known = set(history) & set(bundle.item_ids)
    ids = [item.item_id for item in answer.items]
    hidden = len(known) if exclude_seen else 0
    assert len(ids) == len(set(ids)) == min(k, ITEM_COUNT - hidden)
    assert [item.rank for item in answer.items] == list(range(1, len(ids) + 1))
    assert all(left.score >= right.score for left, right in zip(answer.items, answer.items[1:], strict=False))
    assert not exclude_seen or not known & set(ids)
    assert set(answer.unknown_items) == set(history) - known
    assert (answer.fallback is None) == bool(known)


def test_only_the_newest_items_are_read_but_all_are_left_out(recommender: Recommender) -> None:
    newest = [item_id(row) for row in range(12)]
    older = [item_id(row) for row in range(100, 200)]
    long, short = (recommender.recommend(history, k=300) for history in (older + newest, newest))
    expected = [item.item_id for item in short.items if item.item_id not in set(older)]
    assert [item.item_id for item in long.items] == expected


def test_a_user_without_history_gets_what_is_popular_now(recommender: Recommender, bundle: Bundle) -> None:
    answer = recommender.recommend([], k=ITEM_COUNT)
    counts = {
        row["item_id"]: (row["recent_interactions"], row["training_interactions"])
        for row in bundle.items.iter_rows(named=True)
    }
    order = [counts[item.item_id] for item in answer.items]
    assert order == sorted(order, reverse=True)
    assert [item.score for item in answer.items] == [recent for recent, _ in order]
    assert answer.fallback == "empty_history"


def test_unknown_items_are_named_once_and_ignored(recommender: Recommender) -> None:
    with_unknown = recommender.recommend(["?", item_id(1), "!", "?"], k=10)
    assert with_unknown.unknown_items == ("?", "!")
    assert with_unknown.items == recommender.recommend([item_id(1)], k=10).items
    nothing_known = recommender.recommend(["?"], k=10)
    assert nothing_known.fallback == "no_known_item"
    assert nothing_known.items == recommender.recommend([], k=10).items


def test_a_user_who_has_seen_everything_gets_nothing(recommender: Recommender) -> None:
    everything = [item_id(row) for row in range(ITEM_COUNT)]
    assert recommender.recommend(everything, k=10).items == ()
    assert len(recommender.recommend(everything, k=10, exclude_seen=False).items) == 10


def test_items_without_a_title_have_none(recommender: Recommender) -> None:
    titles = {item.item_id: item.title for item in recommender.recommend([], k=ITEM_COUNT).items}
    assert titles[item_id(7)] is None
    assert titles[item_id(8)] == "Made-up thing 8"
