from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.content.fingerprint import EncoderFingerprint, Keys, compute_content_keys
from learn.content.maintenance import check_store
from learn.content.store import ContentStore, GrowingPart, find_first_keys, list_parts, read_parts
from learn.errors import StorageError, StoreError
from learn.storage.places import open_place
from tests.small_disk import small_disk

PRINT = EncoderFingerprint("tiny/bert", "local", "0" * 64, "mean", 48, "float32", "1")


def keys_of(*numbers: int) -> Keys:
    return compute_content_keys([str(number) for number in numbers], PRINT)


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
        store.read_vectors(keys_of(1, 3))


def test_an_empty_store_misses_everything(tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "none yet")
    assert store.find_missing(keys_of(1, 2)).tolist() == [0, 1]
    assert (len(store), store.dimension) == (0, None)


def test_vectors_come_in_the_order_asked(tmp_path: Path) -> None:
    store = filled(tmp_path, (1, 2, 3), (), (4, 2))
    assert np.array_equal(store.read_vectors(keys_of(4, 1, 1, 3, 2)), vectors_of(4, 1, 1, 3, 2))
    assert store.find_missing(keys_of(5, 2, 6)).tolist() == [0, 2]
    assert (len(store), store.dimension) == (4, 3)


def test_another_writers_parts_are_seen(tmp_path: Path) -> None:
    reader = filled(tmp_path, (1,))
    assert len(reader) == 1
    filled(tmp_path, (2,))
    assert np.array_equal(reader.read_vectors(keys_of(2)), vectors_of(2))


def test_keys_that_end_in_zeros_are_kept_apart(tmp_path: Path) -> None:
    keys = np.array([b"a", b"a\0\0b", b"\0" * 32], dtype="S32")
    store = ContentStore(tmp_path)
    store.write(keys, vectors_of(1, 2, 3))
    assert np.array_equal(ContentStore(tmp_path).read_vectors(keys[::-1]), vectors_of(3, 2, 1))


# Every part is synced to the disk, whose pace is not the test's matter.
@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=6), st.lists(st.integers(0, 40), max_size=20))
def test_a_store_is_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]], asked: list[int]
) -> None:
    store = filled(tmp_path_factory.mktemp("store"), *map(tuple, parts))
    known = {number for part in parts for number in part}
    keys = keys_of(*asked)
    assert store.find_missing(keys).tolist() == [place for place, number in enumerate(asked) if number not in known]
    present = [number for number in asked if number in known]
    if present:
        assert np.array_equal(store.read_vectors(keys_of(*present)), vectors_of(*present))


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_part_that_was_cut_off_is_named(tmp_path: Path, kept: float) -> None:
    store = filled(tmp_path, (1, 2), (3,))
    part = sorted(tmp_path.glob("part-*"))[1]
    data = part.read_bytes()
    part.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(StoreError, match="damaged") as caught:
        ContentStore(tmp_path).find_missing(keys_of(1))
    assert caught.value.where == str(part)
    assert "delete this file" in caught.value.fix
    part.unlink()
    assert store.find_missing(keys_of(1, 3)).tolist() == [1]


@pytest.mark.parametrize("of", ["a vector", "a key"])
def test_a_changed_byte_is_found(tmp_path: Path, of: str) -> None:
    folder = tmp_path / "root" / "encoder"
    filled(folder, (1, 2))
    part = next(folder.glob("part-*"))
    data = bytearray(part.read_bytes())
    place = data.index(vectors_of(2).tobytes() if of == "a vector" else keys_of(2).tobytes())
    data[place + 1] ^= 1
    part.write_bytes(data)
    (found,) = check_store(str(tmp_path / "root"))
    assert [(path, "changed" in what) for path, what in found.damaged] == [(str(part), True)]


def test_widths_do_not_mix(tmp_path: Path) -> None:
    store = filled(tmp_path, (1,))
    store.write(keys_of(2), np.zeros((1, 4), dtype=np.float32))
    with pytest.raises(StoreError, match="different widths"):
        store.find_missing(keys_of(1))


def test_a_full_disk_leaves_no_half_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space is left"):
        filled(tmp_path, (1,))
    assert list(tmp_path.iterdir()) == []


def test_a_store_says_whose_it_is_and_clears_what_a_kill_left(tmp_path: Path) -> None:
    store = ContentStore.create(tmp_path, PRINT)
    left = Path(store.location) / ".part-1.arrow.abc.tmp"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    again = ContentStore.create(tmp_path, PRINT)
    assert Path(again.location).name.startswith("tiny-bert-")
    assert [path.name for path in Path(again.location).iterdir()] == ["encoder.json"]


def test_float16_halves_a_part_and_reads_back_as_float32(tmp_path: Path) -> None:
    halved = replace(PRINT, stored_as="float16")
    assert halved.digest != PRINT.digest
    keys, vectors = keys_of(*range(500)), np.random.default_rng(0).standard_normal((500, 64)).astype(np.float32)
    sizes = []
    for fingerprint in (PRINT, halved):
        store = ContentStore.create(tmp_path, fingerprint)
        store.write(keys, vectors)
        found = store.read_vectors(keys)
        assert np.array_equal(found, vectors.astype(fingerprint.stored_as).astype(np.float32))
        sizes.append(next(Path(store.location).glob("part-*")).stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]
    assert [each.damaged for each in check_store(str(tmp_path))] == [(), ()]


def test_keys_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    keys = np.array([b"12345678" + ending * 24 for ending in (b"a", b"b", b"c", b"d")], dtype="S32")
    store = ContentStore(tmp_path)
    store.write(keys[:2], vectors_of(0, 1))
    store.write(keys[2:3], vectors_of(2))
    assert store.find_missing(keys).tolist() == [3]
    assert np.array_equal(store.read_vectors(keys[[2, 0, 1, 0]]), vectors_of(2, 0, 1, 0))
    assert find_first_keys(keys[[0, 1, 1, 3, 3, 2]]).tolist() == [0, 1, 3, 5]


def test_the_first_part_wins_for_every_reader(tmp_path: Path) -> None:
    store = filled(tmp_path, (1,))
    store.write(keys_of(1), vectors_of(9))
    assert np.array_equal(ContentStore(tmp_path).read_vectors(keys_of(1)), vectors_of(1))


def test_a_search_sees_parts_that_come_and_go(tmp_path: Path) -> None:
    found = filled(tmp_path, (1, 2)).search(keys_of(1, 2, 3))
    assert found.missing.tolist() == [2]
    filled(tmp_path, (3,))
    found.refresh()
    assert found.missing.tolist() == []
    min(tmp_path.glob("part-*")).unlink()
    found.refresh()
    assert found.missing.tolist() == [0, 1]


@pytest.mark.parametrize(("items", "seconds", "sizes"), [(40, 1e6, [40, 40, 20]), (1000, 1e-9, [16] + [1] * 84)])
def test_a_part_closes_by_items_or_by_time(tmp_path: Path, items: int, seconds: float, sizes: list[int]) -> None:
    part = GrowingPart(ContentStore(tmp_path), items=items, seconds=seconds)
    done = 0
    while done < 100:
        taken = range(done, min(100, done + part.count_room()))
        part.add(keys_of(*taken), vectors_of(*taken))
        done = taken.stop
    part.close()
    files = [file.name for file in list_parts(open_place(tmp_path))]
    assert [len(each.keys) for each in read_parts(open_place(tmp_path), files, with_vectors=True)] == sizes


def test_a_disk_that_fills_up_keeps_the_parts_that_fitted(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes=64) as disk:
        store = ContentStore(disk / "store")
        vectors = np.ones((100, 96), dtype=np.float32)
        store.write(keys_of(*range(100)), vectors)
        with pytest.raises(StorageError, match="No space is left"):
            store.write(keys_of(*range(100, 200)), vectors)
        assert len(list((disk / "store").iterdir())) == 1
        assert store.find_missing(keys_of(99, 100)).tolist() == [1]


def test_a_folder_for_reading_only_can_be_read_and_says_so_when_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes=256) as disk:
        ContentStore.create(disk, PRINT).write(keys_of(1), vectors_of(1))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        store = ContentStore.create(disk, PRINT)
        assert np.array_equal(store.read_vectors(keys_of(1)), vectors_of(1))
        with pytest.raises(StorageError, match="read-only"):
            store.write(keys_of(2), vectors_of(2))


WRITER = """
import sys
import numpy as np
from learn.content.store import ContentStore
store, first, count = ContentStore(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
keys, vectors = np.load(sys.argv[4]), np.load(sys.argv[5])
for number in range(first, first + count):
    store.write(keys[number : number + 2], vectors[number : number + 2])
"""


def writer(place: str, scratch: Path, *, first: int, count: int) -> subprocess.Popen[bytes]:
    """A process of its own that writes keys `first` to `first + count` in parts of two."""
    np.save(scratch / "keys.npy", keys_of(*range(30)))
    np.save(scratch / "vectors.npy", vectors_of(*range(30)))
    files = [str(scratch / "keys.npy"), str(scratch / "vectors.npy")]
    return subprocess.Popen([sys.executable, "-c", WRITER, place, str(first), str(count), *files])


def test_several_writers_of_the_same_keys_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "encoder"
    writers = [writer(str(folder), tmp_path, first=first, count=12) for first in (0, 4, 4)]
    everything = tuple(range(17))
    reader = ContentStore(folder).search(keys_of(*everything))
    while len(reader.missing) and any(each.poll() is None for each in writers):
        reader.refresh()
        time.sleep(0.01)
    assert [each.wait(60) for each in writers] == [0, 0, 0]
    assert np.array_equal(ContentStore(folder).read_vectors(keys_of(*everything)), vectors_of(*everything))
    (found,) = check_store(str(tmp_path / "root"))
    assert (found.vectors, found.parts, found.damaged) == (72, 36, ())
