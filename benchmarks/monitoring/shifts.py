"""Planted shifts: what a monitor must find, put only into the live side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.monitoring import Profile, View, find_places

Shift = Callable[[Profile, View, np.random.Generator], tuple[Profile, View]]

_NEW_CATEGORY_SHARE, _GARBLED_SHARE, _MEAN_SHIFT_SD, _NEWCOMER_SHARE = 0.2, 0.1, 0.2, 0.5


def add_new_category(profile: Profile, live: View, rng: np.random.Generator) -> tuple[Profile, View]:
    """A category that was not there takes 20 % of the traffic; nothing else of the items changes."""
    return _replace_columns(profile, live, rng, _NEW_CATEGORY_SHARE, {"category": lambda _: pl.lit("brand new")})


def garble_texts(profile: Profile, live: View, rng: np.random.Generator) -> tuple[Profile, View]:
    """10 % of the traffic's texts have their letters shuffled."""

    def garble(items: pl.DataFrame) -> pl.Series:
        return pl.Series(["".join(rng.permutation(list(title or ""))) for title in items["title"].to_list()])

    return _replace_columns(profile, live, rng, _GARBLED_SHARE, {"title": garble})


def replace_encoder(profile: Profile, live: View, rng: np.random.Generator) -> tuple[Profile, View]:
    """The vectors are another encoder's: the same geometry in other directions."""
    if live.item_vectors is None or live.user_vectors is None:
        return profile, live
    width = live.item_vectors.shape[1]
    turn = np.linalg.qr(rng.normal(size=(width, width)))[0].astype(np.float32)
    return profile, dataclasses.replace(
        live, item_vectors=live.item_vectors @ turn, user_vectors=live.user_vectors @ turn
    )


def shift_mean(profile: Profile, live: View, rng: np.random.Generator) -> tuple[Profile, View]:
    """Every dimension of the vectors moves by .2 standard deviations, up or down."""

    def move(vectors: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        if vectors is None:
            return None
        signs = rng.choice([-1.0, 1.0], vectors.shape[1])
        shifted: NDArray[np.float32] = (vectors + _MEAN_SHIFT_SD * signs * vectors.std(axis=0)).astype(np.float32)
        return shifted

    return profile, dataclasses.replace(
        live, item_vectors=move(live.item_vectors), user_vectors=move(live.user_vectors)
    )


def reverse_popularity(profile: Profile, live: View, _: np.random.Generator) -> tuple[Profile, View]:
    """The most chosen item changes places with the least chosen one, and so on; vectors stay as they were."""
    ordered = profile.popularity.sort("count", "item_id")["item_id"]
    mirrored = pl.DataFrame({"item_id": ordered, "instead": ordered.reverse()})
    asked = live.requests.join(mirrored, on="item_id", how="left", maintain_order="left")
    requests = asked.with_columns(item_id="instead").drop("instead")
    return profile, dataclasses.replace(live, requests=requests)


def add_new_users(profile: Profile, live: View, rng: np.random.Generator) -> tuple[Profile, View]:
    """Half of the users are new: one or two items of history, and the vectors of such users."""
    new = rng.random(live.requests.height) < _NEWCOMER_SHARE
    lengths = np.where(new, rng.integers(1, 3, len(new)), live.requests["history_length"].to_numpy())
    users = live.user_vectors
    if users is not None and live.item_vectors is not None:
        one = live.item_vectors[rng.permutation(len(live.item_vectors))[: len(users)]]
        one = one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-9)
        users = np.where(new[: len(users), None], one, users)
    requests = live.requests.with_columns(history_length=pl.Series(lengths))
    return profile, dataclasses.replace(live, requests=requests, user_vectors=users)


SHIFTS: dict[str, Shift] = {
    "a new category takes 20 % of the traffic": add_new_category,
    "10 % of the texts garbled": garble_texts,
    "encoder changed": replace_encoder,
    "mean shift of .2 sd": shift_mean,
    "popularity reversed": reverse_popularity,
    "half the users are newcomers": add_new_users,
}


def _replace_columns(
    profile: Profile,
    live: View,
    rng: np.random.Generator,
    share: float,
    columns: dict[str, Callable[[pl.DataFrame], pl.Series | pl.Expr]],
) -> tuple[Profile, View]:
    """Give a share of the rows a new item, equal to the old one except for some columns."""
    hit = np.flatnonzero(rng.random(live.requests.height) < share)
    old = live.requests["item_id"][hit]
    fresh = pl.Series([f"planted {row}" for row in hit])
    items = live.items[find_places(old, live.items)].with_columns(item_id=fresh)
    items = items.with_columns(**{name: make(items) for name, make in columns.items()})
    # Known to the training as well as the old ones: what is planted must be found by itself.
    counts = profile.popularity["count"].gather(find_places(old, profile.popularity))
    known = pl.concat([profile.popularity, pl.DataFrame({"item_id": fresh, "count": counts})])
    asked = live.requests["item_id"].scatter(hit, fresh)
    return dataclasses.replace(profile, popularity=known), dataclasses.replace(
        live, requests=live.requests.with_columns(item_id=asked), items=pl.concat([live.items, items])
    )
