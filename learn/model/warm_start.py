"""Warm start: towers that begin from earlier weights (the paper's pre-training and fine-tuning).

Shape legend: n items, w width of the towers' inputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from learn.config import TowerSettings
from learn.errors import BundleError
from learn.model.towers import Towers

_ID_TABLE = "id_table.weight"
# One row per place in the history: the rows that both shapes have are copied, counted from the first row.
_ROWS_BY_PLACE = frozenset({"positions", "recency_weights"})
# Weights are only valid in towers of the same shape, and the adaptor's only after its own whitening. Dropouts,
# `max_history`, `recent_items`, `positions` and `id_embeddings` may differ: they add or leave out whole parts.
_SHAPE = ("item_tower", "dimension", "blocks", "heads", "whitening")
# Computed in closed form from the present data, so there is nothing to copy.
_CHANNELS = ("cooccurrence.", "text.", "repeats.")
_RESTART = "or leave out `--init-from` to train from the start"


@dataclass(frozen=True)
class WarmStart:
    """Weights to start from, and which of their rows belong to which item.

    Attributes:
        parent: Version of the bundle that they come from.
        towers: The earlier towers.
        weights_sha256: Hash of their weights file.
        id_rows: Row of the earlier ID table by item id, for the items that are the same in both data sets.
        temperature: Softmax temperature that the earlier training had learned; None if it learned none.
        same_shop: Whether the earlier data set had the same items. If not, theirs are dropped, and there is more to
            learn.
    """

    parent: str
    towers: Towers
    weights_sha256: str
    id_rows: Mapping[str, int]
    temperature: float | None = None
    same_shop: bool = True

    @property
    def sha256(self) -> str:
        """Return a hash of everything that a training takes from it."""
        taken = [self.weights_sha256, sorted(self.id_rows.items()), self.temperature, self.same_shop]
        return hashlib.sha256(json.dumps(taken).encode()).hexdigest()


def refuse_other_towers(start: WarmStart, settings: TowerSettings, *, content_dimension: int | None = None) -> None:
    """Refuse weights that do not fit the towers to be trained.

    Args:
        start: The earlier weights.
        settings: The towers to be trained.
        content_dimension: Width of the content vectors, if it is already known.

    Raises:
        BundleError: The towers differ in shape; the error names every difference.
    """
    earlier = start.towers
    found = [
        (f"`towers.{name}` is {getattr(settings, name)} here and {getattr(earlier.settings, name)} in the bundle", name)
        for name in _SHAPE
        if getattr(settings, name) != getattr(earlier.settings, name)
    ]
    where = f"bundle {start.parent}"
    if found:
        wanted = ", ".join(f"`towers.{name}` = {getattr(earlier.settings, name)}" for _, name in found)
        raise BundleError(
            f"The weights of `--init-from` do not fit these towers: {', '.join(what for what, _ in found)}.",
            where=where,
            fix=f"set {wanted} as in the bundle, {_RESTART}",
        )
    if content_dimension not in (None, earlier.content_dimension):
        raise BundleError(
            f"The weights of `--init-from` need content vectors of {earlier.content_dimension} numbers, but these have "
            f"{content_dimension}.",
            where=where,
            fix=f"use the encoder that the bundle was trained with, {_RESTART}",
        )


@torch.no_grad()
def start_from(start: WarmStart, towers: Towers, *, item_ids: Sequence[str]) -> int:
    """Copy the earlier weights into new towers, part by part.

    The earlier whitening is copied too, even for other data: the adaptor's weights are coordinates in its basis,
    and after another whitening they would be noise. Of the positions and the weights of the recent items, the part that
    both have is copied, counted from the first; additional rows keep their initial values. A row of the ID table
    follows its item. An item that the earlier towers did not train on starts at zero, where only its text decides, as
    in the earlier towers.

    Args:
        start: The earlier weights.
        towers: New towers; they are changed in place.
        item_ids: The item of each row of their ID table.

    Returns:
        Number of rows of the ID table that were copied.

    Raises:
        BundleError: The towers differ in shape.
    """
    refuse_other_towers(start, towers.settings, content_dimension=towers.content_dimension)
    earlier = start.towers.state_dict()
    carried = 0
    for name, weights in towers.state_dict().items():
        if name == _ID_TABLE:
            carried = _carry_id_rows(weights, earlier.get(name), start.id_rows, item_ids)
        elif name in _ROWS_BY_PLACE and name in earlier:
            common = min(len(weights), len(earlier[name]))
            weights[:common] = earlier[name][:common].to(weights.device)
        elif name in earlier and not name.startswith(_CHANNELS):
            weights.copy_(earlier[name])
    return carried


def _carry_id_rows(table: Tensor, earlier: Tensor | None, rows: Mapping[str, int], item_ids: Sequence[str]) -> int:
    table.zero_()  # (n, w)
    if earlier is None:
        return 0
    known = [(row, rows[item]) for row, item in enumerate(item_ids) if item in rows]
    if known:
        here, there = torch.tensor(known).T
        table[here.to(table.device)] = earlier[there.to(earlier.device)].to(table.device)
    return len(known)
