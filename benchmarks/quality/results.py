"""The results of jobs: one JSON file a job, with every user's ranks in a Parquet file beside it."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from learn.data.staging import staged
from learn.errors import DataError


@dataclass(frozen=True)
class Results:
    """All results of a workspace.

    Attributes:
        workspace: Folder of the benchmark.
    """

    workspace: Path

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self.workspace / "results"

    def training(self, key: str) -> Path:
        """Return the folder of a job's checkpoint and weights."""
        return self.workspace / "training" / key

    def has(self, key: str) -> bool:
        """Tell whether a job was done to its end."""
        return self._record(key).is_file()

    def read(self, key: str) -> dict[str, Any]:
        """Return what a job found.

        Raises:
            DataError: There is no such result, or it cannot be read.
        """
        try:
            found: dict[str, Any] = json.loads(self._record(key).read_text(encoding="utf-8"))
        except (OSError, ValueError) as fault:
            raise DataError(f"A result cannot be read: {fault}.", where=self._record(key), fix=_AGAIN) from fault
        return found

    def ranks(self, key: str, *, view: str = "all") -> pl.DataFrame:
        """Return each model's rank of each example's target: part, model, user, target, masked, unmasked, slices.

        Args:
            key: Of the job.
            view: ``all`` items, or the ranking among the ``held_out`` ones.

        Raises:
            DataError: The file is missing or damaged.
        """
        path = self.folder / f"{key}.{view}.parquet"
        try:
            return pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as fault:
            raise DataError(f"Ranks cannot be read: {fault}.", where=path, fix=_AGAIN) from fault

    def write(self, key: str, record: dict[str, Any], ranks: dict[str, pl.DataFrame]) -> None:
        """Keep what a job found; the record comes last, so that a result is whole or not there.

        Raises:
            StorageError: The disk is full or closed.
        """
        names = [f"{key}.{view}.parquet" for view in ranks]
        with staged(self.folder, names=(*names, f"{key}.json")) as stage:
            for name, frame in zip(names, ranks.values(), strict=True):
                frame.write_parquet(stage / name)
            (stage / f"{key}.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def forget(self, key: str) -> None:
        """Remove a job's result and its weights, so that it is done anew."""
        self._record(key).unlink(missing_ok=True)
        shutil.rmtree(self.training(key), ignore_errors=True)

    def earlier(self) -> list[dict[str, Any]]:
        """Return every readable result, whatever it was made with, the oldest first."""
        paths = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        return [self.read(path.stem) for path in paths]

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Wait until no other process works on a job, and keep others out."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _record(self, key: str) -> Path:
        return self.folder / f"{key}.json"


_AGAIN = "repeat the job with --again NAME"
