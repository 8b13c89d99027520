"""The results of jobs: one JSON file a job, with every user's ranks in a Parquet file next to it.

What the page is made of is kept next to it in the repository as well, without the hours that it took: a figure can be
looked into, a row be compared with a new one user by user, and a missing row be added on another day. Only ranks are
kept, of nameless users in the order of the test examples.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from learn.errors import DataError
from learn.storage import atomic_files


@dataclass(frozen=True)
class Results:
    """All results of a workspace, and those that were kept of others.

    Attributes:
        workspace: Folder of the benchmark.
        kept: Folder of the results that the page was last made of; None: there is none.
    """

    workspace: Path
    kept: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.workspace / "results"

    def find_training(self, key: str) -> Path:
        """Return the folder of a job's checkpoint and weights."""
        return self.workspace / "training" / key

    def has(self, key: str) -> bool:
        """Return whether a job was finished."""
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

    def read_ranks(self, key: str, *, view: str = "all") -> pl.DataFrame:
        """Return each model's rank of each example's target: part, model, masked, unmasked and the slices.

        A kept result has only the test part; a result of the workspace holds validation, users and targets as well.

        Args:
            key: Of the job.
            view: ``all`` items, or the ranking ``among_unseen`` ones.

        Raises:
            DataError: The file is missing or damaged.
        """
        path = self._name_file(f"{key}.{view}.parquet")
        try:
            # Figures of ranks of 32 bits would be of 32 bits, too.
            return pl.read_parquet(path).with_columns(pl.col("masked", "unmasked").cast(pl.Float64))
        except (OSError, pl.exceptions.PolarsError) as fault:
            raise DataError(f"Ranks cannot be read: {fault}.", where=path, fix=_AGAIN) from fault

    def write(self, key: str, record: dict[str, Any], ranks: dict[str, pl.DataFrame]) -> None:
        """Keep what a job found; the record comes last, so that a result is whole or not there.

        Raises:
            StorageError: The disk is full or not writable.
        """
        names = [f"{key}.{view}.parquet" for view in ranks]
        with atomic_files(self.folder, names=(*names, f"{key}.json")) as stage:
            for name, frame in zip(names, ranks.values(), strict=True):
                frame.write_parquet(stage / name)
            (stage / f"{key}.json").write_text(_format_json(record), encoding="utf-8")

    def forget(self, key: str) -> None:
        """Remove a job's result and its weights, so that it is done again."""
        for folder in self._folders:
            (folder / f"{key}.json").unlink(missing_ok=True)
        shutil.rmtree(self.find_training(key), ignore_errors=True)

    def list_earlier(self) -> list[dict[str, Any]]:
        """Return every readable result, whatever it was made with, the oldest first."""
        keys = {path.stem for folder in self._folders for path in folder.glob("*.json")}
        return sorted(map(self.read, keys), key=lambda record: str(record["finished"]))

    def keep(self, keys: Collection[str]) -> None:
        """Keep what a page was made of, and nothing else; without a folder for it do nothing.

        Args:
            keys: Of the page's jobs.

        Raises:
            DataError: A result is damaged.
            StorageError: The disk is full or not writable.
        """
        if self.kept is None:
            return
        fresh = [key for key in keys if (self.folder / f"{key}.json").is_file()]
        ranks = {path.name: key for key in fresh for path in self.folder.glob(f"{key}.*.parquet")}
        with atomic_files(self.kept, names=(*ranks, *(f"{key}.json" for key in fresh))) as stage:
            for name, key in ranks.items():
                frame = self.read_ranks(key, view=name.split(".")[1]).filter(pl.col("part") == "test")
                # Ranks are halves at the finest, and few: 32 bits hold them exactly.
                lean = frame.drop("user", "target").with_columns(pl.col("masked", "unmasked").cast(pl.Float32))
                lean.write_parquet(stage / name, compression="zstd", compression_level=_SMALLEST)
            for key in fresh:
                (stage / f"{key}.json").write_text(_format_json(_drop_details(self.read(key))), encoding="utf-8")
        for path in self.kept.iterdir():
            if path.name.split(".")[0] not in keys:
                path.unlink()

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Wait until no other process works on a job, and keep others out."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def _folders(self) -> list[Path]:
        return [self.folder] if self.kept is None else [self.folder, self.kept]

    def _name_file(self, name: str) -> Path:
        return next((folder / name for folder in self._folders if (folder / name).is_file()), self.folder / name)

    def _record(self, key: str) -> Path:
        return self._name_file(f"{key}.json")


def _drop_details(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what nothing but the ranks is needed for."""
    lean = {name: value for name, value in record.items() if not name.startswith("metrics")}
    if "metrics" in record:
        lean["metrics"] = {part: record["metrics"][part] for part in ("validation", "test")}
    return lean


def _format_json(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


_AGAIN = "repeat the job with --again NAME"
# Of zstd: it is written once and kept for good.
_SMALLEST = 19
