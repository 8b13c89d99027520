"""What is compared: a bounded, seeded sample of both windows, column by column.

Interactions are drawn uniformly, so a column describes the traffic, not the catalogue: an item counts
as often as it is chosen. No more rows are drawn than the window has users, so that few rows share
one; rows of one user are alike, and a test that takes them for independent cries wolf.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.config import DriftSettings
from learn.errors import DriftError
from learn.monitoring.descriptors import category_labels, oddness, text_numbers
from learn.monitoring.summary import Kind
from learn.monitoring.windows import Window


@dataclass(frozen=True)
class ColumnSample:
    """One column of both windows: numbers ``(n,)``, labels ``(n,)``, vectors ``(n, d)`` or lists of items ``(n, k)``.

    Attributes:
        name: The column's name in the report.
        kind: What it describes.
        reference: The reference window's rows.
        current: The current window's rows.
        absent: Why there is nothing to compare; empty where there is.
    """

    name: str
    kind: Kind
    reference: NDArray[np.generic] = field(default_factory=lambda: np.empty(0))
    current: NDArray[np.generic] = field(default_factory=lambda: np.empty(0))
    absent: str = ""


def column_samples(
    reference: Window, current: Window, *, settings: DriftSettings, seed: int
) -> tuple[ColumnSample, ...]:
    """Draw what is compared of two windows.

    Raises:
        DriftError: Vectors of the two windows have different widths, or are not finite.
    """
    rng = np.random.default_rng(seed)
    drawn = _drawn(reference, settings.sample_rows, rng), _drawn(current, settings.sample_rows, rng)
    return (
        *text_columns(reference.items[drawn[0]], current.items[drawn[1]]),
        *label_columns(reference.items[drawn[0]], current.items[drawn[1]]),
        _popularity(reference, current, drawn[1], len(drawn[0]), rng),
        _activity(reference, current, settings.sample_rows, rng),
        _item_vectors(reference, current, drawn, settings.sample_vectors),
        _user_vectors(reference, current, settings.sample_vectors, rng),
    )


def _drawn(window: Window, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    items = window.interactions["item"].to_numpy()
    if "user" in window.interactions.columns:
        rows = min(rows, window.interactions["user"].n_unique())
    chosen = rng.choice(len(items), size=min(rows, len(items)), replace=False)
    return items[chosen].astype(np.int64)


def text_columns(reference: pl.DataFrame, current: pl.DataFrame) -> Iterator[ColumnSample]:
    """Describe the texts of two tables of items, row by row as given."""
    for column in ("title", "description"):
        if column not in reference.columns or column not in current.columns:
            yield ColumnSample(column, "text", absent="the column is not in both tables of items")
            continue
        numbers = text_numbers(reference, column), text_numbers(current, column)
        for name in numbers[0].columns:
            yield ColumnSample(name, "text", numbers[0][name].to_numpy(), numbers[1][name].to_numpy())
        texts = [part[column].cast(pl.String).fill_null("").to_list() for part in (reference, current)]
        odd = oddness(texts[0], texts[1])
        yield ColumnSample(f"{column}_oddness", "text", odd[0], odd[1])


def label_columns(reference: pl.DataFrame, current: pl.DataFrame) -> Iterator[ColumnSample]:
    """Read category, brand and price off two tables of items, row by row as given."""
    for column in ("category", "brand"):
        if column not in reference.columns or column not in current.columns:
            yield ColumnSample(column, "category", absent="the column is not in both tables of items")
            continue
        labels = category_labels(_strings(reference[column]), _strings(current[column]))
        yield ColumnSample(column, "category", np.asarray(labels[0], dtype=str), np.asarray(labels[1], dtype=str))
    if all("price" in part.columns and part["price"].dtype.is_numeric() for part in (reference, current)):
        prices = [part["price"].cast(pl.Float64).to_numpy() for part in (reference, current)]
        yield ColumnSample("price", "number", *(price[np.isfinite(price)] for price in prices))


def _strings(column: pl.Series) -> list[str | None]:
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join(" > ").to_list()
    return column.cast(pl.String).to_list()


def _popularity(
    reference: Window, current: Window, drawn: NDArray[np.int64], rows: int, rng: np.random.Generator
) -> ColumnSample:
    """How often the reference window chose each row's item, in doublings.

    The choices are counted in one half of the reference and compared on the other: a row that is in the
    count itself always finds its item chosen once at least, and two halves of one window would differ.
    """
    places = _places(reference.items, current.items)
    if places is None:
        return ColumnSample(
            "item_popularity", "popularity", absent="no `item_id` ties the two tables of items together"
        )
    items = rng.permutation(reference.interactions["item"].to_numpy())
    counted, compared = np.array_split(items, 2)
    counts = np.bincount(counted, minlength=reference.items.height + 1)
    # A new item's place, -1, reads the count of the place after the last: none.
    parts = [np.log2(1.0 + counts[part]) for part in (compared[:rows], places[drawn])]
    return ColumnSample("item_popularity", "popularity", parts[0], parts[1])


def _places(reference: pl.DataFrame, current: pl.DataFrame) -> NDArray[np.int64] | None:
    """Row in ``reference`` of each item of ``current``, ``(items,)``, -1 for a new one; None where unknown."""
    if "item_id" in reference.columns and "item_id" in current.columns:
        numbers = reference.select("item_id").with_row_index("place")
        joined = current.select("item_id").join(numbers, on="item_id", how="left", maintain_order="left")
        return joined["place"].cast(pl.Int64).fill_null(-1).to_numpy()
    return np.arange(reference.height) if reference.height == current.height else None


def _activity(reference: Window, current: Window, rows: int, rng: np.random.Generator) -> ColumnSample:
    """Interactions per active user in the newest stretch of each window, both stretches equally long.

    A longer window shows longer histories of the same people; only equal stretches can be compared.
    """
    name = "interactions_per_user"
    if not all({"user", "timestamp"} <= set(part.interactions.columns) for part in (reference, current)):
        return ColumnSample(name, "history", absent="there are no users, or no times to cut equal stretches by")
    times = [part.interactions["timestamp"].cast(pl.Float64).to_numpy() for part in (reference, current)]
    span = min(float(np.ptp(part)) for part in times)
    if not span > 0:
        return ColumnSample(name, "history", absent="a window has no length in time")
    samples = []
    for part, moments in zip((reference, current), times, strict=True):
        newest = part.interactions.filter(pl.Series(moments >= moments.max() - span))
        lengths = newest.group_by("user", maintain_order=True).len()["len"].cast(pl.Float64).to_numpy()
        samples.append(rng.permutation(lengths)[:rows])
    return ColumnSample(name, "history", samples[0], samples[1])


def _item_vectors(
    reference: Window, current: Window, drawn: tuple[NDArray[np.int64], NDArray[np.int64]], rows: int
) -> ColumnSample:
    if reference.item_vectors is None or current.item_vectors is None:
        return ColumnSample("item_vectors", "item_vectors", absent="a window has no item vectors")
    parts = np.asarray(reference.item_vectors[drawn[0][:rows]]), np.asarray(current.item_vectors[drawn[1][:rows]])
    return vector_column("item_vectors", parts[0], parts[1])


def _user_vectors(reference: Window, current: Window, rows: int, rng: np.random.Generator) -> ColumnSample:
    if reference.user_vectors is None or current.user_vectors is None:
        return ColumnSample("user_vectors", "user_vectors", absent="a window has no user vectors")
    parts = [
        np.asarray(vectors[np.sort(rng.choice(len(vectors), size=min(rows, len(vectors)), replace=False))])
        for vectors in (reference.user_vectors, current.user_vectors)
    ]
    return vector_column("user_vectors", parts[0], parts[1])


def vector_column(
    name: Literal["item_vectors", "user_vectors"], reference: NDArray[np.float32], current: NDArray[np.float32]
) -> ColumnSample:
    """Hold two sets of vectors, (n, d) and (m, d), against each other.

    Raises:
        DriftError: They have different widths, or are not finite.
    """
    if reference.shape[1] != current.shape[1]:
        raise DriftError(
            f"The {name.replace('_', ' ')} are {reference.shape[1]} wide in one window "
            f"and {current.shape[1]} in the other.",
            where=name,
            fix="make both with the same encoder and the same towers",
        )
    if not (np.isfinite(reference).all() and np.isfinite(current).all()):
        raise DriftError(
            f"Some {name.replace('_', ' ')} hold values that are not numbers.",
            where=name,
            fix="make them again; a step before this one went wrong",
        )
    return ColumnSample(name, name, reference, current)
