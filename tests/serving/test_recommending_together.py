"""Many users answered at once: each gets the list that they would get alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.errors import RequestError
from learn.registry.bundle import Bundle, read_bundle
from learn.serving.catalogue import AnyOf, ItemChange
from learn.serving.filters import NO_FILTERS, Filters, Selection, ValueCap
from learn.serving.recommender import CLOSE, Query, Recommendation, Recommender, RequestBatcher
from tests.serving.synthetic_model import ITEM_COUNT, item_id, made_up_histories, made_up_parts

WRONG = Filters(include_only=Selection(columns={"no such column": AnyOf(("x",))}))
known_ids = st.integers(0, ITEM_COUNT - 1).map(item_id)
filters = st.sampled_from(
    [
        NO_FILTERS,
        WRONG,
        Filters(include_only=Selection(item_ids=[item_id(row) for row in range(0, ITEM_COUNT, 2)])),
        Filters(include_only=Selection(item_ids=[item_id(row) for row in range(5)])),
        Filters(exclude=Selection(item_ids=[item_id(row) for row in range(100)])),
        Filters(diversity=0.5),
    ]
)
anyones = st.builds(
    Query, st.lists(known_ids | st.text(max_size=3), max_size=60), st.integers(1, 400), st.booleans(), filters
)


@pytest.fixture(scope="module")
def recommender(bundle: Bundle) -> Recommender:
    return Recommender(bundle)


def alone(recommender: Recommender, wanted: Query) -> Recommendation | RequestError:
    try:
        return recommender.recommend(
            wanted.history, k=wanted.k, exclude_seen=wanted.exclude_seen, filters=wanted.filters
        )
    except RequestError as refused:
        return refused


def said(found: Recommendation | RequestError) -> tuple[object, ...]:
    if isinstance(found, RequestError):
        return ("refused", str(found))
    return ([item.item_id for item in found.items], found.unknown_items, found.fallback)


@settings(max_examples=40, deadline=None)
@given(asked=st.lists(anyones, max_size=12))
def test_each_gets_the_list_that_they_would_get_alone(asked: list[Query], recommender: Recommender) -> None:
    together = recommender.recommend_together(asked)
    assert [said(found) for found in together] == [said(alone(recommender, wanted)) for wanted in asked]


def test_no_list_depends_on_who_else_asks(recommender: Recommender) -> None:
    asked = [Query(history, 10) for history in made_up_histories(64)]
    whole = recommender.recommend_together(asked)
    turned = recommender.recommend_together(asked[::-1])[::-1]
    parts = [found for begin in range(0, 64, 7) for found in recommender.recommend_together(asked[begin : begin + 7])]
    assert [said(found) for found in whole] == [said(found) for found in turned] == [said(found) for found in parts]


def test_items_that_came_at_run_time_are_among_them(bundle: Bundle) -> None:
    recommender, width = Recommender(bundle), bundle.item_vectors.shape[1]
    best = recommender.encode_user([item_id(3)])[0]
    assert best is not None
    new = ItemChange("new", {}, np.zeros(bundle.item_inputs.shape[1], dtype=np.float32), 5 * best.reshape(width))
    recommender.change_items([new, ItemChange(item_id(4), None)])
    asked = [Query([item_id(3)], 5), Query([item_id(5), "new"], 300), Query([item_id(4)], 3)]
    together = recommender.recommend_together(asked)
    assert [said(found) for found in together] == [said(alone(recommender, wanted)) for wanted in asked]
    assert isinstance(together[0], Recommendation)
    assert together[0].items[0].item_id == "new"


@pytest.mark.parametrize("k", [9, 1])
def test_lists_too_close_to_call_are_made_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, k: int) -> None:
    parts = made_up_parts(item_count=40)
    # Every second item is its neighbour again: anyone who ranks one ranks both, and the lower row wins.
    twins = replace(parts, item_vectors=np.repeat(parts.item_vectors[::2], 2, axis=0))
    recommender = Recommender(read_bundle(twins.write(tmp_path / "bundle")))
    # A list of one item ends between the two of a pair.
    asked = [Query([item_id(row % 40) for row in range(start, start + 5)], k, k > 1) for start in range(30)]
    expected = [said(alone(recommender, wanted)) for wanted in asked]
    made_alone: list[Query] = []
    whole = recommender._recommend_one

    def counted(catalogue: object, wanted: Query) -> Recommendation:
        made_alone.append(wanted)
        return whole(catalogue, wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(recommender, "_recommend_one", counted)
    assert [said(found) for found in recommender.recommend_together(asked)] == expected
    assert len(made_alone) == len(asked)


def test_scores_together_and_alone_are_far_closer_than_what_counts_as_close(recommender: Recommender) -> None:
    asked = [Query(history, 10) for history in made_up_histories(200)]
    for wanted, found in zip(asked, recommender.recommend_together(asked), strict=True):
        apart = alone(recommender, wanted)
        assert isinstance(found, Recommendation)
        assert isinstance(apart, Recommendation)
        np.testing.assert_allclose(
            [item.score for item in found.items], [item.score for item in apart.items], rtol=0, atol=CLOSE / 10
        )


class Noted:
    """A model that notes how many were requested at once."""

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender
        self.asked: list[int] = []

    def recommend_together(self, wanted: Sequence[Query]) -> list[Recommendation | RequestError]:
        self.asked.append(len(wanted))
        return self.recommender.recommend_together(wanted)


def gathered(model: Noted, asked: Sequence[Query]) -> list[Recommendation | BaseException]:
    async def ask_all() -> list[Recommendation | BaseException]:
        gathering = RequestBatcher()
        return await asyncio.gather(*(gathering.recommend(model, wanted) for wanted in asked), return_exceptions=True)

    return asyncio.run(ask_all())


def test_what_is_asked_at_one_moment_is_answered_together_and_a_refusal_is_its_own(recommender: Recommender) -> None:
    asked = [Query(history, 10) for history in made_up_histories(70)]
    asked[3] = Query([item_id(1)], 10, filters=WRONG)
    asked[4] = Query([item_id(1)], 10, filters=Filters(caps=(ValueCap("no such column", 1),)))
    model = Noted(recommender)
    found = gathered(model, asked)
    assert model.asked == [32, 32, 6]
    assert [place for place, each in enumerate(found) if isinstance(each, RequestError)] == [3, 4]
    for place, each in enumerate(found):
        assert isinstance(each, Recommendation | RequestError)
        assert said(each) == said(alone(recommender, asked[place]))


def test_models_served_side_by_side_are_asked_each_by_itself(recommender: Recommender) -> None:
    champion, challenger = Noted(recommender), Noted(recommender)

    async def ask() -> None:
        gathering, wanted = RequestBatcher(), Query([item_id(1)], 3)
        models = [champion, challenger, champion]
        await asyncio.gather(*(gathering.recommend(model, wanted) for model in models))

    asyncio.run(ask())
    assert (champion.asked, challenger.asked) == ([2], [1])


def test_a_fault_reaches_all_that_asked_and_the_next_are_answered(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(wanted: Sequence[Query]) -> list[Recommendation | RequestError]:
        raise MemoryError(f"{len(wanted)} lists")

    model = Noted(recommender)

    async def ask() -> list[Recommendation | BaseException]:
        gathering, wanted = RequestBatcher(), Query([item_id(1)], 3)
        monkeypatch.setattr(recommender, "recommend_together", broken)
        first = await asyncio.gather(*(gathering.recommend(model, wanted) for _ in range(2)), return_exceptions=True)
        monkeypatch.undo()
        return [*first, await gathering.recommend(model, wanted)]

    found = asyncio.run(ask())
    assert [type(each) for each in found] == [MemoryError, MemoryError, Recommendation]


def test_who_goes_away_while_waiting_takes_nothing_from_the_others(recommender: Recommender) -> None:
    model = Noted(recommender)

    async def ask() -> Recommendation:
        gathering, wanted = RequestBatcher(), Query([item_id(1)], 3)
        leaving = asyncio.create_task(gathering.recommend(model, wanted))
        staying = asyncio.create_task(gathering.recommend(model, wanted))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert len(asyncio.run(ask()).items) == 3
    assert model.asked == [1]
