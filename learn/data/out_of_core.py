"""Split the rows of a table over files, so that each file fits memory and can be sorted or compared by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from learn.data.formats import list_engine_faults, raise_engine_fault
from learn.errors import DataError

BUCKET_ROWS = 4_000_000
"""Rows of a bucket, about: with three numbers a row, a bucket and its sorted copy stay near a fifth of a gigabyte."""


def iterate_buckets(rows: pl.LazyFrame, folder: Path, *, where: Path | str) -> Iterator[tuple[int, pl.DataFrame]]:
    """Share the rows out over files in one streaming pass, then read them back bucket by bucket.

    Args:
        rows: The rows; the integer column ``bucket`` says where each belongs.
        folder: Folder to make the files in; each is removed once it is read, and the folder at the end.
        where: What the rows are read from, for messages.

    Yields:
        Each bucket's number, ascending, and its rows without that column, in any order.

    Raises:
        DataError: The rows cannot be read.
        OSError: The disk is full or not writable.
    """
    try:
        rows.sink_parquet(
            pl.PartitionBy(folder, key="bucket", include_key=False),
            # Written once and read once: speed counts more than size.
            compression="lz4",
            statistics=False,
            maintain_order=False,
            mkdir=True,
            engine="streaming",
        )
    except list_engine_faults() as fault:
        raise_engine_fault(fault, DataError(f"The rows cannot be shared out: {fault}.", where=where))
    for number, path in sorted((int(path.name.partition("=")[2]), path) for path in folder.glob("bucket=*")):
        # No pattern: a folder's own name may hold brackets.
        yield number, pl.concat([pl.read_parquet(file, glob=False) for file in sorted(path.iterdir())])
        shutil.rmtree(path)
    shutil.rmtree(folder, ignore_errors=True)
