"""Items that come, change and go while the service runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import polars as pl

from learn.content.fields import SEPARATOR
from learn.errors import RequestError
from learn.serving.bundle import ITEMS, Bundle
from learn.serving.catalogue import ItemChange
from learn.serving.columns import Cell
from learn.serving.item_store import ItemPatch, ItemStore, ReadText
from learn.serving.recommender import Recommender
from learn.serving.text_encoder import TextEncoder

_OURS = ("item_id", "training_interactions", "recent_interactions")


class LiveItems:
    """Keeps run-time items on disk, and every recommender that serves up to date with them; safe between threads.

    A recommender is known as long as somebody else holds it: nobody has to say that a model no longer serves.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: ItemStore) -> None:
        self._store = store
        self._changing, self._finding = threading.Lock(), threading.Lock()
        self._serving: WeakSet[Recommender] = WeakSet()
        self._encoders: WeakKeyDictionary[Recommender, TextEncoder] = WeakKeyDictionary()

    def attach(self, recommender: Recommender) -> None:
        """Give a recommender all run-time items, and every later change; before it answers its first request.

        What this bundle's encoder has not read yet is read now.

        Raises:
            EncoderError: Something has to be read, and the bundle's encoder is not on this machine.
            StoreError: The file of the items is damaged.
        """
        with self._changing:
            patches = self._store.all_patches()
            changes, texts = self._prepared(recommender, patches)
            self._store.write([], texts)
            recommender.change_items(changes)
            self._serving.add(recommender)

    def load_encoder(self, recommender: Recommender) -> None:
        """Load the encoder of a recommender's bundle now, so that the first new item need not wait.

        Raises:
            EncoderError: It is not on this machine, or another one is in its place.
        """
        self.encoder_of(recommender).load()

    def encoder_of(self, recommender: Recommender) -> TextEncoder:
        """Return the encoder of a recommender's bundle; bundles of one encoder share it."""
        wanted = recommender.bundle.manifest.encoder_fingerprint
        with self._finding:
            for known in self._encoders.values():
                if known.fingerprint == wanted:
                    return self._encoders.setdefault(recommender, known)
            return self._encoders.setdefault(recommender, TextEncoder(recommender.bundle))

    def upsert(self, patches: Sequence[ItemPatch]) -> None:
        """Add items, or change those that are there; they are on disk and in every catalogue when it returns.

        Args:
            patches: One an item; columns that it does not name stay as they are, None empties one.

        Raises:
            RequestError: A column cannot be set so, or an item has no text to read.
            EncoderError: The bundle's encoder is not on this machine.
            StoreError: The file of the items is damaged.
            StorageError: The disk is full or closed.
        """
        with self._changing:
            named = [patch.item_id for patch in patches]
            before = {patch.item_id: patch.cells or {} for patch in self._store.patches(named)}
            merged = [
                ItemPatch(patch.item_id, {**before.get(patch.item_id, {}), **(patch.cells or {})}) for patch in patches
            ]
            self._take_up(merged)

    def delete(self, item_ids: Sequence[str]) -> None:
        """Take items out, for good: a later bundle that holds them does not bring them back.

        Raises:
            StoreError: The file of the items is damaged.
            StorageError: The disk is full or closed.
        """
        with self._changing:
            self._take_up([ItemPatch(item_id, None) for item_id in item_ids])

    def _take_up(self, patches: Sequence[ItemPatch]) -> None:
        for recommender in self._serving:
            _check(recommender, patches, self.encoder_of(recommender))
        prepared = [(recommender, *self._prepared(recommender, patches)) for recommender in self._serving]
        self._store.write(patches, [text for _, _, texts in prepared for text in texts])
        for recommender, changes, _ in prepared:
            recommender.change_items(changes)

    def _prepared(
        self, recommender: Recommender, patches: Sequence[ItemPatch]
    ) -> tuple[list[ItemChange], list[ReadText]]:
        """Work out what patches mean to one bundle, and what had to be read for it."""
        encoder = self.encoder_of(recommender)
        kept = [patch for patch in patches if patch.cells is not None]
        bundled = _bundled_cells(
            recommender.bundle, {patch.item_id for patch in kept} & recommender.catalogue.bundled_rows.keys()
        )
        cells = {patch.item_id: _merged(bundled.get(patch.item_id, {}), patch.cells or {}) for patch in kept}
        texts = {item_id: _rendered(encoder, found) for item_id, found in cells.items()}
        anew = {
            item_id: text
            for item_id, text in texts.items()
            if item_id not in bundled or text != _rendered(encoder, bundled[item_id])
        }
        read, fresh = self._read(encoder, anew)
        changes = [
            ItemChange(patch.item_id, cells.get(patch.item_id)) for patch in patches if patch.item_id not in anew
        ]
        if anew:
            content = np.stack([read[item_id].vector for item_id in anew])
            inputs, vectors = recommender.map_content(content, list(anew))
            changes.extend(
                ItemChange(item_id, cells[item_id], inputs[row], vectors[row]) for row, item_id in enumerate(anew)
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
                raise RequestError(f"`{name}` is no column to set.", where=where)
            if name == "title" and not isinstance(cell, str | None):
                raise RequestError("The title is a text.", where=where)
            column = catalogue.columns.get(name)
            if column is not None and not column.takes(cell):
                raise RequestError(f"The column `{name}` holds values of another kind ({column.kind}).", where=where)
        if patch.cells is None or patch.item_id in catalogue.bundled_rows:
            continue
        if not _rendered(encoder, _merged({}, patch.cells)).strip(SEPARATOR):
            raise RequestError(
                "An item that is new needs some text to read.",
                where=where,
                fix=f"give it at least one of the columns {', '.join(encoder.prompt.fields)}",
            )


def _bundled_cells(bundle: Bundle, item_ids: set[str]) -> dict[str, dict[str, Cell]]:
    """Return the bundle's own columns of some items; read from its file, since no answer needs most of them."""
    if not item_ids:
        return {}
    found = (
        pl.scan_parquet(bundle.folder / ITEMS, glob=False)
        .filter(pl.col("item_id").is_in(list(item_ids)))
        .drop("training_interactions", "recent_interactions")
        .collect()
    )
    return {str(row.pop("item_id")): row for row in found.iter_rows(named=True)}


def _merged(bundled: Mapping[str, Cell], said: Mapping[str, Cell]) -> dict[str, Cell]:
    return {name: cell for name, cell in {**bundled, **said}.items() if cell is not None}


def _rendered(encoder: TextEncoder, cells: Mapping[str, Cell]) -> str:
    fields = {name: [cell] for name, cell in cells.items() if name in encoder.prompt.fields}
    return encoder.prompt.render(pl.DataFrame(fields))[0] if fields else ""
