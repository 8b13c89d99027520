"""Vectors on disk: one Arrow IPC file, one fixed-size list of float32 a row, memory-mapped when read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_COLUMN = "vector"


def write_vectors(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write (n, d) float32 vectors; the same vectors give the same bytes."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    batch = pa.record_batch([column], names=[_COLUMN])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def read_vectors(path: Path) -> NDArray[np.float32]:
    """Return (n, d) float32 vectors that stay on disk until they are touched; they cannot be written to.

    Raises:
        ValueError: The file holds something else.
    """
    with pa.ipc.open_file(pa.memory_map(str(path))) as reader:
        if reader.num_record_batches != 1 or reader.schema.names != [_COLUMN]:
            raise ValueError(f"{path.name} holds no vectors")
        column = reader.get_batch(0).column(0)
    if not pa.types.is_fixed_size_list(column.type) or not pa.types.is_float32(column.type.value_type):
        raise ValueError(f"{path.name} holds {column.type}, not lists of float32")
    listed = cast("pa.FixedSizeListArray[Any, Any]", column)
    flat = listed.flatten().to_numpy(zero_copy_only=True)
    return cast("NDArray[np.float32]", flat.reshape(len(listed), listed.type.list_size))
