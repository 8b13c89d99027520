"""The result of an evaluation and its two files: ``metrics.json`` for readers, and the ranks for the gate."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.data import Part
from learn.errors import DataError
from learn.evaluation.lists import ListFigures
from learn.evaluation.metrics import CURVE_CUTOFFS, Difference, Interval, compute_recall_curve
from learn.evaluation.production import ProductionRecord
from learn.evaluation.ranking import Ranks
from learn.storage import atomic_files

Masking = Literal["masked", "unmasked"]
MASKINGS: tuple[Masking, ...] = ("masked", "unmasked")

_T = TypeVar("_T")
Figures = dict[str, dict[Masking, dict[str, _T]]]
"""Model -> masking -> metric -> figure."""

# More digits would only show the order in which a processor adds.
_DIGITS = 6


@dataclass(frozen=True)
class SliceEvaluation:
    """Figures over some of the examples; NaN where ``count`` is 0."""

    count: int
    metrics: Figures[float]
    intervals: Figures[Interval]


@dataclass(frozen=True)
class PartEvaluation:
    """Figures over one part's examples (E).

    Attributes:
        examples: Number of examples.
        users: (E,) int64 user indices.
        targets: (E,) int32 target items.
        ranks: Model -> ranks of its targets.
        metrics: Means over all examples.
        intervals: Their 95 % intervals.
        slices: Slice -> the same figures over its examples.
        lists: Model -> the figures of its lists.
        differences: Other model -> first model minus it, paired.
    """

    examples: int
    users: NDArray[np.int64]
    targets: NDArray[np.int32]
    ranks: dict[str, Ranks]
    metrics: Figures[float]
    intervals: Figures[Interval]
    slices: dict[str, SliceEvaluation]
    lists: dict[str, ListFigures]
    differences: dict[str, dict[Masking, dict[str, Difference]]]


@dataclass(frozen=True)
class Evaluation:
    """All parts of an evaluation; the same input gives the same bytes in :meth:`to_json`.

    Attributes:
        parts: Part -> its figures.
        production: What the model ``production`` is, if there is one.
    """

    parts: dict[Part, PartEvaluation]
    production: ProductionRecord | None = None

    def find_figure(self, part: Part, model: str, masking: Masking, metric: str) -> float:
        """Look up one figure, e.g. ``figure("test", "towers", "masked", "ndcg@10")``."""
        return self.parts[part].metrics[model][masking][metric]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds: plain dicts, figures rounded to six digits, None for "no example"."""
        found: dict[str, Any] = {part: _to_plain(each.metrics) for part, each in self.parts.items()}
        found["examples"] = {part: each.examples for part, each in self.parts.items()}
        found["intervals"] = {part: _to_plain(each.intervals) for part, each in self.parts.items()}
        found["slices"] = {part: _to_plain(each.slices) for part, each in self.parts.items()}
        found["beyond_accuracy"] = {part: _to_plain(each.lists) for part, each in self.parts.items()}
        found["recall_curves"] = {
            "cutoffs": list(CURVE_CUTOFFS),
            **{part: _compute_recall_curves(each.ranks) for part, each in self.parts.items()},
        }
        found["production"] = _to_plain(self.production)
        found["differences"] = {
            part: {next(iter(each.ranks)): _to_plain(each.differences)} for part, each in self.parts.items()
        }
        return found

    def to_json(self) -> str:
        """Return :meth:`to_dict` as JSON text with sorted keys."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write ``metrics.json`` atomically.

        Raises:
            StorageError: The disk is full or not writable.
        """
        with atomic_files(path.parent, names=(path.name,)) as stage:
            (stage / path.name).write_text(self.to_json(), encoding="utf-8")

    def write_ranks(self, path: Path) -> None:
        """Write every model's ranks as Parquet (part, model, user, target, masked, unmasked), for later paired tests.

        Raises:
            StorageError: The disk is full or not writable.
        """
        frames = [
            pl.DataFrame(
                {
                    "user": each.users,
                    "target": each.targets,
                    "masked": ranks.masked,
                    "unmasked": ranks.unmasked,
                }
            ).select(pl.lit(part).alias("part"), pl.lit(model).alias("model"), pl.all())
            for part, each in self.parts.items()
            for model, ranks in each.ranks.items()
        ]
        with atomic_files(path.parent, names=(path.name,)) as stage:
            pl.concat(frames).write_parquet(stage / path.name)


def read_ranks(path: Path, *, part: Part) -> dict[str, Ranks]:
    """Read the file of :meth:`Evaluation.write_ranks`: model -> ranks, examples in their order.

    Raises:
        DataError: The file is missing or is not a file of ranks.
    """
    try:
        rows = pl.read_parquet(path).filter(pl.col("part") == part)
        return {
            str(model): Ranks(group["masked"].to_numpy(), group["unmasked"].to_numpy())
            for (model,), group in rows.group_by(["model"], maintain_order=True)
        }
    except (OSError, pl.exceptions.PolarsError) as fault:
        raise DataError(f"The file of ranks cannot be read: {fault}.", where=path, fix="evaluate again") from fault


def select_ranks(ranks: Ranks, masking: Masking) -> NDArray[np.float64]:
    """Return (E,) ranks with the history masked, or unmasked."""
    return ranks.masked if masking == "masked" else ranks.unmasked


def _compute_recall_curves(ranks: Mapping[str, Ranks]) -> dict[str, Any]:
    return {
        model: {masking: _to_plain(compute_recall_curve(select_ranks(each, masking))) for masking in MASKINGS}
        for model, each in ranks.items()
    }


def _to_plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return [_to_plain(value.low), _to_plain(value.high)]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _to_plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_to_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    return value
