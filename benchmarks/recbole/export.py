"""The split as files that RecBole reads, so that both sides train and are asked on the very same rows.

RecBole would otherwise split by itself. Each training row is a prefix of a user's training history and the item
that came next, which is what RecBole's own augmentation makes of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from benchmarks.recbole.records import PARTS
from learn.data import Examples, Histories
from learn.errors import explain_storage_faults

_HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token\n"

Row = tuple[int, int, int, int]
"""User, where the history begins and ends (exclusive) in ``Histories.items``, and the item that came next."""


def export_split(histories: Histories, folder: Path, *, name: str, max_history: int) -> None:
    """Write a split as RecBole's atomic files, pre-split: ``NAME.train.inter``, ``.valid.inter``, ``.test.inter``.

    Users and items are written by their index. ``NAME.item`` lists the whole catalogue, so that items without an
    interaction are ranked too. Examples without a history are left out: RecBole cannot ask with nothing.

    Args:
        histories: The split data.
        folder: Written into, made if absent.
        name: Of the data set, as RecBole is to know it.
        max_history: Newest items of each history that are written.

    Raises:
        StorageError: The disk is full or not writable.
    """
    rows: dict[str, Iterator[Row]] = {
        "train": _iterate_training_rows(histories),
        "valid": _iterate_example_rows(histories.open_examples("validation")),
        "test": _iterate_example_rows(histories.open_examples("test")),
    }
    with explain_storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            with (folder / f"{name}.{part}.inter").open("w", encoding="ascii") as file:
                _write(file, rows[part], histories, max_history=max_history)
        with (folder / f"{name}.item").open("w", encoding="ascii") as file:
            file.writelines(["item_id:token\n", *(f"{item}\n" for item in range(histories.item_count))])


def _iterate_training_rows(histories: Histories) -> Iterator[Row]:
    for user, (start, stop) in enumerate(zip(histories.offsets[:-1], histories.train_stops, strict=True)):
        for next_item in range(start + 1, stop):
            yield user, start, next_item, histories.items[next_item]


def _iterate_example_rows(examples: Examples) -> Iterator[Row]:
    asked = examples.keep_with_history()
    yield from zip(asked.users, asked.starts, asked.stops, asked.targets, strict=True)


def _write(file: IO[str], rows: Iterable[Row], histories: Histories, *, max_history: int) -> None:
    items = np.asarray(histories.items).astype(str)
    file.write(_HEADER)
    for user, start, stop, target in rows:
        history = " ".join(items[max(start, stop - max_history) : stop])
        file.write(f"{user}\t{history}\t{target}\n")
