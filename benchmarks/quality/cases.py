"""What models are asked: a public data set under its own split, or under the one that holds items out of training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.quality.datasets import SOURCES, Prepared, made, prepare
from benchmarks.quality.held_out_items import hold_out_items
from learn.config import ContentSettings
from learn.data.histories import Histories

_DRAW_SEED = 0


@dataclass(frozen=True)
class Case:
    """A data set and a split.

    Attributes:
        name: As the jobs are called.
        source: Name of the data set.
        held_out_share: Share of the items held out of training; 0: the data set's own split.
    """

    name: str
    source: str
    held_out_share: float = 0.0

    def inputs(self) -> dict[str, Any]:
        """Return what a result depends on, beside the data set's files."""
        return {"source": self.source, "held_out_share": self.held_out_share, "draw_seed": _DRAW_SEED}


CASES = {
    "scientific": Case("scientific", "scientific"),
    "games": Case("games", "games"),
    "online_retail": Case("online_retail", "online_retail"),
    "scientific_held_out": Case("scientific_held_out", "scientific", held_out_share=0.1),
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
    if not case.held_out_share:
        return prepared
    folder = made(
        prepared.folder / f"held_out-{case.held_out_share:g}-{_DRAW_SEED}",
        lambda path: hold_out_items(prepared.histories, path, share=case.held_out_share, seed=_DRAW_SEED),
    )
    return replace(prepared, histories=Histories.open(folder))
