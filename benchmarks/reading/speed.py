"""How fast tables are loaded and validated, and in how much memory: now and before, each in its own process."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter

from benchmarks.harness.provenance import ROOT
from benchmarks.house.sources import extract_tree
from benchmarks.reading.outcomes import run_worker
from benchmarks.scale.synthetic_shop import Shop, write_shop

_SMALL_MILLIONS = 5
_ROWS_PER_USER = 50


@dataclass(frozen=True)
class Speed:
    """One measurement.

    Attributes:
        format: How the interactions are written.
        millions: Of interactions.
        version: ``before`` or ``now``.
        seconds: By the clock.
        cpu_seconds: Of the processor, all threads.
        peak_bytes: Most resident memory of the process.
        rows: Of both tables.
    """

    format: str
    millions: int
    version: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    rows: int


def _write_quoted(table: pl.DataFrame, path: Path) -> None:
    table.write_csv(path, quote_style="always")


def _write_packed(table: pl.DataFrame, path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        table.write_csv(file, separator="\t")  # type: ignore[call-overload]  # any file of bytes will do


_FORMATS: dict[str, tuple[str, Callable[[pl.DataFrame, Path], None]]] = {
    "CSV": ("interactions.csv", lambda table, path: table.write_csv(path)),
    "CSV, all quoted": ("interactions.csv", _write_quoted),
    "TSV, gzip": ("interactions.tsv.gz", _write_packed),
    "JSON Lines": ("interactions.jsonl", lambda table, path: table.write_ndjson(path)),
}


def measure_speed(workspace: Path, *, before: str, millions: int) -> None:
    """Load and validate shops with both versions, in turn, and keep the measurements for the page."""
    large = _write_parquet_shop(workspace, millions)
    small = _write_parquet_shop(workspace, min(_SMALL_MILLIONS, millions))
    found: list[Speed] = []
    with tempfile.TemporaryDirectory() as old, tempfile.TemporaryDirectory() as new:
        extract_tree(ROOT, before, Path(old))
        extract_tree(ROOT, None, Path(new))
        trees = {"before": Path(old), "now": Path(new)}
        table = pl.read_parquet(small / "interactions.parquet")
        for turn, (name, (file, write)) in enumerate(_FORMATS.items()):
            shop = workspace / "format"
            shutil.rmtree(shop, ignore_errors=True)
            shop.mkdir(parents=True)
            shutil.copyfile(small / "items.parquet", shop / "items.parquet")
            write(table, shop / file)
            found += _measure(shop, name, min(_SMALL_MILLIONS, millions), trees, workspace, is_reversed=turn % 2 == 1)
        del table
        found += _measure(large, "Parquet", millions, trees, workspace, is_reversed=False)
    (workspace / "speed.json").write_bytes(TypeAdapter(list[Speed]).dump_json(found, indent=1))


def read_speed(workspace: Path) -> list[Speed]:
    """Return the measurements that were kept; none if the part was never measured."""
    path = workspace / "speed.json"
    return TypeAdapter(list[Speed]).validate_json(path.read_bytes()) if path.exists() else []


def _write_parquet_shop(workspace: Path, millions: int) -> Path:
    folder = workspace / f"shop-{millions}"
    if not (folder / "interactions.parquet").exists():
        print(f"Writing a shop of {millions} million interactions", flush=True)
        rows = millions * 10**6
        write_shop(folder, Shop(interactions=rows, users=rows // _ROWS_PER_USER, items=20_000 + rows // 250))
    return folder


def _measure(
    shop: Path, name: str, millions: int, trees: dict[str, Path], workspace: Path, *, is_reversed: bool
) -> list[Speed]:
    found = []
    for version in sorted(trees, reverse=is_reversed):
        print(f"{name}, {millions} million, {version}", flush=True)
        scratch = workspace / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        measured = run_worker(trees[version], "load", str(shop.absolute()), str(scratch.absolute()))
        found.append(Speed(name, millions, version, **measured))
        shutil.rmtree(scratch, ignore_errors=True)
    return found
