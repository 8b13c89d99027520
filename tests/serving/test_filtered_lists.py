"""Filters, caps and diversity, compared with what a plain look at the table says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.errors import RequestError
from learn.registry.bundle import Bundle
from learn.retrieval import Hits
from learn.serving.catalogue import AnyOf, Between, Condition
from learn.serving.filters import Filters, Selection, ValueCap, diversify
from learn.serving.recommender import Recommendation, Recommender
from tests.serving.synthetic_model import ITEM_COUNT, item_id

HISTORY = [item_id(3), item_id(250), item_id(17)]

conditions: dict[str, st.SearchStrategy[Condition]] = {
    "brand": st.lists(st.sampled_from(["brand 0", "brand 3", "nobody's"]), min_size=1, max_size=2).map(
        lambda values: AnyOf(tuple(values))
    ),
    "category": st.sampled_from(["things", "shelf 1", "elsewhere"]).map(lambda value: AnyOf((value,))),
    "in_stock": st.booleans().map(lambda value: AnyOf((value,))),
    "price": st.builds(Between, st.none() | st.floats(0, 40), st.none() | st.floats(20, 80))
    | st.just(AnyOf((1.0, 2.5, 3))),
}
selections = st.builds(
    Selection,
    item_ids=st.none() | st.lists(st.integers(0, ITEM_COUNT + 5).map(item_id), max_size=60),
    columns=st.fixed_dictionaries({}, optional=conditions),
)
histories = st.lists(st.integers(0, ITEM_COUNT - 1).map(item_id), max_size=5)


@pytest.fixture(scope="session")
def recommender(bundle: Bundle) -> Recommender:
    return Recommender(bundle)


def ids(answer: Recommendation) -> list[str]:
    return [item.item_id for item in answer.items]


def by_hand(items: pl.DataFrame, selection: Selection, *, every: bool) -> set[str]:
    """Ids of the items that fulfil every condition of a selection, or any."""
    found = []
    for name, condition in selection.columns.items():
        column = pl.col(name)
        if isinstance(condition, Between):
            within = [
                bound
                for bound in (
                    None if condition.minimum is None else column >= condition.minimum,
                    None if condition.maximum is None else column <= condition.maximum,
                )
                if bound is not None
            ]
            matched = pl.all_horizontal(column.is_not_null(), *within)
        elif name == "category":
            matched = pl.any_horizontal(*[column.list.contains(value) for value in condition.values])
        else:
            matched = column.is_in([float(v) if name == "price" else v for v in condition.values])
        found.append(set(items.filter(matched)["item_id"].to_list()))
    if selection.item_ids is not None:
        found.append(set(selection.item_ids) & set(items["item_id"].to_list()))
    everything = set(items["item_id"].to_list())
    if every:
        return everything.intersection(*found)
    return set().union(*found)


@settings(max_examples=60, deadline=None)
@given(
    include_only=st.none() | selections, exclude=st.none() | selections, history=histories, k=st.integers(1, ITEM_COUNT)
)
def test_a_filtered_list_is_the_whole_ranking_without_what_is_filtered_out(
    include_only: Selection | None,
    exclude: Selection | None,
    history: list[str],
    k: int,
    recommender: Recommender,
    bundle: Bundle,
) -> None:
    filters = Filters(include_only=include_only, exclude=exclude)
    allowed = set(bundle.item_ids)
    if include_only is not None:
        allowed &= by_hand(bundle.items, include_only, every=True)
    if exclude is not None:
        allowed -= by_hand(bundle.items, exclude, every=False)
    whole = recommender.recommend(history, k=ITEM_COUNT)
    answer = recommender.recommend(history, k=k, filters=filters)
    expected = [item.item_id for item in whole.items if item.item_id in allowed][:k]
    scores = {item.item_id: item.score for item in whole.items}
    # Scored alone or among all, an item's score may differ in its last bits, and two of them may change places.
    np.testing.assert_allclose([item.score for item in answer.items], [scores[found] for found in expected], atol=1e-6)
    assert set(ids(answer)) <= allowed
    assert answer.fallback == whole.fallback


@settings(max_examples=40, deadline=None)
@given(history=histories, k=st.integers(1, 60), at_most=st.integers(1, 4), diversity=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_cap_holds_and_k_come_back_whenever_they_exist(
    history: list[str], k: int, at_most: int, diversity: float, recommender: Recommender, bundle: Bundle
) -> None:
    brands = dict(zip(bundle.item_ids, bundle.items["brand"].to_list(), strict=True))
    answer = recommender.recommend(
        history, k=k, filters=Filters(caps=(ValueCap("brand", at_most),), diversity=diversity)
    )
    counts = Counter(brands[found] for found in ids(answer))
    unbranded = sum(1 for found, brand in brands.items() if brand is None and found not in history)
    assert all(count <= at_most for brand, count in counts.items() if brand is not None)
    assert len(set(ids(answer))) == len(ids(answer)) == min(k, 5 * at_most + unbranded)


def test_a_cap_takes_the_best_of_each_value(recommender: Recommender, bundle: Bundle) -> None:
    brands = dict(zip(bundle.item_ids, bundle.items["brand"].to_list(), strict=True))
    expected: list[str] = []
    for found in ids(recommender.recommend(HISTORY, k=ITEM_COUNT)):
        if brands[found] is None or sum(brands[each] == brands[found] for each in expected) < 2:
            expected.append(found)
    capped = recommender.recommend(HISTORY, k=20, filters=Filters(caps=(ValueCap("brand", 2),)))
    assert ids(capped) == expected[:20]


def test_several_caps_all_hold(recommender: Recommender, bundle: Bundle) -> None:
    caps = (ValueCap("brand", 3), ValueCap("in_stock", 4))
    answer = recommender.recommend([], k=50, filters=Filters(caps=caps))
    found = bundle.items.filter(pl.col("item_id").is_in(ids(answer)))
    assert Counter(found["in_stock"].to_list()).most_common(1)[0][1] == 4
    assert len(found) == 8


def likeness(recommender: Recommender, answer: Recommendation) -> float:
    vectors, _ = recommender.encode_items(ids(answer))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    return float(cosines[np.triu_indices(len(units), 1)].mean())


def test_more_diversity_makes_a_list_of_items_less_alike(recommender: Recommender) -> None:
    lists = [
        recommender.recommend(HISTORY, k=10, filters=Filters(diversity=diversity)) for diversity in (0.0, 0.5, 1.0)
    ]
    assert likeness(recommender, lists[0]) > likeness(recommender, lists[1]) > likeness(recommender, lists[2])
    assert all(len(each.items) == 10 for each in lists)
    assert len({each.items[0] for each in lists}) == 1


def test_each_place_goes_to_what_is_least_like_anything_in_the_list() -> None:
    # The third is all but the first item again, the fourth is between the first two.
    vectors = np.array([[1, 0], [0, 1], [2, 0.1], [1, 1]], dtype=np.float32)
    pool = Hits(np.array([7, 3, 5, 9]), np.array([4, 3, 2, 1], dtype=np.float32))
    assert diversify(pool, vectors, k=4, diversity=1.0).rows.tolist() == [7, 3, 9, 5]
    assert diversify(pool, vectors, k=3, diversity=1.0).scores.tolist() == [4, 3, 1]


def test_almost_no_diversity_keeps_the_order(recommender: Recommender) -> None:
    nearly = recommender.recommend(HISTORY, k=10, filters=Filters(diversity=1e-9))
    assert ids(nearly) == ids(recommender.recommend(HISTORY, k=10))


@pytest.mark.parametrize(
    ("filters", "where", "said"),
    [
        (Filters(include_only=Selection(columns={"brnad": AnyOf(("x",))})), "include_only.columns.brnad", "brand"),
        (Filters(exclude=Selection(columns={"price": AnyOf(("cheap",))})), "exclude.columns.price", "numbers"),
        (Filters(exclude=Selection(columns={"price": AnyOf((True,))})), "exclude.columns.price", "numbers"),
        (Filters(exclude=Selection(columns={"brand": Between(1, 2)})), "exclude.columns.brand", "no range"),
        (Filters(exclude=Selection(columns={"in_stock": AnyOf((1,))})), "exclude.columns.in_stock", "true and false"),
        (Filters(exclude=Selection(columns={"description": AnyOf(("x",))})), "exclude.columns.description", "column"),
        (Filters(caps=(ValueCap("nothing", 1),)), "caps", "no column `nothing`"),
        (Filters(caps=(ValueCap("price", 1),)), "caps", "numbers"),
        (Filters(caps=(ValueCap("category", 1),)), "caps", "lists"),
    ],
)
def test_a_filter_that_does_not_fit_is_refused_by_name(
    filters: Filters, where: str, said: str, recommender: Recommender
) -> None:
    for history in (HISTORY, []):
        with pytest.raises(RequestError, match=said) as refused:
            recommender.recommend(history, k=10, filters=filters)
        assert refused.value.where == where


def test_similar_items_are_the_nearest_by_cosine(recommender: Recommender, bundle: Bundle) -> None:
    answer = recommender.find_similar_items(item_id(9), k=5)
    units = bundle.item_vectors / np.linalg.norm(bundle.item_vectors, axis=1, keepdims=True)
    cosines = units @ units[9]
    cosines[9] = -np.inf
    assert ids(answer) == [item_id(int(row)) for row in np.argsort(-cosines)[:5]]
    np.testing.assert_allclose([item.score for item in answer.items], np.sort(cosines)[::-1][:5], atol=1e-5)


def test_similar_items_keep_to_the_filters(recommender: Recommender, bundle: Bundle) -> None:
    filters = Filters(include_only=Selection(columns={"brand": AnyOf(("brand 2",))}))
    answer = recommender.find_similar_items(item_id(9), k=ITEM_COUNT, filters=filters)
    assert set(ids(answer)) == set(bundle.items.filter(pl.col("brand") == "brand 2")["item_id"]) - {item_id(9)}


def test_an_unknown_item_has_no_similar_ones(recommender: Recommender) -> None:
    with pytest.raises(KeyError):
        recommender.find_similar_items("?", k=3)


def test_vectors_are_what_the_scores_are_made_of(recommender: Recommender) -> None:
    user, unknown = recommender.encode_user([*HISTORY, "?"])
    items, missing = recommender.encode_items([item_id(40), "!", item_id(41), item_id(40)])
    assert (unknown, missing) == (("?",), ("!",))
    assert user is not None
    scores = {item.item_id: item.score for item in recommender.recommend(HISTORY, k=ITEM_COUNT).items}
    np.testing.assert_allclose(items @ user, [scores[item_id(row)] for row in (40, 41, 40)], atol=1e-6)
    assert recommender.encode_user(["?"])[0] is None
