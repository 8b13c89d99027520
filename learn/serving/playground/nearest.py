"""Why an item stands in a list: the items of the history that lie nearest to it.

The user tower mixes its whole history into one vector, so no single item of it is the cause. What can be said truly is
which of them the recommended item is most like, by the vectors that recommendations are ranked by.

Shape legend: h items of a history, i items explained, D width of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learn.serving.catalogue import Catalogue

_Rows = NDArray[np.int64]


def nearest_items(
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
    cosines = _units(catalogue, explained) @ _units(catalogue, different).T  # (i, h)
    order = np.argsort(-cosines, axis=1, kind="stable")  # (i, h)
    return [
        [(int(different[place]), float(cosines[at, place])) for place in order[at] if different[place] != row][:nearest]
        for at, row in enumerate(explained)
    ]


def _units(catalogue: Catalogue, rows: _Rows) -> NDArray[np.float32]:
    lengths = np.maximum(catalogue.lengths[rows], np.finfo(np.float32).tiny)
    return (catalogue.vectors.take(rows) / lengths[:, None]).astype(np.float32, copy=False)
