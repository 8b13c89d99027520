"""The columns of a comparison: bounded, seeded samples of two windows, or of live traffic and the reference profile.

Interactions are drawn uniformly, so a column describes the traffic, not the catalogue: an item counts as often as it is
chosen. No more rows are drawn than the window has users, so few rows share a user. Rows of one user are alike, and a
test that treats them as independent raises false alarms.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.config import DriftSettings
from learn.data import Timestamps, count_before
from learn.errors import DriftError
from learn.monitoring.profile import Profile, select_described_columns
from learn.monitoring.requests import View, find_places
from learn.monitoring.summary import Kind


@dataclass(frozen=True)
class Window:
    """One side of a drift report.

    Vectors are read by row on demand, so memory-mapped arrays stay on disk.

    Attributes:
        name: What people call it, e.g. ``"training"``.
        interactions: Column ``item`` (row number in ``items``); optional ``user`` (any type) and ``timestamp``
            (seconds, or any unit the two windows share; leave it out where it is only an order).
        items: One row an item; ``title``, ``category``, ``brand``, ``description`` and ``price`` are read where
            present. ``item_id`` ties the items of two catalogues together.
        item_vectors: ``(items, d)``, row number as in ``items``; None: not measured.
        user_vectors: ``(users, d)``, one row per user active in the window; None: not measured.
    """

    name: str
    interactions: pl.DataFrame
    items: pl.DataFrame
    item_vectors: NDArray[np.float32] | None = None
    user_vectors: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if "item" not in self.interactions.columns:
            raise DriftError("The interactions have no column `item`.", where=f"window `{self.name}`")
        largest, smallest = self.interactions["item"].max(), self.interactions["item"].min()
        if isinstance(largest, int) and isinstance(smallest, int) and not 0 <= smallest <= largest < self.items.height:
            raise DriftError(
                f"An interaction names item {largest if largest >= self.items.height else smallest}, "
                f"but there are {self.items.height} items.",
                where=f"window `{self.name}`",
                fix="number the items by their row in the table of items",
            )
        if self.item_vectors is not None and len(self.item_vectors) != self.items.height:
            raise DriftError(
                f"There are {len(self.item_vectors)} item vectors for {self.items.height} items.",
                where=f"window `{self.name}`",
                fix="give one vector per row of the table of items",
            )


def build_history_window(
    name: str,
    *,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    item_indices: NDArray[np.int32],
    timestamps: Timestamps | None,
    items: pl.DataFrame,
    item_vectors: NDArray[np.float32] | None = None,
    user_vectors: NDArray[np.float32] | None = None,
) -> Window:
    """Make a window from one slice of each user's history.

    The training window is ``starts=offsets[:-1], stops=train_stops``; the newest one is
    ``starts=find_positions(...), stops=offsets[1:]``.

    Args:
        name: What people call it.
        starts: First position of each user's slice in the flat arrays, ``(users,)``.
        stops: One past the last position, ``(users,)``; equal to the start where a user has nothing here.
        item_indices: Flat histories, ``(n,)``.
        timestamps: Times next to them, ``(n,)``; None if they are only an order.
        items: One row an item.
        item_vectors: ``(items, d)``.
        user_vectors: ``(m, d)``, one row per active user.
    """
    lengths = np.maximum(stops - starts, 0)  # (users,)
    first = np.concatenate([[0], np.cumsum(lengths)])  # (users + 1,)
    positions = np.arange(first[-1]) + np.repeat(starts - first[:-1], lengths)  # (rows,)
    columns = {
        "user": np.repeat(np.arange(len(starts)), lengths),
        "item": np.asarray(item_indices[positions], dtype=np.int32),
    }
    if timestamps is not None:
        columns["timestamp"] = np.asarray(timestamps[positions])
    return Window(name, pl.DataFrame(columns), items, item_vectors, user_vectors)


def find_positions(moment: float, *, offsets: NDArray[np.int64], timestamps: Timestamps) -> NDArray[np.int64]:
    """First position of each user's history at or after ``moment``, ``(users,)``; the end if there is none."""
    positions: NDArray[np.int64] = offsets[:-1] + count_before(offsets, timestamps, moment)  # (users,)
    return positions


def build_table_window(
    name: str,
    *,
    interactions: pl.DataFrame,
    items: pl.DataFrame,
    has_times: bool = True,
    item_vectors: NDArray[np.float32] | None = None,
    user_vectors: NDArray[np.float32] | None = None,
) -> Window:
    """Make a window from tables with ``user_id`` and ``item_id``, such as those of a second data folder.

    Interactions with items that the table of items does not hold are left out.

    Raises:
        DriftError: No interaction is with a known item.
    """
    numbers = items.select("item_id").with_row_index("item").with_columns(pl.col("item").cast(pl.Int32))
    kept = interactions.join(numbers, on="item_id", how="inner", maintain_order="left")
    if kept.is_empty():
        raise DriftError(
            "None of the interactions is with an item of the table of items.",
            where=f"window `{name}`",
            fix="check that both tables are of the same shop and that item ids are written alike",
        )
    columns = ["item", pl.col("user_id").alias("user")]
    if has_times:
        columns.append(pl.col("timestamp"))
    return Window(name, kept.select(columns), items, item_vectors, user_vectors)


NO_CATEGORY = "(none)"

_LEVELS = re.compile(r"\s*[>|;]\s*|,(?! )")
"""What divides a category path; a comma and a blank are inside one name ("Sports, Outdoors")."""

_COMMONEST_SHARE = 0.9
_NEVER_SEEN = 0.5
_CODE_BITS = 21
"""Every Unicode code point fits, so three of them fit one signed 64-bit integer."""


def describe_texts(items: pl.DataFrame, column: str) -> pl.DataFrame:
    """Characters, words and share of non-letters of one text column, one row an item; null counts as empty."""
    text = pl.col(column).cast(pl.String).fill_null("")
    characters = text.str.len_chars()
    letters = text.str.count_matches(r"\p{L}")
    return items.select(
        characters.cast(pl.Float64).alias(f"{column}_characters"),
        text.str.count_matches(r"\S+").cast(pl.Float64).alias(f"{column}_words"),
        (1 - letters / characters.clip(1)).cast(pl.Float64).alias(f"{column}_non_letters"),
    )


def measure_surprise(reference: Sequence[str], current: Sequence[str]) -> tuple[NDArray[np.float64], ...]:
    """How unlike the reference's spelling each text is: mean surprise in bits of its character triples.

    Garbled text keeps its length but not its spelling. The triples are counted in the reference's distinct texts, and
    each text is scored by the others alone: a text is never odd next to itself, so that counting it in would make every
    new text look like drift.

    Returns:
        Two float64 arrays, ``(len(reference),)`` and ``(len(current),)``.
    """
    fitted, new = sorted(set(reference)), sorted(set(current) - set(reference))
    texts = ["", *fitted, *new]
    triples = [_hash_trigrams(text) for text in texts]
    lengths = np.asarray([len(each) for each in triples])
    counted = np.arange(len(texts)) <= len(fitted)
    codes, places = np.unique(np.concatenate(triples), return_inverse=True)
    rows = np.repeat(np.arange(len(texts)), lengths)
    counts = np.bincount(places[counted[rows]], minlength=len(codes))
    # Each text's different triples, with how often it has them itself: that is taken out of the counts.
    found, times = np.unique(rows * len(codes) + places, return_counts=True)
    row, place = np.divmod(found, len(codes))
    others = counts[place] - np.where(counted[row], times, 0)
    totals = counts.sum() - np.where(counted, lengths, 0)
    surprise = np.log2(totals[row] + 1) - np.log2(np.maximum(others, _NEVER_SEEN))
    means = np.bincount(row, weights=times * surprise) / lengths
    known = dict(zip(texts, means, strict=True))
    return tuple(np.asarray([known[text] for text in part], dtype=np.float64) for part in (reference, current))


def choose_category_labels(
    reference: Sequence[str | None], current: Sequence[str | None]
) -> tuple[list[str], list[str]]:
    """The first level of the category paths that tells rows apart.

    Catalogues often open every path with the shop's own name; that level says nothing.
    """
    paths = [_LEVELS.split(path.strip()) if path and path.strip() else [NO_CATEGORY] for path in (*reference, *current)]
    depth = max((len(path) for path in paths), default=1)
    labels: list[str] = []
    for level in range(depth):
        labels = [path[min(level, len(path) - 1)] for path in paths]
        _, counts = np.unique(np.asarray(labels, dtype=str), return_counts=True)
        if counts.size and counts.max() < _COMMONEST_SHARE * len(labels):
            return labels[: len(reference)], labels[len(reference) :]
    labels = [path[0] for path in paths]
    return labels[: len(reference)], labels[len(reference) :]


def _hash_trigrams(text: str) -> NDArray[np.int64]:
    points = np.frombuffer(f"  {text.lower()}  ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    return (points[:-2] << 2 * _CODE_BITS) | (points[1:-1] << _CODE_BITS) | points[2:]


@dataclass(frozen=True)
class ColumnSample:
    """One column of both windows: numbers ``(n,)``, labels ``(n,)``, vectors ``(n, d)`` or lists of items ``(n, k)``.

    Attributes:
        name: The column's name in the report.
        kind: What it describes.
        reference: The reference window's rows.
        current: The current window's rows.
        absent: Why there is nothing to compare; empty if there is.
    """

    name: str
    kind: Kind
    reference: NDArray[np.generic] = field(default_factory=lambda: np.empty(0))
    current: NDArray[np.generic] = field(default_factory=lambda: np.empty(0))
    absent: str = ""


def draw_column_samples(
    reference: Window, current: Window, *, settings: DriftSettings, seed: int
) -> tuple[ColumnSample, ...]:
    """Draw what is compared of two windows.

    Raises:
        DriftError: Vectors of the two windows have different widths, or are not finite.
    """
    rng = np.random.default_rng(seed)
    drawn = _draw_rows(reference, settings.sample_rows, rng), _draw_rows(current, settings.sample_rows, rng)
    return (
        *draw_text_columns(reference.items[drawn[0]], current.items[drawn[1]]),
        *draw_label_columns(reference.items[drawn[0]], current.items[drawn[1]]),
        _sample_popularity(reference, current, drawn[1], len(drawn[0]), rng),
        _sample_activity(reference, current, settings.sample_rows, rng),
        _sample_item_vectors(reference, current, drawn, settings.sample_vectors),
        _sample_user_vectors(reference, current, settings.sample_vectors, rng),
    )


def _draw_rows(window: Window, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    items = window.interactions["item"].to_numpy()
    if "user" in window.interactions.columns:
        rows = min(rows, window.interactions["user"].n_unique())
    chosen = rng.choice(len(items), size=min(rows, len(items)), replace=False)
    return items[chosen].astype(np.int64)


def draw_text_columns(reference: pl.DataFrame, current: pl.DataFrame) -> Iterator[ColumnSample]:
    """Describe the texts of two tables of items, row by row as given."""
    for column in ("title", "description"):
        if column not in reference.columns or column not in current.columns:
            yield ColumnSample(column, "text", absent="the column is not in both tables of items")
            continue
        numbers = describe_texts(reference, column), describe_texts(current, column)
        for name in numbers[0].columns:
            yield ColumnSample(name, "text", numbers[0][name].to_numpy(), numbers[1][name].to_numpy())
        texts = [part[column].cast(pl.String).fill_null("").to_list() for part in (reference, current)]
        odd = measure_surprise(texts[0], texts[1])
        yield ColumnSample(f"{column}_oddness", "text", odd[0], odd[1])


def draw_label_columns(reference: pl.DataFrame, current: pl.DataFrame) -> Iterator[ColumnSample]:
    """Read category, brand and price off two tables of items, row by row as given."""
    for column in ("category", "brand"):
        if column not in reference.columns or column not in current.columns:
            yield ColumnSample(column, "category", absent="the column is not in both tables of items")
            continue
        labels = choose_category_labels(_to_strings(reference[column]), _to_strings(current[column]))
        yield ColumnSample(column, "category", np.asarray(labels[0], dtype=str), np.asarray(labels[1], dtype=str))
    if all("price" in part.columns and part["price"].dtype.is_numeric() for part in (reference, current)):
        prices = [part["price"].cast(pl.Float64).to_numpy() for part in (reference, current)]
        yield ColumnSample("price", "number", *(price[np.isfinite(price)] for price in prices))


def _to_strings(column: pl.Series) -> list[str | None]:
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join(", ").to_list()
    return column.cast(pl.String).to_list()


def _sample_popularity(
    reference: Window, current: Window, drawn: NDArray[np.int64], rows: int, rng: np.random.Generator
) -> ColumnSample:
    """How often the reference window chose each row's item, in doublings.

    The choices are counted in one half of the reference and compared on the other: a row that is in the
    count itself always finds its item chosen once at least, and two halves of one window would differ.
    """
    places = _find_places(reference.items, current.items)
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


def _find_places(reference: pl.DataFrame, current: pl.DataFrame) -> NDArray[np.int64] | None:
    """Row in ``reference`` of each item of ``current``, ``(items,)``, -1 for a new one; None if unknown."""
    if "item_id" in reference.columns and "item_id" in current.columns:
        numbers = reference.select("item_id").with_row_index("place")
        joined = current.select("item_id").join(numbers, on="item_id", how="left", maintain_order="left")
        return joined["place"].cast(pl.Int64).fill_null(-1).to_numpy()
    return np.arange(reference.height) if reference.height == current.height else None


def _sample_activity(reference: Window, current: Window, rows: int, rng: np.random.Generator) -> ColumnSample:
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


def _sample_item_vectors(
    reference: Window, current: Window, drawn: tuple[NDArray[np.int64], NDArray[np.int64]], rows: int
) -> ColumnSample:
    if reference.item_vectors is None or current.item_vectors is None:
        return ColumnSample("item_vectors", "item_vectors", absent="a window has no item vectors")
    parts = np.asarray(reference.item_vectors[drawn[0][:rows]]), np.asarray(current.item_vectors[drawn[1][:rows]])
    return build_vector_column("item_vectors", parts[0], parts[1])


def _sample_user_vectors(reference: Window, current: Window, rows: int, rng: np.random.Generator) -> ColumnSample:
    if reference.user_vectors is None or current.user_vectors is None:
        return ColumnSample("user_vectors", "user_vectors", absent="a window has no user vectors")
    parts = [
        np.asarray(vectors[np.sort(rng.choice(len(vectors), size=min(rows, len(vectors)), replace=False))])
        for vectors in (reference.user_vectors, current.user_vectors)
    ]
    return build_vector_column("user_vectors", parts[0], parts[1])


def build_vector_column(
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


def draw_live_columns(profile: Profile, live: View, *, seed: int) -> tuple[ColumnSample, ...]:
    """Lay the two sides next to each other, column by column.

    Raises:
        DriftError: Vectors of the two sides have different widths, or are not finite.
    """
    reference = profile.view
    return (
        *_draw_item_columns(profile, live),
        _sample_history_length(reference, live),
        _sample_unknown_items(profile, live),
        *_draw_new_items(profile, live, seed=seed),
        *_draw_vector_columns(reference, live),
        *_draw_answer_columns(profile, live, seed=seed),
    )


def _draw_item_columns(profile: Profile, live: View) -> Iterator[ColumnSample]:
    rows = [_join_described_rows(view) for view in (profile.view, live)]
    yield from draw_text_columns(rows[0], rows[1])
    yield from draw_label_columns(rows[0], rows[1])
    chosen = [view.requests["item_id"].drop_nulls() for view in (profile.view, live)]
    popularities = [_compute_doublings(_count_training(profile, part)) for part in chosen]
    yield ColumnSample("item_popularity", "popularity", popularities[0], popularities[1])


def _join_described_rows(view: View) -> pl.DataFrame:
    places = find_places(view.requests["item_id"], view.items)
    return select_described_columns(view.items)[places[places >= 0]]


def _count_training(profile: Profile, items: pl.Series) -> NDArray[np.float64]:
    """Training interactions of each item, 0 for one that training did not know."""
    counts = np.append(profile.popularity["count"].to_numpy(), 0)
    found: NDArray[np.float64] = counts[find_places(items, profile.popularity)].astype(np.float64)
    return found


def _compute_doublings(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithms: NDArray[np.float64] = np.log2(1 + counts)
    return logarithms


def _sample_history_length(reference: View, live: View) -> ColumnSample:
    if not live.histories_whole:
        return ColumnSample("history_length", "history", absent="the table begins with the window: nobody has a past")
    lengths = [view.requests["history_length"].cast(pl.Float64).to_numpy() for view in (reference, live)]
    return ColumnSample("history_length", "history", lengths[0], lengths[1])


def _sample_unknown_items(profile: Profile, live: View) -> ColumnSample:
    labels = []
    for view in (profile.view, live):
        asked = view.requests["item_id"]
        new = (find_places(asked, profile.popularity) < 0) & asked.is_not_null().to_numpy()
        some = new | (view.requests["unknown_items"].to_numpy() > 0)
        labels.append(np.where(some, "some", "none"))
    return ColumnSample("unknown_items", "unknown", labels[0], labels[1])


def _draw_new_items(profile: Profile, live: View, *, seed: int) -> Iterator[ColumnSample]:
    new = select_described_columns(
        live.items.filter(pl.Series(find_places(live.items["item_id"], profile.popularity) < 0))
    )
    if new.is_empty():
        yield ColumnSample("new_items", "text", absent="no item is described that the model does not know")
        return
    drawn = np.random.default_rng(seed).permutation(new.height)[: profile.catalogue.height]
    for sample in draw_text_columns(profile.catalogue, new[np.sort(drawn)]):
        yield dataclasses.replace(sample, name=f"new_items_{sample.name}")


def _draw_vector_columns(reference: View, live: View) -> Iterator[ColumnSample]:
    names: tuple[Literal["item_vectors", "user_vectors"], ...] = ("item_vectors", "user_vectors")
    for name in names:
        parts = getattr(reference, name), getattr(live, name)
        if name == "user_vectors" and not live.histories_whole:
            yield ColumnSample(name, name, absent="the table begins with the window: nobody has a past")
        elif parts[0] is None or parts[1] is None:
            yield ColumnSample(name, name, absent="one side has none")
        else:
            yield build_vector_column(name, parts[0], parts[1])


def _draw_answer_columns(profile: Profile, live: View, *, seed: int) -> Iterator[ColumnSample]:
    views = (profile.view, live)
    labels = [view.requests["answered_by"].to_numpy().astype(str) for view in views]
    yield ColumnSample("answered_by", "answer", labels[0], labels[1])
    lists = [_read_lists(view, profile.facts.k) for view in views]
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
    popularities = [_compute_doublings(_count_training(profile, pl.Series(part))) for part in picked]
    yield ColumnSample("shown_popularity", "score", popularities[0], popularities[1])
    yield ColumnSample("shown_items", "shown", picked[0], picked[1])
    _, numbers = np.unique(np.concatenate(shown), return_inverse=True)
    numbered = np.split(numbers.reshape(-1, profile.facts.k), [len(shown[0])])
    yield ColumnSample("coverage", "coverage", numbered[0], numbered[1])
    yield ColumnSample("concentration", "concentration", numbered[0], numbered[1])


def _read_lists(view: View, k: int) -> pl.DataFrame:
    whole = (pl.col("items").list.len() == k) & pl.col("scores").is_not_null()
    return view.requests.filter(whole.fill_null(value=False)).select("items", "scores")
