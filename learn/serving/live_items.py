"""Items that are added, changed and deleted while the service runs.

Each change is written atomically to one SQLite file. New texts are read by the bundle's frozen
encoder, which is loaded when it is first needed.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.content import (
    SEPARATOR,
    EncoderSource,
    ItemPrompt,
    compute_fingerprint,
    join_fields,
    list_arithmetics,
    resolve_settings_encoder,
    split_fields,
)
from learn.errors import EncoderError, RequestError, StoreError, explain_storage_faults
from learn.registry import ITEMS, Bundle
from learn.serving.catalogue import Cell, ItemChange
from learn.serving.recommender import Recommender

if TYPE_CHECKING:
    from learn.content import FrozenEncoder


_ONE_CORE = 1


class TextEncoder:
    """Reads new texts with the encoder of a bundle's content vectors; safe to share between threads.

    Args:
        bundle: The bundle; only its prompt and its encoder are used.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.fingerprint = bundle.manifest.encoder_fingerprint
        self.prompt = ItemPrompt(bundle.manifest.settings.content)
        self._settings = bundle.manifest.settings.content
        # Two threads cannot use a tokenizer at the same time.
        self._reading = threading.RLock()
        self._loaded: FrozenEncoder | None = None

    def encode(self, lines: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors (n, c) of some items' lines as the prompt renders them, or of free texts.

        Raises:
            EncoderError: The bundle's encoder is not on this machine, or another one is in its place.
        """
        with self._reading:
            apart = split_fields(lines, blocks=self.prompt.blocks)
            return join_fields(self._load_encoder().encode(apart), apart, blocks=self.prompt.blocks)

    def load(self) -> None:
        """Load the encoder, if it is not loaded yet.

        Raises:
            EncoderError: As for :meth:`encode`.
        """
        with self._reading:
            self._load_encoder()

    def _load_encoder(self) -> FrozenEncoder:
        if self._loaded is None:
            source, arithmetic = self._check_source()
            from learn.content import load_encoder

            # The other core continues answering.
            self._loaded = load_encoder(self._settings, source=source, threads=_ONE_CORE, arithmetic=arithmetic)
        return self._loaded

    def _check_source(self) -> tuple[EncoderSource, str]:
        source = resolve_settings_encoder(self._settings)
        version = self.prompt.template_version
        for each in list_arithmetics(self._settings):
            found = compute_fingerprint(source, self._settings, template_version=version, arithmetic=each)
            if found.digest == self.fingerprint:
                return source, each
        raise EncoderError(
            f"The encoder `{source.name}` on this machine is not the one that read the bundle's items, so its "
            "vectors cannot be compared with theirs.",
            where=self._settings.encoder,
            fix="install the encoder of the training run, with the same files, or train again with this one",
        )


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
    """A change of one item at run time.

    Attributes:
        item_id: The item.
        cells: The columns that were given; None: it was deleted.
    """

    item_id: str
    cells: Mapping[str, Cell] | None


@dataclass(frozen=True)
class ReadText:
    """An encoder's vector of an item.

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
        folder: Folder of the file; made if it is missing.

    Raises:
        StoreError: The file there is damaged, or another version of LEARN wrote it.
        StorageError: The disk is full or not writable.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        with explain_storage_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with self._explain_faults():
            self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            # A commit is on disk before the answer is sent.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._open()

    def read_all_patches(self) -> list[ItemPatch]:
        """Return the changes of all items, in the order of their ids.

        Raises:
            StoreError: The file is damaged.
        """
        with self._explain_faults():
            return _parse_patches(self._connection.execute("SELECT item_id, cells FROM items ORDER BY item_id"))

    def read_patches(self, item_ids: Iterable[str]) -> list[ItemPatch]:
        """Return the changes of some items; unchanged ones are left out.

        Raises:
            StoreError: The file is damaged.
        """
        with self._explain_faults():
            return _parse_patches(
                self._connection.execute(
                    "SELECT item_id, cells FROM items WHERE item_id IN (SELECT value FROM json_each(?))",
                    (json.dumps(list(item_ids)),),
                )
            )

    def read_texts(self, encoder: str, item_ids: Iterable[str]) -> dict[str, ReadText]:
        """Return an encoder's vectors of some items, by item id.

        Raises:
            StoreError: The file is damaged.
        """
        with self._explain_faults():
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
        """Store some changes and their vectors; after an error nothing is stored.

        Raises:
            StoreError: The file is damaged.
            StorageError: The disk is full or not writable.
        """
        with self._explain_faults(), self._begin_transaction() as connection:
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
            raise StoreError(
                "The file of run-time items has another layout than this version of LEARN.", where=self._path, fix=_MOVE
            )
        self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_LAYOUT}; COMMIT;")

    @contextmanager
    def _begin_transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _explain_faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as fault:
            raise StoreError(
                f"The file of run-time items cannot be used: {fault}.", where=self._path, fix=_MOVE
            ) from fault


def _parse_patches(rows: Iterable[tuple[str, str | None]]) -> list[ItemPatch]:
    return [ItemPatch(item_id, None if cells is None else json.loads(cells)) for item_id, cells in rows]


_OURS = ("item_id", "training_interactions", "recent_interactions")


class LiveItems:
    """Stores run-time items on disk, and keeps every serving recommender up to date; safe between threads.

    A recommender is only weakly referenced, so nobody has to report that a model no longer serves.

    Args:
        store: The file of the items.
    """

    def __init__(self, store: ItemStore) -> None:
        self._store = store
        self._changing, self._finding = threading.Lock(), threading.Lock()
        self._serving: WeakSet[Recommender] = WeakSet()
        self._encoders: WeakKeyDictionary[Recommender, TextEncoder] = WeakKeyDictionary()

    def attach(self, recommender: Recommender) -> None:
        """Give a recommender all run-time items and every later change; to be called before its first request.

        Texts that this bundle's encoder has not read yet are read now.

        Raises:
            EncoderError: A text must be read, and the bundle's encoder is not on this machine.
            StoreError: The file of the items is damaged.
        """
        with self._changing:
            patches = self._store.read_all_patches()
            changes, texts = self._prepare_changes(recommender, patches)
            self._store.write([], texts)
            recommender.change_items(changes)
            self._serving.add(recommender)

    def load_encoder(self, recommender: Recommender) -> None:
        """Load the encoder of a recommender's bundle now, so that the first new item does not wait for it.

        Raises:
            EncoderError: It is not on this machine, or another one is in its place.
        """
        self.find_encoder(recommender).load()

    def find_encoder(self, recommender: Recommender) -> TextEncoder:
        """Return the encoder of a recommender's bundle; bundles of one encoder share it."""
        wanted = recommender.bundle.manifest.encoder_fingerprint
        with self._finding:
            for known in self._encoders.values():
                if known.fingerprint == wanted:
                    return self._encoders.setdefault(recommender, known)
            return self._encoders.setdefault(recommender, TextEncoder(recommender.bundle))

    def upsert(self, patches: Sequence[ItemPatch]) -> None:
        """Add or change items; they are on disk and in every catalogue when it returns.

        Args:
            patches: One per item; columns that are not named stay as they are, None empties a column.

        Raises:
            RequestError: A column cannot have this value, or an item has no text to read.
            EncoderError: The bundle's encoder is not on this machine.
            StoreError: The file of the items is damaged.
            StorageError: The disk is full or not writable.
        """
        with self._changing:
            named = [patch.item_id for patch in patches]
            before = {patch.item_id: patch.cells or {} for patch in self._store.read_patches(named)}
            merged = [
                ItemPatch(patch.item_id, {**before.get(patch.item_id, {}), **(patch.cells or {})}) for patch in patches
            ]
            self._take_up(merged)

    def delete(self, item_ids: Sequence[str]) -> None:
        """Delete items permanently: a later bundle that has them does not bring them back.

        Raises:
            StoreError: The file of the items is damaged.
            StorageError: The disk is full or not writable.
        """
        with self._changing:
            self._take_up([ItemPatch(item_id, None) for item_id in item_ids])

    def _take_up(self, patches: Sequence[ItemPatch]) -> None:
        for recommender in self._serving:
            _check(recommender, patches, self.find_encoder(recommender))
        prepared = [(recommender, *self._prepare_changes(recommender, patches)) for recommender in self._serving]
        self._store.write(patches, [text for _, _, texts in prepared for text in texts])
        for recommender, changes, _ in prepared:
            recommender.change_items(changes)

    def _prepare_changes(
        self, recommender: Recommender, patches: Sequence[ItemPatch]
    ) -> tuple[list[ItemChange], list[ReadText]]:
        """Return the changes of one bundle's catalogue by some patches, and the vectors that were read for them."""
        encoder = self.find_encoder(recommender)
        kept = [patch for patch in patches if patch.cells is not None]
        bundled = _read_bundled_cells(
            recommender.bundle, {patch.item_id for patch in kept} & recommender.catalogue.bundled_rows.keys()
        )
        cells = {patch.item_id: _merge_cells(bundled.get(patch.item_id, {}), patch.cells or {}) for patch in kept}
        texts = {item_id: _render_text(encoder, found) for item_id, found in cells.items()}
        unread = {
            item_id: text
            for item_id, text in texts.items()
            if item_id not in bundled or text != _render_text(encoder, bundled[item_id])
        }
        read, fresh = self._read(encoder, unread)
        changes = [
            ItemChange(patch.item_id, cells.get(patch.item_id)) for patch in patches if patch.item_id not in unread
        ]
        if unread:
            content = np.stack([read[item_id].vector for item_id in unread])
            inputs, vectors = recommender.map_content(content, list(unread))
            changes.extend(
                ItemChange(item_id, cells[item_id], inputs[row], vectors[row]) for row, item_id in enumerate(unread)
            )
        return changes, fresh

    def _read(self, encoder: TextEncoder, texts: Mapping[str, str]) -> tuple[dict[str, ReadText], list[ReadText]]:
        known = {
            item_id: read
            for item_id, read in self._store.read_texts(encoder.fingerprint, texts).items()
            if texts.get(item_id) == read.text
        }
        unread = [item_id for item_id in texts if item_id not in known]
        if not unread:
            return known, []
        vectors = encoder.encode([texts[item_id] for item_id in unread])
        fresh = [
            ReadText(item_id, encoder.fingerprint, texts[item_id], vector)
            for item_id, vector in zip(unread, vectors, strict=True)
        ]
        return {**known, **{read.item_id: read for read in fresh}}, fresh


def _check(recommender: Recommender, patches: Sequence[ItemPatch], encoder: TextEncoder) -> None:
    catalogue = recommender.catalogue
    for place, patch in enumerate(patches):
        where = f"items.{place}"
        for name, cell in (patch.cells or {}).items():
            if name in _OURS:
                raise RequestError(f"The column `{name}` cannot be set.", where=where)
            if name == "title" and not isinstance(cell, str | None):
                raise RequestError("The title must be a text.", where=where)
            column = catalogue.columns.get(name)
            if column is not None and not column.takes(cell):
                raise RequestError(f"The column `{name}` holds values of another kind ({column.kind}).", where=where)
        if patch.cells is None or patch.item_id in catalogue.bundled_rows:
            continue
        if not _render_text(encoder, _merge_cells({}, patch.cells)).strip(SEPARATOR):
            raise RequestError(
                "A new item needs a text for the encoder.",
                where=where,
                fix=f"give it at least one of the columns {', '.join(encoder.prompt.fields)}",
            )


def _read_bundled_cells(bundle: Bundle, item_ids: set[str]) -> dict[str, dict[str, Cell]]:
    """Return the bundle's own columns of some items; read from its file, because answers need few of them."""
    if not item_ids:
        return {}
    found = (
        pl.scan_parquet(bundle.folder / ITEMS, glob=False)
        .filter(pl.col("item_id").is_in(list(item_ids)))
        .drop("training_interactions", "recent_interactions")
        .collect()
    )
    return {str(row.pop("item_id")): row for row in found.iter_rows(named=True)}


def _merge_cells(bundled: Mapping[str, Cell], said: Mapping[str, Cell]) -> dict[str, Cell]:
    return {name: cell for name, cell in {**bundled, **said}.items() if cell is not None}


def _render_text(encoder: TextEncoder, cells: Mapping[str, Cell]) -> str:
    fields = {name: [cell] for name, cell in cells.items() if name in encoder.prompt.fields}
    return encoder.prompt.render(pl.DataFrame(fields))[0] if fields else ""
