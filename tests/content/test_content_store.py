from __future__ import annotations

import errno
import os
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn.content.fingerprint import EncoderFingerprint, Keys, content_keys
from learn.content.store import ContentStore
from learn.errors import StorageError, StoreError

PRINT = EncoderFingerprint("tiny/bert", "local", "0" * 64, "mean", 48, "float32", "1")


def keys_of(*numbers: int) -> Keys:
    return content_keys([str(number) for number in numbers], PRINT)


def vectors_of(*numbers: int) -> npt.NDArray[np.float32]:
    return np.array([[number, number + 0.5, -number] for number in numbers], dtype=np.float32).reshape(-1, 3)


def filled(folder: Path, *parts: tuple[int, ...]) -> ContentStore:
    store = ContentStore(folder)
    for numbers in parts:
        store.write(keys_of(*numbers), vectors_of(*numbers))
    return store


def test_a_missing_key_has_no_vector(tmp_path: Path) -> None:
    store = filled(tmp_path, (1, 2))
    with pytest.raises(StoreError, match="1 of 2 vectors are not in the content store"):
        store.vectors(keys_of(1, 3))


def test_an_empty_store_misses_everything(tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "none yet")
    assert store.missing(keys_of(1, 2)).tolist() == [0, 1]
    assert (len(store), store.dimension) == (0, None)


def test_vectors_come_in_the_order_asked(tmp_path: Path) -> None:
    store = filled(tmp_path, (1, 2, 3), (), (4, 2))
    assert np.array_equal(store.vectors(keys_of(4, 1, 1, 3, 2)), vectors_of(4, 1, 1, 3, 2))
    assert store.missing(keys_of(5, 2, 6)).tolist() == [0, 2]
    assert (len(store), store.dimension) == (4, 3)


def test_another_writers_parts_are_seen(tmp_path: Path) -> None:
    reader = filled(tmp_path, (1,))
    assert len(reader) == 1
    filled(tmp_path, (2,))
    assert np.array_equal(reader.vectors(keys_of(2)), vectors_of(2))


def test_keys_that_end_in_zeros_are_kept_apart(tmp_path: Path) -> None:
    keys = np.array([b"a", b"a\0\0b", b"\0" * 32], dtype="S32")
    store = ContentStore(tmp_path)
    store.write(keys, vectors_of(1, 2, 3))
    assert np.array_equal(ContentStore(tmp_path).vectors(keys[::-1]), vectors_of(3, 2, 1))


@given(st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=6), st.lists(st.integers(0, 40), max_size=20))
def test_a_store_is_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]], asked: list[int]
) -> None:
    store = filled(tmp_path_factory.mktemp("store"), *map(tuple, parts))
    known = {number for part in parts for number in part}
    keys = keys_of(*asked)
    assert store.missing(keys).tolist() == [place for place, number in enumerate(asked) if number not in known]
    present = [number for number in asked if number in known]
    if present:
        assert np.array_equal(store.vectors(keys_of(*present)), vectors_of(*present))


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_part_that_was_cut_off_is_named(tmp_path: Path, kept: float) -> None:
    store = filled(tmp_path, (1, 2), (3,))
    part = sorted(tmp_path.glob("part-*"))[1]
    data = part.read_bytes()
    part.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(StoreError, match="damaged") as caught:
        ContentStore(tmp_path).missing(keys_of(1))
    assert caught.value.where == str(part)
    assert "delete this file" in caught.value.fix
    part.unlink()
    assert store.missing(keys_of(1, 3)).tolist() == [1]


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    filled(tmp_path, (1, 2))
    part = next(tmp_path.glob("part-*"))
    data = bytearray(part.read_bytes())
    place = data.index(vectors_of(2).tobytes())
    data[place + 1] ^= 1
    part.write_bytes(data)
    with pytest.raises(StoreError, match="changed on disk"):
        ContentStore(tmp_path).check()


def test_widths_do_not_mix(tmp_path: Path) -> None:
    store = filled(tmp_path, (1,))
    store.write(keys_of(2), np.zeros((1, 4), dtype=np.float32))
    with pytest.raises(StoreError, match="different widths"):
        store.missing(keys_of(1))


def test_a_full_disk_leaves_no_half_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space is left"):
        filled(tmp_path, (1,))
    assert list(tmp_path.iterdir()) == []


def test_a_store_says_whose_it_is_and_clears_what_a_kill_left(tmp_path: Path) -> None:
    store = ContentStore.for_encoder(tmp_path, PRINT)
    left = Path(store.location) / ".part-1.arrow.abc.tmp"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    again = ContentStore.for_encoder(tmp_path, PRINT)
    assert Path(again.location).name.startswith("tiny-bert-")
    assert [path.name for path in Path(again.location).iterdir()] == ["encoder.json"]


def _write_many(folder: str, first: int) -> None:
    for number in range(first, first + 20):
        filled(Path(folder), (number, number + 1))


def test_several_writers_at_once(tmp_path: Path) -> None:
    context = get_context("spawn")
    writer = context.Process(target=_write_many, args=(str(tmp_path), 0))
    writer.start()
    _write_many(str(tmp_path), 10)
    writer.join(60)
    assert writer.exitcode == 0
    everything = tuple(range(31))
    store = ContentStore(tmp_path)
    assert np.array_equal(store.vectors(keys_of(*everything)), vectors_of(*everything))
    assert store.check() == 31
