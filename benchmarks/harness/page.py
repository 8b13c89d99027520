"""What each part of the benchmark hands to the page.

A part is one module of this package with ``measure(*, data: Path, workspace: Path) -> Part``: ``data`` is the folder of
the public data sets, ``workspace`` one of the part's own, empty or left by an earlier call.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One section of the page.

    Attributes:
        name: Heading of the section.
        figures: Figures for machines, by the name the page's record gives them.
        header: Heads of the table's columns; no table where it is empty.
        rows: Cells of the table as they are printed, one tuple for each line.
        notes: Sentences under the table: how it was measured, what it shows, what was missed.
    """

    name: str
    figures: dict[str, float]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        odd = [row for row in self.rows if len(row) != len(self.header)]
        if odd:
            raise ValueError(f"{len(self.header)} heads, {len(odd[0])} cells: {odd[0]}")
