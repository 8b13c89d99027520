"""Content keys between NumPy and Arrow, without a Python object for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from learn.content.fingerprint import Keys

KEY_TYPE: pa.DataType = pa.binary(32)


def key_column(keys: Keys) -> pa.Array[Any]:
    """Arrow column of ``fixed_size_binary[32]`` with these keys."""
    buffer = pa.py_buffer(np.ascontiguousarray(keys, dtype="S32").tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(KEY_TYPE, len(keys), [None, buffer])


def keys_in(column: Any) -> Keys:
    """Keys of an Arrow array of ``fixed_size_binary[32]``, (n,) of ``S32``, a view where Arrow allows it."""
    if not len(column):
        return np.empty(0, dtype="S32")
    whole: Keys = np.frombuffer(column.buffers()[1], dtype="S32")
    return whole[column.offset : column.offset + len(column)]
