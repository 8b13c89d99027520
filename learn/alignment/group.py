"""The processes that train together: what each does of a step, and what they tell each other.

One process alone is a group as well: it does everything and tells nobody anything.

Shape legend: n rows of all processes together, m rows of this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

_Told = TypeVar("_Told")


class Group(Protocol):
    """Processes that see the same batches and each do their part of every one.

    Every method but :meth:`part` must be called by all processes, in the same order.
    """

    @property
    def rank(self) -> int:
        """This process's number; 0 measures, decides and writes."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    def part(self, rows: int) -> slice:
        """Return which of so many rows are this process's; none, where there are too few."""

    def gathered(self, own: Tensor, *, rows: int) -> Tensor:
        """Return all processes' parts of something, this one's gradient summed over what all made of it.

        Args:
            own: (m, ...) the rows of :meth:`part`.
            rows: n of all processes.

        Returns:
            (n, ...).
        """

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over all processes into each tensor."""

    def told(self, make: Callable[[], _Told]) -> _Told:
        """Return what process 0 makes; the others make nothing and wait."""


@dataclass(frozen=True)
class Alone:
    """One process."""

    rank: int = 0
    size: int = 1

    def part(self, rows: int) -> slice:
        """All of them."""
        return slice(0, rows)

    def gathered(self, own: Tensor, *, rows: int) -> Tensor:  # noqa: ARG002 - there are no others
        """Its own."""
        return own

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Nothing to add."""

    def told(self, make: Callable[[], _Told]) -> _Told:
        """Its own."""
        return make()


ALONE = Alone()
