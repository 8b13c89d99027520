"""Results read back as rows: a model on a case, all its seeds together, with intervals over users.

A row's figure for a user is the mean over its seeds, so intervals and tests speak of the method, not of one training.

Shape legend: E examples, S seeds, M columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import binomtest

from benchmarks.quality.jobs import Job
from benchmarks.quality.results import Results
from learn.errors import DataError
from learn.evaluation import Difference, Interval, Masking, bootstrap_intervals, compare_gaps, compute_metric

_Floats = NDArray[np.float64]

SAMPLES = 1_000
_SEED = 0
# Columns of the ranks that tell what a model found, not what it was asked.
_FOUND = ("part", "model", "masked", "unmasked")


@dataclass(frozen=True)
class Estimate:
    """A figure of a row.

    Attributes:
        mean: Over users and seeds.
        interval: 95 %, over users.
        seeds: (S) the figure of each seed.
    """

    mean: float
    interval: Interval
    seeds: tuple[float, ...]

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None with fewer than two."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else None


@dataclass(frozen=True)
class Row:
    """One model on one case.

    Attributes:
        case: The case.
        model: Name that code knows it by.
        label: Name for people.
        protocol: By which ranking its epoch was chosen.
        closed_form: Nothing was trained by epochs: there is no seed and no choice of an epoch.
        records: One a seed.
        ranks: (S) of (E rows): test ranks of each seed, examples in one order.
    """

    case: str
    model: str
    label: str
    protocol: Masking
    closed_form: bool
    records: tuple[dict[str, Any], ...]
    ranks: tuple[pl.DataFrame, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were trained; none for a closed form."""
        return () if self.closed_form else tuple(record["job"]["seed"] for record in self.records)

    @property
    def examples(self) -> int:
        """Test examples."""
        return len(self.ranks[0])

    def select_examples(self, slice_name: str | None) -> NDArray[np.bool_]:
        """Return (E,) bool: the examples of a slice; all without a name."""
        if slice_name is None:
            return np.ones(self.examples, dtype=np.bool_)
        return self.ranks[0][slice_name].to_numpy()

    def compute_by_seed(self, masking: Masking, metric: str, *, slice_name: str | None = None) -> _Floats:
        """Return (S, E) float64: the metric of each example under each seed."""
        inside = self.select_examples(slice_name)
        return np.stack([compute_metric(ranks[masking].to_numpy()[inside], metric) for ranks in self.ranks])

    def compute_mean(self, masking: Masking, metric: str, *, slice_name: str | None = None) -> float:
        """Return a figure over users and seeds; NaN where the slice is empty."""
        values = self.compute_by_seed(masking, metric, slice_name=slice_name)
        return float(values.mean()) if values.size else float("nan")

    def select_first_seed(self) -> Row:
        """Return only the row of its first seed."""
        return replace(self, records=self.records[:1], ranks=self.ranks[:1])

    def read_validation(self, masking: Masking, metric: str) -> float:
        """Return a figure on validation, the mean over seeds."""
        name = self.model if self.closed_form else "towers"
        return float(np.mean([record["metrics"]["validation"][name][masking][metric] for record in self.records]))


Estimated = list[tuple[Row, dict[str, Estimate]]]
"""Rows with their figures by name."""


def read_rows(
    planned: Sequence[Job], *, digests: Mapping[str, str], results: Results, case: str, view: str = "all"
) -> list[Row]:
    """Read the rows of a case that have a result, in the order of the plan; a row of several seeds may lack some.

    Args:
        planned: The jobs.
        digests: Hash of each case's files; a case without one has no rows.
        results: Where the results are.
        case: Which case.
        view: The ranking among ``all`` items, or ``among_unseen`` ones.

    Raises:
        DataError: A result is damaged.
    """
    groups: dict[tuple[str, Masking], list[tuple[Job, str]]] = {}
    for job in planned:
        if job.case == case and job.kind != "speed" and case in digests:
            key = job.compute_key(digests[case])
            if results.has(key):
                groups.setdefault((job.row, job.protocol), []).append((job, key))
    return [row for group in groups.values() for row in _iterate_rows(group, results, view)]


def _iterate_rows(group: Sequence[tuple[Job, str]], results: Results, view: str) -> Iterator[Row]:
    job = group[0][0]
    closed_form = job.kind == "baselines"
    frames = [results.read_ranks(key, view=view).filter(pl.col("part") == "test") for _, key in group]
    records = tuple(results.read(key) for _, key in group)
    for model in frames[0]["model"].unique(maintain_order=True):
        ranks = tuple(frame.filter(pl.col("model") == model) for frame in frames)
        if any(not _has_same_examples(each, ranks[0]) for each in ranks):
            raise DataError("The seeds of a row were asked different users.", where=job.name, fix="repeat with --again")
        name, label = (model, spell_out(model)) if closed_form else (job.row, job.label)
        yield Row(job.case, name, label, job.protocol, closed_form, records, ranks)


def _has_same_examples(ranks: pl.DataFrame, others: pl.DataFrame) -> bool:
    # Kept ranks name no users and targets; the slices, which follow from them, are in both.
    shared = [name for name in ranks.columns if name in others.columns and name not in _FOUND]
    return ranks.select(shared).equals(others.select(shared))


def estimate_rows(
    rows: Sequence[Row], masking: Masking, metrics: Sequence[str], *, slice_name: str | None = None
) -> Estimated:
    """Return each row with its figures, all on the same resamples of the users.

    Args:
        rows: Of one case.
        masking: The protocol.
        metrics: Names of the figures.
        slice_name: Only over the examples of this slice.
    """
    if not rows:
        return []
    names = list(enumerate(metrics))
    values = [[row.compute_by_seed(masking, metric, slice_name=slice_name) for metric in metrics] for row in rows]
    columns = np.stack([each.mean(axis=0) for row in values for each in row], axis=1)  # (E, M)
    # A bootstrap of nothing but misses would have no width.
    nothing = compute_exact_interval(0, len(columns)) if len(columns) else Interval(np.nan, np.nan)
    drawn = bootstrap_intervals(columns, samples=SAMPLES, seed=_SEED)
    intervals = (each if column.any() else nothing for each, column in zip(drawn, columns.T, strict=True))
    means = iter(columns.mean(axis=0) if len(columns) else np.full(columns.shape[1], np.nan))
    return [
        (row, {name: Estimate(float(next(means)), next(intervals), _seed_means(each[place])) for place, name in names})
        for row, each in zip(rows, values, strict=True)
    ]


def compute_exact_interval(hits: int, count: int) -> Interval:
    """Return the Clopper-Pearson 95 % interval of a share."""
    found = binomtest(hits, count).proportion_ci(method="exact")
    return Interval(float(found.low), float(found.high))


def compare_rows(row: Row, other: Row, masking: Masking, metric: str) -> Difference:
    """Compare two rows of one case, user by user, each user's metric averaged over the seeds."""
    gaps = row.compute_by_seed(masking, metric).mean(axis=0) - other.compute_by_seed(masking, metric).mean(
        axis=0
    )  # (E,)
    return compare_gaps(gaps[:, None], samples=SAMPLES, seed=_SEED)[0]


def find(rows: Sequence[Row], model: str, protocol: Masking = "masked") -> Row | None:
    """Return the row of a model, or None."""
    return next((row for row in rows if row.model == model and row.protocol == protocol), None)


def spell_out(name: str) -> str:
    """Return a name as it is read."""
    return {"ease": "EASE", "tfidf_neighbours": "TF-IDF neighbours"}.get(name, name.replace("_", " "))


def _seed_means(values: _Floats) -> tuple[float, ...]:
    return tuple(float(each.mean()) if each.size else float("nan") for each in values)
