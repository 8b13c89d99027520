"""Check a content store, and remove the vectors that no recorded run needs.

A recorded run is a file ``keys.npy`` in a workspace. Every plan writes one before it reads the store, so the
vectors of a running run are recorded too. Parts never change: the vectors to keep are first written into a new
part, then the old one is removed. A kill in between leaves some vectors twice; the next collection removes the copies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from learn.content.extraction import KEYS
from learn.content.fingerprint import Keys
from learn.content.store import (
    ENCODER,
    Stored,
    encode_part,
    find_first_keys,
    list_parts,
    name_part,
    parse_begin_nanoseconds,
    read_key_starts,
    read_parts,
)
from learn.errors import StoreError
from learn.storage import Place, StoredFile, open_place

Advance = Callable[[int], object]
"""Called with the size of each part, in bytes, after it has been read."""


@dataclass(frozen=True)
class EncoderCheck:
    """One encoder's folder of a store.

    Attributes:
        encoder: Name of the encoder, or of the folder if that is not known.
        folder: Path or URL.
        vectors: Vectors in the intact parts; a key that two writers stored counts twice.
        parts: Number of parts, damaged ones included.
        size_bytes: Size of all parts.
        damaged: Paths or URLs of parts that differ from what was written, each with what is wrong.
    """

    encoder: str
    folder: str
    vectors: int
    parts: int
    size_bytes: int
    damaged: tuple[tuple[str, str], ...]


def check_store(root: str, *, advance: Advance = lambda _: None) -> list[EncoderCheck]:
    """Read every byte of a store against its checksums.

    Args:
        root: Root of the content stores, path or URL.
        advance: Called after each part.

    Raises:
        StoreError: There is no store, or it cannot be reached.
    """
    place = open_place(root)
    folders = place.list_folders()
    if not folders:
        raise StoreError(
            "There is no content store.",
            where=place.location,
            fix="give the right place with --store, or train first (`learn train`)",
        )
    return [_check_encoder(place.open_subfolder(name), name, advance) for name in folders]


def measure_bytes(root: str) -> int:
    """Return the size of all parts of a store, in bytes."""
    place = open_place(root)
    return sum(file.size_bytes for name in place.list_folders() for file in list_parts(place.open_subfolder(name)))


def read_encoder_name(place: Place) -> str | None:
    """Read the encoder's description in the folder; None if there is none."""
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        for text in place.map_files([ENCODER], lambda _, source: source.read(), whole=True):
            return str(json.loads(text)["name"])
    return None


def _check_encoder(place: Place, name: str, advance: Advance) -> EncoderCheck:
    vectors, width = 0, None
    damaged: list[tuple[str, str]] = []
    files = list_parts(place)
    for file in files:
        try:
            part = next(iter(read_parts(place, [file.name], with_vectors=True)))
        except FileNotFoundError:
            continue
        except StoreError as fault:
            damaged.append((place.locate(file.name), fault.what))
            continue
        finally:
            advance(file.size_bytes)
        width = part.width if width is None else width
        if not part.whole:
            damaged.append((place.locate(file.name), "It was changed after it was written."))
        elif part.width != width:
            damaged.append(
                (place.locate(file.name), f"Its vectors have {part.width} numbers, those of other parts {width}.")
            )
        else:
            vectors += len(part.keys)
    return EncoderCheck(
        encoder=read_encoder_name(place) or name,
        folder=place.location,
        vectors=vectors,
        parts=len(files),
        size_bytes=sum(file.size_bytes for file in files),
        damaged=tuple(damaged),
    )


_MERGED_BYTES = 128 << 20
_SMALL_BYTES = _MERGED_BYTES // 4

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Collected:
    """What garbage collection did to one encoder's folder, or would do.

    Attributes:
        folder: Path or URL.
        kept: Vectors that stay, including those too young to be checked.
        removed: Vectors that are removed.
        parts_before: Number of parts found.
        parts_after: Number of parts left.
        freed_bytes: Disk space freed.
    """

    folder: str
    kept: int
    removed: int
    parts_before: int
    parts_after: int
    freed_bytes: int


@dataclass(frozen=True)
class _Sorted:
    """Which vectors of the old parts stay.

    Attributes:
        files: Parts old enough to be checked, in order.
        stays: For each, (n,) which of its vectors stay.
        young_parts: Parts too young to be checked.
        young_vectors: Vectors in those parts.
        merged: Groups of positions in ``files``; each group becomes one new part.
        dropped: Positions of the parts that keep no vector.
    """

    files: tuple[StoredFile, ...]
    stays: tuple[Mask, ...]
    young_parts: int
    young_vectors: int
    merged: tuple[tuple[int, ...], ...]
    dropped: tuple[int, ...]

    @property
    def old_vectors(self) -> int:
        """Number of vectors in the checked parts."""
        return sum(map(len, self.stays))

    @property
    def kept(self) -> int:
        """Number of vectors in the checked parts that stay."""
        return sum(int(mask.sum()) for mask in self.stays)


class _NewRunError(Exception):
    """A run was recorded while the vectors to keep were being chosen."""


def collect_garbage(
    root: str, *, workspaces: Sequence[Path], youngest_seconds: float, dry_run: bool
) -> list[Collected]:
    """Remove the vectors that no recorded run needs, and merge small parts.

    It is safe while others read and write, and if it is killed.

    Args:
        root: Root of the content stores, path or URL.
        workspaces: Folders below which runs are recorded: all that use this store.
        youngest_seconds: Parts younger than this are not touched.
        dry_run: Only return what would be done.

    Raises:
        StoreError: There is no store or no recorded run, a part or a record is damaged, or the place cannot be reached.
        StorageError: A disk is full or not writable to this user.
    """
    place = open_place(root)
    folders = place.list_folders()
    if not folders:
        raise StoreError("There is no content store.", where=place.location, fix="give the right place with --store")
    if not find_records(workspaces):
        raise StoreError(
            "No run is recorded there, so every vector would be removed.",
            where=", ".join(map(str, workspaces)),
            fix="give with --runs the workspaces that use this store; to remove the whole store, delete its folder",
        )
    before = time.time() - youngest_seconds
    return [
        _collect_encoder(place.open_subfolder(name), workspaces=workspaces, before=before, dry_run=dry_run)
        for name in folders
    ]


def find_records(workspaces: Sequence[Path]) -> dict[Path, float]:
    """List the key files of the recorded runs, each with the time it was written."""
    found: dict[Path, float] = {}
    for path in (path for folder in workspaces for path in folder.rglob(KEYS)):
        # A finished plan was moved from the folder it was built in.
        try:
            found[path.resolve()] = path.stat().st_mtime
        except FileNotFoundError:
            continue
    return found


def _collect_encoder(place: Place, *, workspaces: Sequence[Path], before: float, dry_run: bool) -> Collected:
    while True:
        records = find_records(workspaces)
        try:
            sorted_out = _sort_out(place, records, before=before)
            if not dry_run:
                _carry_out(place, sorted_out, workspaces=workspaces, records=records)
        except (_NewRunError, FileNotFoundError):
            # A run has begun, or another collection is running: choose again.
            continue
        return _estimate(place, sorted_out)


def _sort_out(place: Place, records: dict[Path, float], *, before: float) -> _Sorted:
    files = list_parts(place)
    old = [file for file in files if max(file.modified_seconds, parse_begin_nanoseconds(file.name) / 1e9) <= before]
    young = [file.name for file in files if file not in old]
    keys = [part.keys.copy() for part in read_parts(place, [file.name for file in old], with_vectors=False)]
    every = np.concatenate([*keys, np.empty(0, dtype="S32")])
    stays = _mark_needed(every, records) & _mark_first(every)
    each = tuple(np.split(stays, np.cumsum([len(part) for part in keys])[:-1])) if keys else ()
    return _Sorted(
        files=tuple(old),
        stays=each,
        young_parts=len(young),
        young_vectors=sum(len(part.keys) for part in read_parts(place, young, with_vectors=False)),
        merged=tuple(_group_parts(old, each)),
        dropped=tuple(number for number, mask in enumerate(each) if not mask.any()),
    )


def _group_parts(files: Sequence[StoredFile], stays: Sequence[Mask]) -> Iterator[tuple[int, ...]]:
    """Group the parts to rewrite: those that lose vectors, and small ones. A part that would not change is left out."""
    group: list[int] = []
    group_bytes = 0
    for number, (file, mask) in enumerate(zip(files, stays, strict=True)):
        if not mask.any() or (mask.all() and file.size_bytes >= _SMALL_BYTES):
            continue
        left_bytes = _count_left_bytes(file, mask)
        if group and group_bytes + left_bytes > _MERGED_BYTES:
            if _is_worthwhile(group, stays):
                yield tuple(group)
            group, group_bytes = [], 0
        group.append(number)
        group_bytes += left_bytes
    if _is_worthwhile(group, stays):
        yield tuple(group)


def _is_worthwhile(group: Sequence[int], stays: Sequence[Mask]) -> bool:
    return len(group) > 1 or any(not stays[number].all() for number in group)


def _count_left_bytes(file: StoredFile, mask: Mask) -> int:
    return int(file.size_bytes * mask.mean())


def _mark_needed(keys: Keys, records: dict[Path, float]) -> Mask:
    """Return (n,) which keys are in a record, by their first 8 bytes, so that a vector is kept if in doubt."""
    starts = read_key_starts(keys)
    order = np.argsort(starts)
    ordered = starts[order]
    needed = np.zeros(len(keys), dtype=np.bool_)
    for path in records:
        wanted = np.sort(read_key_starts(_read_record(path)))
        if len(wanted):
            found = np.minimum(np.searchsorted(wanted, ordered), len(wanted) - 1)
            needed[order] |= wanted[found] == ordered
    return needed


def _read_record(path: Path) -> Keys:
    try:
        keys: Keys = np.load(path, mmap_mode="r")
        return keys if keys.dtype == "S32" else np.empty(0, dtype="S32")
    except FileNotFoundError:
        raise _NewRunError from None
    except (ValueError, OSError, EOFError) as fault:
        raise StoreError(
            "The list of vectors that a run needs cannot be read, so nothing was removed.",
            where=path,
            fix="remove that run's folder if it is no longer needed, then run `learn content gc` again",
        ) from fault


def _mark_first(keys: Keys) -> Mask:
    """Return (n,) which keys occur for the first time."""
    mask = np.zeros(len(keys), dtype=np.bool_)
    mask[find_first_keys(keys)] = True
    return mask


def _carry_out(place: Place, sorted_out: _Sorted, *, workspaces: Sequence[Path], records: dict[Path, float]) -> None:
    def require_unchanged() -> None:
        # Keep everything that a run may have found in the meantime.
        if find_records(workspaces).items() - records.items():
            raise _NewRunError

    for left in place.list_abandoned():
        place.remove(left.name)
    for number in sorted_out.dropped:
        require_unchanged()
        place.remove(sorted_out.files[number].name)
    for group in sorted_out.merged:
        keys, vectors = _join_parts(place, sorted_out, group)
        names = [sorted_out.files[number].name for number in group]
        # It gets the time of its oldest vectors, so that of a key in two parts the same copy stays the first.
        place.write(name_part(parse_begin_nanoseconds(names[0])), encode_part(keys, vectors))
        require_unchanged()
        for name in names:
            place.remove(name)


def _join_parts(place: Place, sorted_out: _Sorted, group: Sequence[int]) -> tuple[Keys, Stored]:
    names = [sorted_out.files[number].name for number in group]
    keys, vectors = [], []
    for number, name, part in zip(group, names, read_parts(place, names, with_vectors=True), strict=True):
        if not part.whole:
            raise _explain_damage(place.locate(name))
        keys.append(part.keys[sorted_out.stays[number]])
        vectors.append(part.vectors[sorted_out.stays[number]])
    return np.concatenate(keys), cast("Stored", np.concatenate(vectors))


def _explain_damage(where: str) -> StoreError:
    return StoreError(
        "A part of the content store was changed on disk.",
        where=where,
        fix="run `learn content check` and follow its advice",
    )


def _estimate(place: Place, sorted_out: _Sorted) -> Collected:
    merged = [number for group in sorted_out.merged for number in group]
    gone = [sorted_out.files[number].size_bytes for number in (*sorted_out.dropped, *merged)]
    left = [_count_left_bytes(sorted_out.files[number], sorted_out.stays[number]) for number in merged]
    before = len(sorted_out.files) + sorted_out.young_parts
    return Collected(
        folder=place.location,
        kept=sorted_out.kept + sorted_out.young_vectors,
        removed=sorted_out.old_vectors - sorted_out.kept,
        parts_before=before,
        parts_after=before - len(gone) + len(sorted_out.merged),
        freed_bytes=sum(gone) - sum(left),
    )
