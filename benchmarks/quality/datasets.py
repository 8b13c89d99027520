"""The public data sets of the benchmark, made ready: histories and frozen content vectors.

The published splits keep every item and every interaction, so nothing is quarantined here except for the set that is
known to be dirty.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.config import ContentSettings, DataSettings, SplitSettings, ValidationSettings
from learn.content import collect_vectors, encode_shard, plan_extraction
from learn.data import Histories, build_histories, load_tables
from learn.errors import DataError

_FILES = ("items.jsonl.gz", "interactions.tsv.gz")
# What the vectors do not depend on.
_PACE = {"shards", "threads"}


@dataclass(frozen=True)
class Source:
    """A public data set.

    Attributes:
        name: Of its folder.
        split: As published; by date if nothing is published.
        dirty: Its rows are validated first, as a run would do.
    """

    name: str
    split: Literal["by_date", "leave_one_out"]
    dirty: bool = False


SOURCES = {
    "scientific": Source("scientific", "leave_one_out"),
    "games": Source("games", "leave_one_out"),
    "online_retail": Source("online_retail", "by_date", dirty=True),
}


@dataclass(frozen=True)
class Prepared:
    """A data set that models can be fitted on.

    Attributes:
        name: Of the data set.
        folder: Where everything below is.
        histories: The split data.
        content_path: (n, c) float32 content vectors in item order, ``.npy``.
        titles: (n) titles in item order.
    """

    name: str
    folder: Path
    histories: Histories
    content_path: Path
    titles: list[str | None]

    @property
    def content(self) -> NDArray[np.float32]:
        """The content vectors, memory-mapped."""
        vectors: NDArray[np.float32] = np.load(self.content_path, mmap_mode="r")
        return vectors


def hash_data(source: Source, *, data: Path) -> str:
    """Return the sha256 of a data set's files.

    Raises:
        DataError: They are not there.
    """
    digest = hashlib.sha256()
    for name in _FILES:
        try:
            with (data / source.name / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as fault:
            raise DataError(
                f"The public data set `{source.name}` is not there: {fault.strerror}.",
                where=data / source.name / name,
                fix="name the folder that holds it with --data, or in LEARN_REAL_DATA",
            ) from fault
    return digest.hexdigest()


def prepare(source: Source, *, data: Path, workspace: Path, content: ContentSettings | None = None) -> Prepared:
    """Load, split and encode a data set; what an earlier call made of the same files and settings is taken as it is.

    Args:
        source: Which one.
        data: Folder that holds a folder of that name.
        workspace: Where to keep the result.
        content: How items are encoded; None: the defaults.

    Raises:
        DataError: The data set is not there.
        LearnError: The tables cannot be read, or the vectors not be made.
    """
    settings = content or ContentSettings()
    folder = workspace / f"{source.name}-{hash_data(source, data=data)[:12]}"
    tables = make_once(folder / "tables", lambda path: _write_tables(source, data, path))
    split = SplitSettings(method=source.split)
    make_once(folder / "histories", lambda path: build_histories(tables, path, settings=split))
    key = hashlib.sha256(json.dumps(settings.model_dump(mode="json", exclude=_PACE), sort_keys=True).encode())
    vectors = make_once(
        folder / f"content-{key.hexdigest()[:12]}",
        lambda path: _encode(tables, path, store=workspace / "store", settings=settings),
    )
    titles = pl.read_parquet(tables / "items.parquet", columns=["title"])["title"].to_list()
    return Prepared(source.name, folder, Histories.open(folder / "histories"), vectors / "vectors.npy", titles)


def make_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Make a folder, unless an earlier call made it to the end."""
    done = folder / "made"
    if not done.exists():
        make(folder)
        done.touch()
    return folder


def _write_tables(source: Source, data: Path, destination: Path) -> None:
    raw = destination if not source.dirty else destination / "raw"
    load_tables(data / source.name, raw, settings=DataSettings())
    if source.dirty:
        # Here and no earlier: Great Expectations takes seconds to load, and clean sets need it not.
        from learn.data import validate_tables

        validate_tables(raw, destination, report=destination / "validation.html", settings=ValidationSettings())


def _encode(tables: Path, destination: Path, *, store: Path, settings: ContentSettings) -> None:
    folder = destination.with_name(f"{destination.name}-plan")
    plan = plan_extraction(tables / "items.parquet", store=store, settings=settings, folder=folder)
    collect_vectors(plan, [encode_shard(plan, shard) for shard in plan.shards], destination=destination)
