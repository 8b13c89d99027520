"""What either side of the comparison reports, and what the two give together.

Nothing but the standard library is imported here: this is read inside RecBole's environment too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PARTS = ("train", "valid", "test")
"""Names that RecBole knows the parts of a split by."""


@dataclass(frozen=True)
class Epoch:
    """One epoch of training and the validation after it.

    Attributes:
        epoch: Counted from 1.
        training_seconds: Since the validation before it ended, or since training began.
        evaluation_seconds: Of its validation.
        elapsed_seconds: Wall-clock time from the beginning of training to the end of this validation.
        validation_ndcg: NDCG@10 on validation, nothing masked.
    """

    epoch: int
    training_seconds: float
    evaluation_seconds: float
    elapsed_seconds: float
    validation_ndcg: float


@dataclass(frozen=True)
class Side:
    """One side's figures.

    Attributes:
        name: Of the model.
        curve: Every epoch; of towers with channels the last is the kept epoch, tuned.
        test: Metrics on test, by ``masked`` or ``unmasked`` and name; RecBole masks nothing for sequential models.
        test_users: Users ranked in a pass over the test part.
        test_seconds: Of the second of two such passes, metrics included.
        catalogue_seconds: To encode the catalogue before a pass; 0 where the item vectors are a table.
        peak_memory_bytes: Peak memory of the process.
        parameters: Trained numbers.
        settings: What it was trained with.
        versions: Of the libraries that its figures depend on.
    """

    name: str
    curve: tuple[Epoch, ...]
    test: dict[str, dict[str, float]]
    test_users: int
    test_seconds: float
    catalogue_seconds: float
    peak_memory_bytes: int
    parameters: int
    settings: dict[str, Any]
    versions: dict[str, str]

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation NDCG@10, the first of equals."""
        return max(self.curve, key=lambda epoch: (epoch.validation_ndcg, -epoch.epoch))

    @property
    def users_per_second(self) -> float:
        """Users ranked in the full catalogue per second, the catalogue encoded."""
        return self.test_users / self.test_seconds

    @classmethod
    def read(cls, path: Path) -> Side:
        """Read what :meth:`write` wrote.

        Raises:
            OSError: There is no such file.
            ValueError: It is not JSON.
            TypeError: Its fields are not these.
        """
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(**(fields | {"curve": tuple(Epoch(**epoch) for epoch in fields["curve"])}))

    def write(self, path: Path) -> None:
        """Write as JSON, atomically."""
        scratch = path.with_name(f"{path.name}.partial")
        scratch.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        scratch.replace(path)


@dataclass(frozen=True)
class Reached:
    """When a curve first came to a validation NDCG@10.

    Attributes:
        epoch: The epoch.
        elapsed_seconds: From the beginning of training, training and validation.
        training_seconds: The same without any validation.
    """

    epoch: int
    elapsed_seconds: float
    training_seconds: float


def find_reached(curve: Sequence[Epoch], ndcg: float) -> Reached | None:
    """Find the first epoch with at least this validation NDCG@10; None: it was never reached."""
    first = next((epoch for epoch in curve if epoch.validation_ndcg >= ndcg), None)
    return None if first is None else _build_reached(curve, first)


def _build_reached(curve: Sequence[Epoch], last: Epoch) -> Reached:
    training_seconds = sum(epoch.training_seconds for epoch in curve if epoch.epoch <= last.epoch)
    return Reached(last.epoch, last.elapsed_seconds, training_seconds)


@dataclass(frozen=True)
class SideBySide:
    """Both sides on the same data, machine and number of threads; every ratio is ours / RecBole's.

    Attributes:
        data_set: Its name.
        threads: Of each side.
        machine: Processor, cores, memory, system.
        recbole: RecBole's SASRec.
        ours: LEARN's towers.
        target_ndcg: RecBole's best validation NDCG@10, nothing masked.
        recbole_reached: When RecBole came to it.
        ours_reached: When the towers did; None: never.
        time_to_recbole_ratio: Of the elapsed seconds until then; None: the towers never came to it.
        training_time_ratio: The same of only the training seconds.
        evaluation_rate_ratio: Of the users ranked per second.
        memory_ratio: Of the peak memory.
        content_encoding_seconds: The frozen LLM's pass over the catalogue into an empty store, once for all
            trainings and so no part of any figure above; None: not measured.
    """

    data_set: str
    threads: int
    machine: dict[str, str | int | float]
    recbole: Side
    ours: Side
    target_ndcg: float
    recbole_reached: Reached
    ours_reached: Reached | None
    time_to_recbole_ratio: float | None
    training_time_ratio: float | None
    evaluation_rate_ratio: float
    memory_ratio: float
    content_encoding_seconds: float | None


def compare(
    recbole: Side,
    ours: Side,
    *,
    data_set: str,
    threads: int,
    machine: dict[str, str | int | float],
    content_encoding_seconds: float | None,
) -> SideBySide:
    """Set both sides against each other."""
    target = recbole.best.validation_ndcg
    theirs, reached = _build_reached(recbole.curve, recbole.best), find_reached(ours.curve, target)
    return SideBySide(
        data_set=data_set,
        threads=threads,
        machine=machine,
        recbole=recbole,
        ours=ours,
        target_ndcg=target,
        recbole_reached=theirs,
        ours_reached=reached,
        time_to_recbole_ratio=reached.elapsed_seconds / theirs.elapsed_seconds if reached else None,
        training_time_ratio=reached.training_seconds / theirs.training_seconds if reached else None,
        evaluation_rate_ratio=ours.users_per_second / recbole.users_per_second,
        memory_ratio=ours.peak_memory_bytes / recbole.peak_memory_bytes,
        content_encoding_seconds=content_encoding_seconds,
    )
