"""Transfer a run's files between machines that share no disk.

Each file is cut into pieces that are stored under their hash. A piece that another step or run has too is stored and
sent once, and a reader gets exactly the bytes that were uploaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import pyarrow as pa

from learn.errors import StorageError, explain_storage_faults
from learn.storage.atomic import atomic_files
from learn.storage.places import Place, open_place

# The memory that a transfer needs for each piece; it handles a few pieces at the same time.
_PIECE_BYTES = 64 << 20


@dataclass(frozen=True)
class RunFile:
    """A file of a run.

    Attributes:
        path: Its path, the same on every machine.
        pieces: sha256 of each piece, in order.
    """

    path: Path
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class RunFiles:
    """The remote storage of runs' files between steps.

    Attributes:
        place: A folder that all machines reach.
    """

    place: Place

    @classmethod
    def open(cls, location: str) -> RunFiles:
        """Open the place of a path or URL.

        Raises:
            StoreError: No library is installed that reaches it.
        """
        return cls(open_place(location))

    def leave(self, roots: Iterable[Path], *, known: Iterable[RunFile] = ()) -> tuple[RunFile, ...]:
        """Upload files, and all files below folders.

        Args:
            roots: Files and folders; those that do not exist are skipped.
            known: Files that were uploaded before; no step changes them, so they are not read again.

        Raises:
            StorageError: A file cannot be read.
            StoreError: The place cannot be reached or written.
        """
        held: dict[str, set[str]] = {}
        new = sorted(_list_files(roots) - {file.path for file in known})
        return tuple(RunFile(path, tuple(self._upload_pieces(path, held))) for path in new)

    def _upload_pieces(self, path: Path, held: dict[str, set[str]]) -> Iterator[str]:
        with explain_storage_faults(path), path.open("rb") as file:
            while data := file.read(_PIECE_BYTES):
                piece = hashlib.sha256(data).hexdigest()
                shelf = self.place.open_subfolder(piece[:2])
                there = held.get(piece[:2])
                if there is None:
                    there = held[piece[:2]] = {stored.name for stored in shelf.list_files()}
                if piece not in there:
                    shelf.write(piece, data)
                    there.add(piece)
                yield piece

    def fetch(self, files: Iterable[RunFile], *, roots: Iterable[Path]) -> None:
        """Download the files that are, or are below, one of the roots; files that already have the right bytes stay.

        Raises:
            StorageError: The disk is full or not writable, or a piece is missing or has other bytes.
            StoreError: The place cannot be reached.
        """
        wanted = tuple(roots)
        for file in files:
            if any(file.path.is_relative_to(root) for root in wanted) and not _is_present(file):
                self._fetch(file)

    def _fetch(self, file: RunFile) -> None:
        folder, name = file.path.parent, file.path.name
        with atomic_files(folder, names=(name,)) as stage, (stage / name).open("wb") as written:
            for piece in file.pieces:
                written.write(self._fetch_piece(piece, file.path))

    def _fetch_piece(self, piece: str, path: Path) -> bytes:
        shelf = self.place.open_subfolder(piece[:2])
        try:
            (data,) = shelf.map_files([piece], _check_piece, whole=True)
        except FileNotFoundError:
            data = b""
        if hashlib.sha256(data).hexdigest() != piece:
            raise StorageError(
                f"A piece of {path} is gone, or has other bytes than were left.",
                where=shelf.locate(piece),
                fix="run again from the start: each step leaves its files anew",
            )
        return data


def iterate_paths(value: object) -> Iterator[Path]:
    """Yield every path in a result of a step, however deep in records, lists and dictionaries."""
    if isinstance(value, Path):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from iterate_paths(getattr(value, field.name))
    elif isinstance(value, dict):
        yield from iterate_paths(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from iterate_paths(each)


def merge_files(lists: Iterable[Sequence[RunFile]]) -> tuple[RunFile, ...]:
    """Merge lists of files; for each path the last entry counts."""
    return tuple({file.path: file for files in lists for file in files}.values())


def _check_piece(_: str, source: pa.NativeFile) -> bytes:
    return bytes(source.read())


def _list_files(roots: Iterable[Path]) -> set[Path]:
    found: set[Path] = set()
    for root in roots:
        if root.is_file():
            found.add(root)
        elif root.is_dir():
            found |= {path for path in root.rglob("*") if path.is_file() and not _is_unfinished(path.relative_to(root))}
    return found


def _is_unfinished(path: Path) -> bool:
    return any(part.startswith(".unfinished-") for part in path.parts)


def _is_present(file: RunFile) -> bool:
    try:
        with file.path.open("rb") as opened:
            pieces = tuple(hashlib.sha256(data).hexdigest() for data in iter(lambda: opened.read(_PIECE_BYTES), b""))
    except OSError:
        return False
    return pieces == file.pieces
