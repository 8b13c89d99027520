"""Tables written for the tests of reading them."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from learn.config.data import DataSettings
from learn.data.tables import TablesSummary, load_tables
from learn.data.timestamps import read_timestamp_scale
from learn.errors import DataError

ITEMS: list[dict[str, object]] = [{"item_id": "007", "title": "Silver spoon"}, {"item_id": "b", "title": 'Pipe, 12"'}]
INTERACTIONS: list[dict[str, object]] = [
    {"user_id": "01", "item_id": "007", "timestamp": 1_600_000_000},
    {"user_id": "01", "item_id": "b", "timestamp": 1_600_000_060},
    {"user_id": "2", "item_id": "b", "timestamp": 1_600_000_120},
]
Mapped = dict[str, dict[str, str]]


def compressed(data: bytes, ending: str) -> bytes:
    if ending == "gz":
        return gzip.compress(data)
    if ending == "zst":
        return bytes(pa.Codec("zstd").compress(data, asbytes=True))
    return data


def encoded(rows: list[dict[str, object]], ending: str) -> bytes:
    if ending in {"jsonl", "ndjson"}:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    buffer = io.BytesIO()
    frame = pl.DataFrame(rows)
    if ending == "parquet":
        frame.write_parquet(buffer)
    else:
        frame.write_csv(buffer, separator="\t" if ending == "tsv" else ",")
    return buffer.getvalue()


def write(folder: Path, name: str, data: bytes | str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def source_of(folder: Path, *, items: bytes | str | None = None, interactions: bytes | str | None = None) -> Path:
    write(folder, "items.jsonl", encoded(ITEMS, "jsonl") if items is None else items)
    write(folder, "interactions.csv", encoded(INTERACTIONS, "csv") if interactions is None else interactions)
    return folder


def load(source: Path, destination: Path | None = None, *, mapped: Mapped | None = None) -> TablesSummary:
    names = DataSettings.model_validate(mapped or {})
    return load_tables(source, destination or source.parent / "out", settings=names)


def refused(source: Path, *, mapped: Mapped | None = None) -> DataError:
    """Load what must be refused, and check that nothing is left behind."""
    destination = source.parent / "fresh" / "out"
    with pytest.raises(DataError) as caught:
        load(source, destination, mapped=mapped)
    assert not destination.parent.exists()
    assert caught.value.fix
    return caught.value


def times(source: Path) -> list[tuple[float | None, str | None]]:
    """Timestamps in seconds where they are moments, else as they are; and what could not be read."""
    load(source)
    table = source.parent / "out" / "interactions.parquet"
    per_second = read_timestamp_scale(table).per_second
    return [
        (None if ticks is None else ticks / per_second, text)
        for ticks, text in pl.read_parquet(table).select("timestamp", "timestamp_text").iter_rows()
    ]


def interactions_at(values: list[object]) -> str:
    rows = [{"user_id": "u", "item_id": "b", "timestamp": value} for value in values]
    return "".join(json.dumps(row) + "\n" for row in rows)
