"""Parts of the content store: Arrow files of keys and vectors, each with a checksum over both."""

from __future__ import annotations

import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from learn.content.columns import KEY_TYPE, key_column, keys_in
from learn.content.fingerprint import Keys
from learn.content.places import Place, StoredFile
from learn.errors import StoreError

Stored = npt.NDArray[np.float32] | npt.NDArray[np.float16]
StoredAs = Literal["float32", "float16"]

REPAIR = "delete this file: the texts it held are encoded again by the next run"

_CHECKSUM, _WIDTH = b"crc32", b"width"
_ONLY_KEYS = pa.ipc.IpcReadOptions(included_fields=[0])


@dataclass(frozen=True)
class Part:
    """What was read of a part.

    Attributes:
        keys: (n,) of ``S32``.
        vectors: (n, c), as stored; (0, c) where only the keys were asked for.
        width: c.
        checksum: What the file says of itself.
    """

    keys: Keys
    vectors: Stored
    width: int
    checksum: str

    @property
    def whole(self) -> bool:
        """Whether keys and vectors are still what was written."""
        return self.checksum == checksum_of(self.keys, self.vectors)


def part_files(place: Place) -> list[StoredFile]:
    """The parts of a place in the order they were begun."""
    return [file for file in place.files() if file.name.startswith("part-") and file.name.endswith(".arrow")]


def part_name(begun_nanoseconds: int | None = None) -> str:
    """A name no other part has; names sort by the time."""
    stamp = time.time_ns() if begun_nanoseconds is None else begun_nanoseconds
    return f"part-{stamp:020d}-{uuid.uuid4().hex[:12]}.arrow"


def begun_nanoseconds(name: str) -> int:
    """When the vectors in a part were written first."""
    stamp = name.split("-")[1]
    return int(stamp) if stamp.isdigit() else 0


def part_bytes(keys: Keys, vectors: Stored) -> pa.Buffer:
    """A part as the bytes of an Arrow file; float16 vectors stay so, any others are float32."""
    rows: Stored = vectors if vectors.dtype == np.float16 else vectors.astype(np.float32, copy=False)
    vector_column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
    keys_column = key_column(keys)
    fields = [pa.field("key", keys_column.type), pa.field("vector", vector_column.type)]
    schema = pa.schema(fields, metadata={_CHECKSUM: checksum_of(keys, rows), _WIDTH: str(rows.shape[1])})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_arrays([keys_column, vector_column], schema=schema))
    return sink.getvalue()


def read_parts(place: Place, names: Sequence[str], *, with_vectors: bool) -> Iterator[Part]:
    """Parts in the order of the names.

    Args:
        place: Where they lie.
        names: Their files.
        with_vectors: Whether the vectors are wanted too; from afar, only what is wanted is fetched.

    Raises:
        FileNotFoundError: A part is gone.
        StoreError: A part is damaged, or no part at all.
    """

    return place.each(
        names,
        lambda name, source: _read(source, where=place.where(name), with_vectors=with_vectors),
        whole=with_vectors,
    )


def checksum_of(keys: Keys, vectors: Stored) -> str:
    """CRC-32 over the keys and the vectors, 8 hexadecimal digits."""
    own = np.ascontiguousarray(keys, dtype="S32")
    return f"{zlib.crc32(np.ascontiguousarray(vectors).data, zlib.crc32(own.tobytes())):08x}"


def _read(source: pa.NativeFile, *, where: str, with_vectors: bool) -> Part:
    try:
        file = pa.ipc.open_file(source, options=_ONLY_KEYS)
        stated = file.schema.metadata or {}
        # Parts of earlier releases do not state their width; they lie on local disks, where all columns cost no more.
        if with_vectors or _WIDTH not in stated:
            file = pa.ipc.open_file(source)
        table = file.read_all().combine_chunks()
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as fault:
        what = "A part of the content store is damaged (cut off or overwritten)."
        raise StoreError(what, where=where, fix=REPAIR) from fault
    named = {field.name: field.type for field in table.schema}
    vector_type = named.get("vector")
    if named.get("key") != KEY_TYPE or not (vector_type is None or pa.types.is_fixed_size_list(vector_type)):
        raise StoreError("This file is not a part of a content store.", where=where, fix=REPAIR)
    width = int(stated[_WIDTH]) if vector_type is None else int(vector_type.list_size)
    return Part(
        keys=keys_in(table.column("key").chunk(0)) if table.num_rows else np.empty(0, dtype="S32"),
        vectors=_vectors_of(table, width),
        width=width,
        checksum=stated.get(_CHECKSUM, b"").decode(errors="replace"),
    )


def _vectors_of(table: pa.Table, width: int) -> Stored:
    if "vector" not in table.column_names or not table.num_rows:
        return np.empty((0, width), dtype=np.float32)
    column: Any = table.column("vector").chunk(0)
    found: Stored = column.flatten().to_numpy(zero_copy_only=True)
    return found.reshape(-1, width)
