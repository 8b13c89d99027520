"""What the parts of the benchmark found; each is kept as JSON, so that parts can be run one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel


class LoadRow(BaseModel):
    """One server under one load."""

    server: str
    connections: int
    requests_per_second: float
    p50_milliseconds: float
    p95_milliseconds: float
    p99_milliseconds: float
    failed: int


class Latency(BaseModel):
    """Rows of the load, and the cost of a list by itself and in a batch."""

    items: int
    seconds: float
    rows: list[LoadRow]
    milliseconds_per_list: dict[int, float]
    """By the size of the batch; 1: as the service answers."""

    def find_row(self, server: str, connections: int) -> LoadRow:
        """Return one row."""
        return next(row for row in self.rows if (row.server, row.connections) == (server, connections))


class Swaps(BaseModel):
    """A load while models are swapped."""

    minutes: float
    swaps: int
    requests: int
    failed: int
    slowest_swap_seconds: float
    p99_milliseconds: float
    memory_bytes: list[int]
    """Of the worker, before each swap."""


class Parity(BaseModel):
    """Served lists next to offline ones."""

    users: int
    identical: int
    tied: int
    different: int


class BadRequests(BaseModel):
    """Generated requests, by what came back."""

    sent: int
    answered_4xx: int
    answered_5xx: int


class Million(BaseModel):
    """A large catalogue, exactly and approximately."""

    items: int
    dimension: int
    exact_p50_milliseconds: float
    exact_p95_milliseconds: float
    ann_p50_milliseconds: float
    ann_p95_milliseconds: float
    ann_recall10: float
    build_seconds: float
    load_seconds: float
    vectors_bytes: int
    index_bytes: int


Part = TypeVar("Part", bound=BaseModel)


def keep(part: BaseModel, folder: Path) -> None:
    """Write what a part found."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{type(part).__name__.lower()}.json").write_text(part.model_dump_json(indent=1), encoding="utf-8")


def read_part(kind: type[Part], folder: Path) -> Part | None:
    """Read what a part found; None if it has not been run."""
    path = folder / f"{kind.__name__.lower()}.json"
    return kind.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None
