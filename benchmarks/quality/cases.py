"""What models are tested on: a public data set under its own split, or under one that requests only unseen items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.quality.cold_items import ask_for_unseen, hold_out_items
from benchmarks.quality.datasets import SOURCES, Prepared, make_once, prepare
from learn.config import ContentSettings
from learn.data import Histories

_DRAW_SEED = 0


@dataclass(frozen=True)
class Case:
    """A data set and a split.

    Attributes:
        name: As the jobs are called.
        source: Name of the data set.
        held_out_share: Share of the items held out of training, which are the only ones that test requests; 0: none.
        unseen_alone: Test requests only the items that the data set's own split keeps from training.
    """

    name: str
    source: str
    held_out_share: float = 0.0
    unseen_alone: bool = False

    @property
    def cold(self) -> bool:
        """Whether test requests only unseen items."""
        return self.unseen_alone or self.held_out_share > 0

    def list_inputs(self) -> dict[str, Any]:
        """Return what a result depends on, next to the data set's files."""
        found = {"source": self.source, "held_out_share": self.held_out_share, "draw_seed": _DRAW_SEED}
        # Only named if it is so: the other cases keep the keys of their results.
        return found | ({"unseen_alone": True} if self.unseen_alone else {})


CASES = {
    "scientific": Case("scientific", "scientific"),
    "games": Case("games", "games"),
    "online_retail": Case("online_retail", "online_retail"),
    "scientific_held_out": Case("scientific_held_out", "scientific", held_out_share=0.1),
    "online_retail_unseen": Case("online_retail_unseen", "online_retail", unseen_alone=True),
}


def prepare_case(case: Case, *, data: Path, workspace: Path, content: ContentSettings) -> Prepared:
    """Make a case ready; what an earlier call made is taken as it is.

    Args:
        case: Which one.
        data: Folder of the public data sets.
        workspace: Where to keep the result.
        content: How items are encoded.

    Raises:
        LearnError: The data set is not there, cannot be read or cannot be encoded.
    """
    prepared = prepare(SOURCES[case.source], data=data, workspace=workspace, content=content)
    if not case.cold:
        return prepared
    split = "unseen" if case.unseen_alone else f"held_out-{case.held_out_share:g}-{_DRAW_SEED}"
    folder = make_once(prepared.folder / split, lambda path: _write_split(case, prepared.histories, path))
    return replace(prepared, histories=Histories.open(folder))


def _write_split(case: Case, histories: Histories, folder: Path) -> Histories:
    if case.unseen_alone:
        return ask_for_unseen(histories, folder)
    return hold_out_items(histories, folder, share=case.held_out_share, seed=_DRAW_SEED)
