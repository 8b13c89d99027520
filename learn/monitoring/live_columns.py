"""The columns of a comparison of live traffic with the reference profile: data, embeddings, and what is answered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.monitoring.profile import Profile, described
from learn.monitoring.samples import ColumnSample, label_columns, text_columns, vector_column
from learn.monitoring.summary import Kind
from learn.monitoring.views import View, places_of


def live_columns(profile: Profile, live: View, *, seed: int) -> tuple[ColumnSample, ...]:
    """Lay the two sides beside each other, column by column.

    Raises:
        DriftError: Vectors of the two sides have different widths, or are not finite.
    """
    reference = profile.view
    return (
        *_item_columns(profile, live),
        _history_length(reference, live),
        _unknown_items(profile, live),
        *_new_items(profile, live, seed=seed),
        *_vector_columns(reference, live),
        *_answer_columns(profile, live, seed=seed),
    )


def _item_columns(profile: Profile, live: View) -> Iterator[ColumnSample]:
    rows = [_described_rows(view) for view in (profile.view, live)]
    yield from text_columns(rows[0], rows[1])
    yield from label_columns(rows[0], rows[1])
    chosen = [view.requests["item_id"].drop_nulls() for view in (profile.view, live)]
    popularities = [_doublings(_counts(profile, part)) for part in chosen]
    yield ColumnSample("item_popularity", "popularity", popularities[0], popularities[1])


def _described_rows(view: View) -> pl.DataFrame:
    places = places_of(view.requests["item_id"], view.items)
    return described(view.items)[places[places >= 0]]


def _counts(profile: Profile, items: pl.Series) -> NDArray[np.float64]:
    """Training interactions of each item, 0 for one that training did not know."""
    counts = np.append(profile.popularity["count"].to_numpy(), 0)
    found: NDArray[np.float64] = counts[places_of(items, profile.popularity)].astype(np.float64)
    return found


def _doublings(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithms: NDArray[np.float64] = np.log2(1 + counts)
    return logarithms


def _history_length(reference: View, live: View) -> ColumnSample:
    if not live.histories_whole:
        return ColumnSample("history_length", "history", absent="the table begins with the window: nobody has a past")
    lengths = [view.requests["history_length"].cast(pl.Float64).to_numpy() for view in (reference, live)]
    return ColumnSample("history_length", "history", lengths[0], lengths[1])


def _unknown_items(profile: Profile, live: View) -> ColumnSample:
    labels = []
    for view in (profile.view, live):
        asked = view.requests["item_id"]
        new = (places_of(asked, profile.popularity) < 0) & asked.is_not_null().to_numpy()
        some = new | (view.requests["unknown_items"].to_numpy() > 0)
        labels.append(np.where(some, "some", "none"))
    return ColumnSample("unknown_items", "unknown", labels[0], labels[1])


def _new_items(profile: Profile, live: View, *, seed: int) -> Iterator[ColumnSample]:
    new = described(live.items.filter(pl.Series(places_of(live.items["item_id"], profile.popularity) < 0)))
    if new.is_empty():
        yield ColumnSample("new_items", "text", absent="no item is described that the model does not know")
        return
    drawn = np.random.default_rng(seed).permutation(new.height)[: profile.catalogue.height]
    for sample in text_columns(profile.catalogue, new[np.sort(drawn)]):
        yield dataclasses.replace(sample, name=f"new_items_{sample.name}")


def _vector_columns(reference: View, live: View) -> Iterator[ColumnSample]:
    names: tuple[Literal["item_vectors", "user_vectors"], ...] = ("item_vectors", "user_vectors")
    for name in names:
        parts = getattr(reference, name), getattr(live, name)
        if name == "user_vectors" and not live.histories_whole:
            yield ColumnSample(name, name, absent="the table begins with the window: nobody has a past")
        elif parts[0] is None or parts[1] is None:
            yield ColumnSample(name, name, absent="one side has none")
        else:
            yield vector_column(name, parts[0], parts[1])


def _answer_columns(profile: Profile, live: View, *, seed: int) -> Iterator[ColumnSample]:
    views = (profile.view, live)
    labels = [view.requests["answered_by"].to_numpy().astype(str) for view in views]
    yield ColumnSample("answered_by", "answer", labels[0], labels[1])
    lists = [_lists(view, profile.facts.k) for view in views]
    if not all(part.height for part in lists):
        why = f"no list of {profile.facts.k} items by this model's towers, without filters"
        kinds: tuple[tuple[str, Kind], ...] = (("top_score", "score"), ("shown_items", "shown"))
        yield from (ColumnSample(name, kind, absent=why) for name, kind in (*kinds, ("coverage", "coverage")))
        return
    for name, place in (("top_score", 0), ("last_score", -1)):
        scores = [part["scores"].list.get(place).to_numpy() for part in lists]
        yield ColumnSample(name, "score", scores[0], scores[1])
    shown = [np.stack(part["items"].to_list()).astype(str) for part in lists]  # (R, k) ids
    # One place of each list: the places of a list hang together.
    places = [
        np.random.default_rng([seed, side]).integers(profile.facts.k, size=len(p)) for side, p in enumerate(shown)
    ]
    picked = [part[np.arange(len(part)), place] for part, place in zip(shown, places, strict=True)]
    popularities = [_doublings(_counts(profile, pl.Series(part))) for part in picked]
    yield ColumnSample("shown_popularity", "score", popularities[0], popularities[1])
    yield ColumnSample("shown_items", "shown", picked[0], picked[1])
    _, numbers = np.unique(np.concatenate(shown), return_inverse=True)
    numbered = np.split(numbers.reshape(-1, profile.facts.k), [len(shown[0])])
    yield ColumnSample("coverage", "coverage", numbered[0], numbered[1])
    yield ColumnSample("concentration", "concentration", numbered[0], numbered[1])


def _lists(view: View, k: int) -> pl.DataFrame:
    whole = (pl.col("items").list.len() == k) & pl.col("scores").is_not_null()
    return view.requests.filter(whole.fill_null(value=False)).select("items", "scores")
