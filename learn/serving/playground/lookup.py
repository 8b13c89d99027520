"""Finding and describing the items of one catalogue; built when it is first asked for.

Shape legend: n rows of the catalogue, r rows that stand for an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.serving.catalogue import Catalogue
from learn.serving.columns import Cell, LabelColumn, NumberColumn

_BETWEEN = "\n"
_WHOLE = 2.0**53


@dataclass(frozen=True)
class Found:
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

    def search(self, query: str, *, limit: int) -> Found:
        """Find the items whose title or id holds every word of a query, whatever its case and accents.

        The item of that very id comes first, then what begins with the query; the more popular first among equals.
        Without a word, the most popular items are found.

        Args:
            query: Words.
            limit: Items wanted.
        """
        words = sorted(set(_folded(pl.Series([query]))[0].split()), key=len, reverse=True)
        found = self._texts
        # The longest word leaves the fewest, and each further one is looked for in those alone.
        for word in words:
            found = found.filter(pl.col("text").str.contains(word, literal=True))
        if words:
            start = " ".join(_folded(pl.Series([query]))[0].split())
            found = found.with_columns(
                exact=pl.col("id") == start,
                begins=pl.col("id").str.starts_with(start) | pl.col("title").str.starts_with(start),
            ).sort("exact", "begins", descending=True, maintain_order=True)
        return Found(found["row"].head(limit).to_list(), len(found))

    def cells(self, row: int) -> dict[str, str | bool | int | float | list[str]]:
        """Return what one item holds in the columns that can be filtered by."""
        cells = ((name, self._cell(name, row)) for name in self.catalogue.columns)
        return {name: cell for name, cell in cells if cell is not None}

    @cached_property
    def live_rows(self) -> NDArray[np.int64]:
        """(r,) rows that stand for an item, the most popular first."""
        return self.catalogue.popularity_order

    @cached_property
    def _texts(self) -> pl.DataFrame:
        rows = self.live_rows
        ids = _folded(pl.Series(self.catalogue.ids, dtype=pl.String).gather(rows))
        titles = _folded(pl.Series(self.catalogue.titles, dtype=pl.String).gather(rows).fill_null(""))
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

    def _cell(self, name: str, row: int) -> Cell:
        column = self.catalogue.columns[name]
        if isinstance(column, NumberColumn):
            number = float(column.numbers[row])
            if not np.isfinite(number):
                return None
            return int(number) if number.is_integer() and abs(number) < _WHOLE else number
        key = self._labels[name].get(int(column.codes[row]))
        return list(key) if isinstance(key, tuple) else key


class Lookups:
    """Keeps the lookup of the catalogue that was asked for last; safe between threads.

    A change of the catalogue makes a new one, and its lookup is built by whoever asks first.
    """

    def __init__(self) -> None:
        self._newest: CatalogueLookup | None = None

    def of(self, catalogue: Catalogue) -> CatalogueLookup:
        """Return the lookup of a catalogue."""
        newest = self._newest
        if newest is None or newest.catalogue is not catalogue:
            newest = self._newest = CatalogueLookup(catalogue)
        return newest


def known_rows(catalogue: Catalogue, item_ids: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return the rows of the known ones of some items, and the unknown ids; each once, in their order."""
    wanted = dict.fromkeys(item_ids)
    known = {item_id: catalogue.rows[item_id] for item_id in wanted if item_id in catalogue.rows}
    return known, [item_id for item_id in wanted if item_id not in known]


def _folded(texts: pl.Series) -> pl.Series:
    """Return texts without case and accents; polars does it without holding up the event loop's thread."""
    plain = texts.str.normalize("NFKD").str.replace_all(r"\p{Mn}", "").str.to_lowercase()
    return plain.str.replace_all(r"\s+", " ")
