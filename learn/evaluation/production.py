"""The model in production as a row of the table: the same examples, the same code, today's catalogue.

:mod:`learn.registry` decides which model that is, and whether it has seen the answers. Here it only scores.

Shape legend: n items, c content width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from learn.errors import BundleError
from learn.model import Towers, TowerScorer

NAME = "production"
"""Its name in the metrics."""

Standing = Literal["fair", "flattered", "other_data"]
"""Whether a model's figures on test are fair: yes; no, it has seen answers; no, it was made for other data."""


@dataclass(frozen=True)
class ProductionModel:
    """Earlier towers, and which of their rows belong to which item.

    Attributes:
        version: Version of the bundle that they come from.
        towers: The earlier towers.
        rows: Row of their ID table by item id, for the items that they were trained on.
        caveat: Why its figures are not a fair measure, in a sentence; empty if they are.
        standing: Whether those on test are fair.
    """

    version: str
    towers: Towers
    rows: Mapping[str, int]
    caveat: str = ""
    standing: Standing = "fair"

    def build_scorer(self, content: NDArray[np.float32], *, item_ids: Sequence[str]) -> TowerScorer:
        """Return a scorer of the present catalogue; of items that the towers do not know only the text is read.

        Args:
            content: (n, c) float32 content vectors by item index.
            item_ids: Items' ids by item index.

        Raises:
            BundleError: The towers read content vectors of another width.
        """
        if content.shape[1] != self.towers.content_dimension:
            raise BundleError(
                f"The model in production needs content vectors of {self.towers.content_dimension} numbers, but these "
                f"have {content.shape[1]}.",
                where=f"bundle {self.version}",
                fix="give another bundle, or leave out `--production`",
            )
        ids = np.array([self.rows.get(item, -1) for item in item_ids], dtype=np.int64)
        return TowerScorer(self.towers, content=content, ids=ids, name=NAME)

    def record(self, *, item_ids: Sequence[str]) -> ProductionRecord:
        """Return what ``metrics.json`` records about it besides its figures."""
        return ProductionRecord(self.version, sum(item in self.rows for item in item_ids), self.caveat)


@dataclass(frozen=True)
class ProductionRecord:
    """What ``metrics.json`` records about the model in production.

    Attributes:
        version: Version of its bundle.
        known_items: Items of the present catalogue that it was trained on; of the others it reads only the text.
        caveat: As in :class:`ProductionModel`.
    """

    version: str
    known_items: int
    caveat: str
