"""Splits whose test requests items that training never met: drawn ones held out, or what a shop sold first later on.

Shape legend: N interactions, E examples, H unseen items.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn.data import Examples, Histories, Part
from learn.errors import SplitError
from learn.evaluation import Scorer

_COPIED = ("users.parquet", "item_ids.parquet")
_UNSEEN = "unseen"


def hold_out_items(histories: Histories, destination: Path, *, share: float, seed: int) -> Histories:
    """Write a split whose training part holds none of the drawn items, and whose test requests only them.

    Every training interaction with a held-out item is dropped, so no training history holds one either. Validation
    requests only other items: the epoch is chosen without any held-out item. Test histories keep
    their validation item, whatever it is, as a shop would keep it.

    Args:
        histories: A split with each user's last items as examples.
        destination: Folder to write, in the format of :func:`learn.data.splits.build_histories`; what was there is
            replaced.
        share: Of the catalogue that is held out.
        seed: Of the draw.

    Raises:
        SplitError: No test example requests a drawn item.
    """
    count = round(share * histories.item_count)
    held = np.zeros(histories.item_count, dtype=np.bool_)
    held[np.random.default_rng(seed).choice(histories.item_count, size=count, replace=False)] = True
    kept = ~(histories.mark_training() & held[histories.items])  # (N,)
    moved = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])  # (N + 1,): a position's new place
    test = _build_examples(histories, "test", moved, wanted=held)
    if not len(test):
        raise SplitError(
            f"No test example requests one of the {count} held-out items.",
            where=histories.folder,
            fix="hold out a larger share of the items",
        )
    arrays = {
        "offsets": moved[histories.offsets],
        "items": histories.items[kept],
        "timestamps": histories.timestamps[kept],
        "train_stops": moved[histories.train_stops],
        _UNSEEN: np.flatnonzero(held),
    }
    parts = (_build_examples(histories, "validation", moved, wanted=~held), test)
    described = f"{histories.split['described']}; {count} items held out of training, and test asks for them alone"
    meta = {"item_count": histories.item_count, "split": {"method": "held_out_items", "described": described}}
    _write(destination, histories.folder, arrays, parts, meta)
    return Histories.open(destination)


def ask_for_unseen(histories: Histories, destination: Path) -> Histories:
    """Write the same split, but that test asks each user for the first unseen item of their test part.

    Unseen is an item without any training interaction. The history is everything the user took before that moment, of
    the test part too; an item that it holds already is not requested. Training and validation are as they were. A
    split by date requests only a user's first item, whatever it is, which is seldom an unseen one.

    Args:
        histories: A split by date.
        destination: Folder to write, in the format of :func:`learn.data.splits.build_histories`; what was there is
            replaced.

    Raises:
        SplitError: Nobody took an unseen item in the test part.
    """
    unseen = histories.count_popularity() == 0
    whole = histories.open_examples("test")
    stops = np.array([_find_first_unseen(histories, whole, row, unseen) for row in range(len(whole))], dtype=np.int64)
    asked = stops >= 0
    if not asked.any():
        raise SplitError(
            "Nobody took an item in the test part that training does not know.",
            where=histories.folder,
            fix="use a data set that keeps getting new items",
        )
    users, starts = np.asarray(whole.users[asked]), np.asarray(whole.starts[asked])
    test = Examples("test", users, starts, stops[asked], np.asarray(histories.items[stops[asked]]))
    arrays: dict[str, NDArray[np.generic]] = {
        "offsets": histories.offsets,
        "items": histories.items,
        "timestamps": histories.timestamps,
        "train_stops": histories.train_stops,
        _UNSEEN: np.flatnonzero(unseen),
    }
    described = f"{histories.split['described']}; test asks for each user's first unseen item"
    meta = {"item_count": histories.item_count, "split": {"method": "unseen_items", "described": described}}
    _write(destination, histories.folder, arrays, (histories.open_examples("validation"), test), meta)
    return Histories.open(destination)


def _find_first_unseen(histories: Histories, examples: Examples, row: int, unseen: NDArray[np.bool_]) -> int:
    """Return the position of the first unseen item from an example's target on that is new to the user, or -1."""
    begin, end = int(examples.starts[row]), int(histories.offsets[examples.users[row] + 1])
    taken = set(histories.items[begin : examples.stops[row]].tolist())
    for position in range(int(examples.stops[row]), end):
        item = int(histories.items[position])
        if unseen[item] and item not in taken:
            return position
    return -1


def find_unseen_items(folder: Path) -> NDArray[np.int64]:
    """Return (H,) the items without training interactions, as a split of this module was written with."""
    items: NDArray[np.int64] = np.load(folder / f"{_UNSEEN}.npy")
    return items


@dataclass(frozen=True)
class AmongItems:
    """A model that recommends only some of the items: the ranking is among these.

    Attributes:
        scorer: The model.
        items: (H,) item indices.
    """

    scorer: Scorer
    items: Tensor

    @property
    def name(self) -> str:
        """The model's own."""
        return self.scorer.name

    def score(self, histories: Histories, examples: Examples, rows: slice) -> Tensor:
        """See :class:`~learn.evaluation.ranking.Scorer`; -inf for every other item."""
        scores = self.scorer.score(histories, examples, rows)  # (B, N)
        among = torch.full_like(scores, -torch.inf)  # (B, N)
        among[:, self.items] = scores[:, self.items]
        return among


def _build_examples(
    histories: Histories, part: Part, moved: NDArray[np.int64], *, wanted: NDArray[np.bool_]
) -> Examples:
    examples = histories.open_examples(part)
    chosen = wanted[examples.targets]
    starts, stops = moved[examples.starts[chosen]], moved[examples.stops[chosen]]
    return Examples(part, np.asarray(examples.users[chosen]), starts, stops, np.asarray(examples.targets[chosen]))


def _write(
    destination: Path,
    source: Path,
    arrays: dict[str, NDArray[np.generic]],
    parts: tuple[Examples, ...],
    meta: dict[str, object],
) -> None:
    scratch = destination.with_name(f"{destination.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    named = {
        f"{part.name}_{field.name}": getattr(part, field.name)
        for part in parts
        for field in fields(part)
        if field.name != "name"
    }
    for name, array in (arrays | named).items():
        np.save(scratch / f"{name}.npy", array)
    for name in _COPIED:
        shutil.copyfile(source / name, scratch / name)
    (scratch / "histories.json").write_text(json.dumps(meta, indent=2), encoding="utf-8")
    shutil.rmtree(destination, ignore_errors=True)
    scratch.rename(destination)
