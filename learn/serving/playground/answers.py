"""Answers to the playground: search and describe items, summarise the catalogue, explain a list.

The user tower mixes the whole history into one vector, so no single item is the cause of a recommendation. An
explanation therefore names the history items that are nearest to it by the vectors that rank.

Shape legend: n rows of the catalogue, r rows that have an item, c different cells of a column, h items of a
history, i items explained, D width of the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.serving.catalogue import Catalogue, Cell, Column, LabelColumn, NumberColumn
from learn.serving.playground.schemas import (
    CatalogueRequest,
    CatalogueResponse,
    ColumnSummary,
    CommonValue,
    DescribedItem,
    DescribeItemsRequest,
    DescribeItemsResponse,
    ExplainRequest,
    ExplainResponse,
    Explanation,
    NearItem,
    SearchItemsRequest,
    SearchItemsResponse,
)
from learn.serving.recommender import Recommender

_Rows = NDArray[np.int64]


def find_nearest_items(
    catalogue: Catalogue, rows: Sequence[int], history: Sequence[int], *, nearest: int
) -> list[list[tuple[int, float]]]:
    """Return the nearest rows of a history, with their cosines, for each of some items.

    Args:
        catalogue: The items.
        rows: (i,) rows to explain.
        history: (h,) rows of the history, oldest first; may repeat.
        nearest: Rows wanted for each; fewer come back where the history holds fewer different ones. An item of the
            history does not explain itself.
    """
    # The newest first, so that of equally near items the newer one is named.
    different = np.array(list(dict.fromkeys(reversed(history))), dtype=np.int64)
    explained = np.array(rows, dtype=np.int64)
    cosines = _read_unit_vectors(catalogue, explained) @ _read_unit_vectors(catalogue, different).T  # (i, h)
    order = np.argsort(-cosines, axis=1, kind="stable")  # (i, h)
    return [
        [(int(different[place]), float(cosines[at, place])) for place in order[at] if different[place] != row][:nearest]
        for at, row in enumerate(explained)
    ]


def _read_unit_vectors(catalogue: Catalogue, rows: _Rows) -> NDArray[np.float32]:
    lengths = np.maximum(catalogue.lengths[rows], np.finfo(np.float32).tiny)
    return (catalogue.vectors.take(rows) / lengths[:, None]).astype(np.float32, copy=False)


_BETWEEN = "\n"
_WHOLE = 2.0**53


@dataclass(frozen=True)
class SearchHits:
    """What a search found.

    Attributes:
        rows: Rows of the catalogue, best first.
        count: Items that match, also those beyond the limit.
    """

    rows: list[int]
    count: int


class CatalogueLookup:
    """Texts and cells of one catalogue, in a form that is searched quickly.

    Args:
        catalogue: The catalogue.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def search(self, query: str, *, limit: int) -> SearchHits:
        """Find the items whose title or id holds every word of a query, whatever its case and accents.

        The item of that very id comes first, then what begins with the query; the more popular first among ties.
        Without a word, the most popular items are found.

        Args:
            query: Words.
            limit: Items wanted.
        """
        words = sorted(set(_fold_text(pl.Series([query]))[0].split()), key=len, reverse=True)
        found = self._texts
        # The longest word leaves the fewest, and each further word is searched only in those.
        for word in words:
            found = found.filter(pl.col("text").str.contains(word, literal=True))
        if words:
            start = " ".join(_fold_text(pl.Series([query]))[0].split())
            found = found.with_columns(
                exact=pl.col("id") == start,
                begins=pl.col("id").str.starts_with(start) | pl.col("title").str.starts_with(start),
            ).sort("exact", "begins", descending=True, maintain_order=True)
        return SearchHits(found["row"].head(limit).to_list(), len(found))

    def read_cells(self, row: int) -> dict[str, str | bool | int | float | list[str]]:
        """Return what one item holds in the columns that can be filtered by."""
        cells = ((name, self._read_cell(name, row)) for name in self.catalogue.columns)
        return {name: cell for name, cell in cells if cell is not None}

    @cached_property
    def live_rows(self) -> NDArray[np.int64]:
        """(r,) rows that have an item, the most popular first."""
        return self.catalogue.popularity_order

    @cached_property
    def _texts(self) -> pl.DataFrame:
        rows = self.live_rows
        ids = _fold_text(pl.Series(self.catalogue.ids, dtype=pl.String).gather(rows))
        titles = _fold_text(pl.Series(self.catalogue.titles, dtype=pl.String).gather(rows).fill_null(""))
        # A line between them: no word holds one, so none is found across the two.
        return pl.DataFrame({"row": rows, "id": ids, "title": titles}).with_columns(
            text=pl.concat_str("id", "title", separator=_BETWEEN)
        )

    @cached_property
    def _labels(self) -> dict[str, dict[int, str | bool | tuple[str, ...]]]:
        return {
            name: {code: key for key, code in column.keys.items()}
            for name, column in self.catalogue.columns.items()
            if isinstance(column, LabelColumn)
        }

    def _read_cell(self, name: str, row: int) -> Cell:
        column = self.catalogue.columns[name]
        if isinstance(column, NumberColumn):
            number = float(column.numbers[row])
            if not np.isfinite(number):
                return None
            return int(number) if number.is_integer() and abs(number) < _WHOLE else number
        key = self._labels[name].get(int(column.codes[row]))
        return list(key) if isinstance(key, tuple) else key


class Lookups:
    """Keeps the lookup of the catalogue that was requested last; safe between threads.

    A change of the catalogue makes a new one, and its lookup is built by anyone who asks first.
    """

    def __init__(self) -> None:
        self._newest: CatalogueLookup | None = None

    def find_lookup(self, catalogue: Catalogue) -> CatalogueLookup:
        """Return the lookup of a catalogue."""
        newest = self._newest
        if newest is None or newest.catalogue is not catalogue:
            newest = self._newest = CatalogueLookup(catalogue)
        return newest


def find_known_rows(catalogue: Catalogue, item_ids: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return the rows of the known items, and the unknown ids, both without repeats and in their order."""
    wanted = dict.fromkeys(item_ids)
    known = {item_id: catalogue.rows[item_id] for item_id in wanted if item_id in catalogue.rows}
    return known, [item_id for item_id in wanted if item_id not in known]


def _fold_text(texts: pl.Series) -> pl.Series:
    """Return texts without case and accents; polars does it without holding up the event loop's thread."""
    plain = texts.str.normalize("NFKD").str.replace_all(r"\p{Mn}", "").str.to_lowercase()
    return plain.str.replace_all(r"\s+", " ")


def summarise_columns(columns: Mapping[str, Column], rows: _Rows, *, values: int) -> list[ColumnSummary]:
    """Describe the columns of a catalogue.

    Args:
        columns: Its columns, each of n cells.
        rows: (r,) rows that have an item.
        values: Values wanted of each, the commonest first.

    Returns:
        One a column that holds anything, in their order.
    """
    found = [
        _summarise_numbers(name, column, rows)
        if isinstance(column, NumberColumn)
        else _summarise_labels(name, column, rows, most=values)
        for name, column in columns.items()
    ]
    return [summary for summary in found if summary.items]


def _summarise_numbers(name: str, column: NumberColumn, rows: _Rows) -> ColumnSummary:
    numbers = column.numbers[rows]  # (r,)
    held = numbers[np.isfinite(numbers)]
    return ColumnSummary(
        name=name,
        kind="number",
        items=len(held),
        distinct=None,
        values=[],
        minimum=float(held.min()) if len(held) else None,
        maximum=float(held.max()) if len(held) else None,
    )


def _summarise_labels(name: str, column: LabelColumn, rows: _Rows, *, most: int) -> ColumnSummary:
    counts = np.bincount(column.codes[rows], minlength=len(column.keys) + 1)  # (c + 1,)
    if column.kind == "list":
        items = {value: int(counts[list(codes)].sum()) for value, codes in column.codes_of.items()}
        distinct = sum(count > 0 for count in items.values())
        common = sorted(items.items(), key=lambda found: -found[1])[:most]
    else:
        # One code a value: a column of a million different texts is not walked through in Python.
        distinct = int(np.count_nonzero(counts[1:]))
        wanted = np.argsort(-counts[1:], kind="stable")[:most] + 1
        names = _name_codes(column, {int(code) for code in wanted})
        common = [(names[int(code)], int(counts[code])) for code in wanted]
    return ColumnSummary(
        name=name,
        kind=column.kind,
        items=int(counts[1:].sum()),
        distinct=distinct,
        values=[CommonValue(value=value, items=count) for value, count in common if count],
        minimum=None,
        maximum=None,
    )


def _name_codes(column: LabelColumn, codes: set[int]) -> dict[int, str | bool]:
    return {code: key for key, code in column.keys.items() if code in codes and not isinstance(key, tuple)}


def answer_search_items(recommender: Recommender, lookups: Lookups, request: SearchItemsRequest) -> SearchItemsResponse:
    """Answer `search_items`."""
    lookup = lookups.find_lookup(recommender.catalogue)
    found = lookup.search(request.query, limit=request.limit)
    return SearchItemsResponse(
        items=[_describe_item(lookup, row) for row in found.rows],
        found=found.count,
        model_version=recommender.version,
    )


def answer_describe_items(
    recommender: Recommender, lookups: Lookups, request: DescribeItemsRequest
) -> DescribeItemsResponse:
    """Answer `describe_items`."""
    lookup = lookups.find_lookup(recommender.catalogue)
    known, unknown = find_known_rows(lookup.catalogue, request.item_ids)
    return DescribeItemsResponse(
        items=[_describe_item(lookup, row) for row in known.values()],
        unknown_items=unknown,
        model_version=recommender.version,
    )


def answer_catalogue(
    recommender: Recommender, lookups: Lookups, request: CatalogueRequest, *, max_k: int
) -> CatalogueResponse:
    """Answer `catalogue`."""
    lookup = lookups.find_lookup(recommender.catalogue)
    return CatalogueResponse(
        items=len(lookup.catalogue),
        columns=summarise_columns(lookup.catalogue.columns, lookup.live_rows, values=request.values),
        max_k=max_k,
        model_version=recommender.version,
    )


def answer_explain(recommender: Recommender, request: ExplainRequest) -> ExplainResponse:
    """Answer `explain`."""
    catalogue = recommender.catalogue
    known, unknown = find_known_rows(catalogue, request.item_ids)
    rows = [catalogue.rows[item_id] for item_id in request.history if item_id in catalogue.rows]
    # What the user tower does not read explains nothing.
    read = rows[-recommender.bundle.towers.settings.max_history :]
    found = find_nearest_items(catalogue, list(known.values()), read, nearest=request.nearest)
    missing = find_known_rows(catalogue, request.history)[1]
    return ExplainResponse(
        explanations=[
            Explanation(
                item_id=item_id,
                nearest=[
                    NearItem(item_id=catalogue.ids[row], title=catalogue.titles[row], similarity=cosine)
                    for row, cosine in near
                ],
            )
            for item_id, near in zip(known, found, strict=True)
        ],
        history_read=len(read),
        unknown_items=list(dict.fromkeys([*missing, *unknown])),
        model_version=recommender.version,
    )


def _describe_item(lookup: CatalogueLookup, row: int) -> DescribedItem:
    catalogue = lookup.catalogue
    return DescribedItem(item_id=catalogue.ids[row], title=catalogue.titles[row], columns=lookup.read_cells(row))
