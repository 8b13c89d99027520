"""Items changed at run time, on disk: one SQLite file, every change whole or not at all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from learn.errors import StoreError, storage_faults
from learn.serving.columns import Cell

FILE = "items.sqlite"

_LAYOUT = 1
_TABLES = """
CREATE TABLE items (item_id TEXT PRIMARY KEY, cells TEXT) STRICT;
CREATE TABLE vectors (
    item_id TEXT NOT NULL, encoder TEXT NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (item_id, encoder)
) STRICT;
"""
_MOVE = "move the file away to start without run-time items, or restore a copy of it"


@dataclass(frozen=True)
class ItemPatch:
    """What was said of one item at run time.

    Attributes:
        item_id: The item.
        cells: Its columns as far as they were named; None: it was deleted.
    """

    item_id: str
    cells: Mapping[str, Cell] | None


@dataclass(frozen=True)
class ReadText:
    """What an encoder read of an item.

    Attributes:
        item_id: The item.
        encoder: Fingerprint of the encoder.
        text: The item's text.
        vector: (c,) float32.
    """

    item_id: str
    encoder: str
    text: str
    vector: NDArray[np.float32]


class ItemStore:
    """The changed items of one service. Not for several threads at once.

    Args:
        folder: Where the file lies; made where it is missing.

    Raises:
        StoreError: The file there is damaged, or another version of LEARN wrote it.
        StorageError: The disk is full or closed.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        with storage_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with self._faults():
            self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            # A commit has reached the disk before the answer leaves.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._open()

    def all_patches(self) -> list[ItemPatch]:
        """Return what is known of every item, in the order of their ids.

        Raises:
            StoreError: The file is damaged.
        """
        with self._faults():
            return _patches(self._connection.execute("SELECT item_id, cells FROM items ORDER BY item_id"))

    def patches(self, item_ids: Iterable[str]) -> list[ItemPatch]:
        """Return what is known of some items, as far as anything is.

        Raises:
            StoreError: The file is damaged.
        """
        with self._faults():
            return _patches(
                self._connection.execute(
                    "SELECT item_id, cells FROM items WHERE item_id IN (SELECT value FROM json_each(?))",
                    (json.dumps(list(item_ids)),),
                )
            )

    def read_texts(self, encoder: str, item_ids: Iterable[str]) -> dict[str, ReadText]:
        """Return what an encoder read of some items, by item id.

        Raises:
            StoreError: The file is damaged.
        """
        with self._faults():
            rows = self._connection.execute(
                "SELECT item_id, text, vector FROM vectors "
                "WHERE encoder = ? AND item_id IN (SELECT value FROM json_each(?))",
                (encoder, json.dumps(list(item_ids))),
            )
            return {
                item_id: ReadText(item_id, encoder, text, np.frombuffer(vector, dtype="<f4").astype(np.float32))
                for item_id, text, vector in rows
            }

    def write(self, patches: Sequence[ItemPatch], texts: Sequence[ReadText]) -> None:
        """Keep some changes, and what was read for them; all of it or, after an error, nothing.

        Raises:
            StoreError: The file is damaged.
            StorageError: The disk is full or closed.
        """
        with self._faults(), self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO items VALUES (?, ?)",
                [
                    (patch.item_id, None if patch.cells is None else json.dumps(dict(patch.cells), allow_nan=False))
                    for patch in patches
                ],
            )
            connection.executemany(
                "DELETE FROM vectors WHERE item_id = ?", [(patch.item_id,) for patch in patches if patch.cells is None]
            )
            connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)",
                [(read.item_id, read.encoder, read.text, read.vector.astype("<f4").tobytes()) for read in texts],
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _open(self) -> None:
        layout = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if layout == _LAYOUT:
            return
        if layout != 0 or self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise StoreError("The file of run-time items has another layout.", where=self._path, fix=_MOVE)
        self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_LAYOUT}; COMMIT;")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as fault:
            raise StoreError(
                f"The file of run-time items cannot be used: {fault}.", where=self._path, fix=_MOVE
            ) from fault


def _patches(rows: Iterable[tuple[str, str | None]]) -> list[ItemPatch]:
    return [ItemPatch(item_id, None if cells is None else json.loads(cells)) for item_id, cells in rows]
