"""What a content store holds, and whether every part is still what was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from learn.content.parts import part_files, read_parts
from learn.content.places import Place, place_at
from learn.content.store import ENCODER
from learn.errors import StoreError

Advance = Callable[[int], object]
"""Told of each part's bytes when it has been read."""


@dataclass(frozen=True)
class EncoderCheck:
    """One encoder's folder of a store.

    Attributes:
        encoder: Name of the encoder, or of the folder where that is not known.
        folder: Path or URL.
        vectors: In the parts found good; a key that two writers stored counts twice.
        parts: All of them, the damaged ones too.
        size_bytes: Of all parts.
        damaged: Paths or URLs of parts that are not what was written, each with what is wrong.
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
        advance: Told of progress.

    Raises:
        StoreError: There is no store, or it cannot be reached.
    """
    place = place_at(root)
    folders = place.folders()
    if not folders:
        raise StoreError(
            "There is no content store.",
            where=place.location,
            fix="name the right place by --store, or run the flow first",
        )
    return [_checked(place.within(name), name, advance) for name in folders]


def size_bytes(root: str) -> int:
    """Bytes of all parts of a store."""
    place = place_at(root)
    return sum(file.size_bytes for name in place.folders() for file in part_files(place.within(name)))


def encoder_name(place: Place) -> str | None:
    """What the folder says of its encoder; None where it does not."""
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        for text in place.each([ENCODER], lambda _, source: source.read(), whole=True):
            return str(json.loads(text)["name"])
    return None


def _checked(place: Place, name: str, advance: Advance) -> EncoderCheck:
    vectors, width = 0, None
    damaged: list[tuple[str, str]] = []
    files = part_files(place)
    for file in files:
        try:
            part = next(iter(read_parts(place, [file.name], with_vectors=True)))
        except FileNotFoundError:
            continue
        except StoreError as fault:
            damaged.append((place.where(file.name), fault.what))
            continue
        finally:
            advance(file.size_bytes)
        width = part.width if width is None else width
        if not part.whole:
            damaged.append((place.where(file.name), "It has changed since it was written."))
        elif part.width != width:
            damaged.append((place.where(file.name), f"Its vectors are {part.width} wide, the others' {width}."))
        else:
            vectors += len(part.keys)
    return EncoderCheck(
        encoder=encoder_name(place) or name,
        folder=place.location,
        vectors=vectors,
        parts=len(files),
        size_bytes=sum(file.size_bytes for file in files),
        damaged=tuple(damaged),
    )
