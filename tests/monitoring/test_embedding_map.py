"""The map of items and users, and which columns a trend shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from learn.monitoring.embedding_map import OTHER
from learn.monitoring.embedding_map import map_embeddings as embedding_map
from learn.monitoring.summary import choose_trend_columns
from tests.monitoring.synthetic_traffic import Shop, make_shop
from tests.synthetic_run import made_up_trend


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))


def test_the_map_shows_each_item_once_under_its_category_and_is_the_same_again(shop: Shop) -> None:
    found, again = (embedding_map(shop.profile, seed=3) for _ in range(2))
    assert found is not None
    assert again is not None
    np.testing.assert_array_equal(found.items, again.items)
    np.testing.assert_array_equal(found.users, again.users)
    requests = shop.profile.view.requests["item_id"][: len(found.users)]
    assert len(found.items) <= requests.n_unique()
    assert len(found.labels) == len(found.items)
    # Of eight categories the six commonest keep their names.
    assert len(Counter(found.labels)) == 7
    assert OTHER in found.labels
    assert found.shares[0] >= found.shares[1] > 0


def test_categories_in_other_directions_lie_apart(shop: Shop) -> None:
    view = shop.profile.view
    assert view.item_vectors is not None
    categories = view.requests["item_id"].str.slice(1).cast(int).to_numpy()[: len(view.item_vectors)] % 8
    far = np.zeros_like(view.item_vectors)
    far[:, 0] = np.where(categories == 0, 50.0, -50.0)
    moved = replace(shop.profile, view=replace(view, item_vectors=view.item_vectors + far))
    found = embedding_map(moved, seed=3)
    assert found is not None
    first = found.items[:, 0]
    apart = np.asarray([label == "C0" for label in found.labels])
    assert found.shares[0] > 0.5
    if apart.any():
        assert max(first[apart].min() - first[~apart].max(), first[~apart].min() - first[apart].max()) > 0


def test_without_vectors_or_categories_there_is_less_to_show(shop: Shop) -> None:
    view = shop.profile.view
    assert embedding_map(replace(shop.profile, view=replace(view, user_vectors=None)), seed=0) is None
    plain = embedding_map(replace(shop.profile, view=replace(view, items=view.items.drop("category"))), seed=0)
    assert plain is not None
    assert plain.labels == ()


def test_a_trend_shows_the_columns_that_moved_most() -> None:
    assert choose_trend_columns(made_up_trend(), count=2) == ["item_popularity", "price"]
