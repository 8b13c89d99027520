from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.content.maintenance import Collected, check_store, collect_garbage, find_records
from learn.content.store import ContentStore
from learn.errors import StoreError
from learn.storage.places import LocalPlace
from tests.content.test_content_store import filled, keys_of, vectors_of

# Older than any part: the clock of a file system may lag a little.
ANY_AGE = -60.0


def recorded(workspace: Path, run: str, *numbers: int) -> Path:
    path = workspace / "runs" / run / "content_plan" / "keys.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, keys_of(*numbers))
    return path


def collected(workspace: Path, *, youngest_seconds: float = ANY_AGE, dry_run: bool = False) -> Collected:
    root = str(workspace / "content")
    (done,) = collect_garbage(root, workspaces=[workspace], youngest_seconds=youngest_seconds, dry_run=dry_run)
    return done


def parts(store: ContentStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(store.location).iterdir()}


def test_what_no_run_needs_goes_and_the_rest_stays(tmp_path: Path) -> None:
    store = filled(tmp_path / "content" / "encoder", (1, 2, 3), (4, 5), (6, 7))
    recorded(tmp_path, "a", 1, 3)
    recorded(tmp_path, "b", 3, 6, 7, 99)
    before = parts(store)
    foreseen = collected(tmp_path, dry_run=True)
    assert parts(store) == before
    assert (foreseen.kept, foreseen.removed, foreseen.parts_before, foreseen.parts_after) == (4, 3, 3, 1)
    done = collected(tmp_path)
    assert (done.kept, done.removed, done.parts_before, done.parts_after) == (4, 3, 3, 1)
    assert np.array_equal(store.read_vectors(keys_of(7, 3, 1, 6)), vectors_of(7, 3, 1, 6))
    assert store.find_missing(keys_of(2, 4, 5)).tolist() == [0, 1, 2]
    assert [len(parts(store)), check_store(str(tmp_path / "content"))[0].damaged] == [1, ()]
    assert collected(tmp_path) == Collected(
        done.folder, kept=4, removed=0, parts_before=1, parts_after=1, freed_bytes=0
    )


def test_what_is_young_stays(tmp_path: Path) -> None:
    store = filled(tmp_path / "content" / "encoder", (1,), (2,))
    recorded(tmp_path, "a", 1)
    before = parts(store)
    done = collected(tmp_path, youngest_seconds=3_600)
    assert (done.kept, done.removed, parts(store)) == (2, 0, before)


def test_a_large_part_that_all_need_is_not_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("learn.content.maintenance._SMALL_BYTES", 10)
    store = filled(tmp_path / "content" / "encoder", (1, 2), (3, 4))
    recorded(tmp_path, "a", 1, 2, 3, 4)
    before = parts(store)
    collected(tmp_path)
    assert parts(store) == before


def test_parts_are_put_together_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path / "content" / "encoder", *[(number,) for number in range(6)])
    monkeypatch.setattr("learn.content.maintenance._MERGED_BYTES", 3 * len(next(iter(parts(store).values()))))
    recorded(tmp_path, "a", *range(6))
    foreseen = collected(tmp_path, dry_run=True)
    assert (collected(tmp_path).parts_after, len(parts(store)), foreseen.parts_after) == (2, 2, 2)
    assert np.array_equal(store.read_vectors(keys_of(*range(6))), vectors_of(*range(6)))


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=6), min_size=1, max_size=5),
    st.lists(st.integers(0, 14), min_size=1, max_size=10),
)
def test_what_is_needed_reads_as_before(
    tmp_path_factory: pytest.TempPathFactory, written: list[list[int]], needed: list[int]
) -> None:
    workspace = tmp_path_factory.mktemp("workspace")
    store = ContentStore(workspace / "content" / "encoder")
    for number, each in enumerate(written):
        # Writers that do not agree: what is read must stay the same all the same.
        store.write(keys_of(*each), vectors_of(*each) + number)
    recorded(workspace, "a", *needed)
    known = sorted({number for each in written for number in each} & set(needed))
    before = store.read_vectors(keys_of(*known))
    done = collected(workspace)
    assert (done.kept, done.removed) == (len(known), sum(map(len, written)) - len(known))
    assert len(store) == len(known)
    assert np.array_equal(store.read_vectors(keys_of(*known)).ravel(), before.ravel())


def test_nothing_goes_when_no_run_or_a_broken_one_is_recorded(tmp_path: Path) -> None:
    store = filled(tmp_path / "content" / "encoder", (1,), (2,))
    before = parts(store)
    with pytest.raises(StoreError, match="No run is recorded"):
        collected(tmp_path)
    recorded(tmp_path, "a", 1).write_bytes(b"\x93NUMPY")
    with pytest.raises(StoreError, match="cannot be read, so nothing was removed"):
        collected(tmp_path)
    assert parts(store) == before


def test_a_damaged_part_is_not_put_together_with_good_ones(tmp_path: Path) -> None:
    store = filled(tmp_path / "content" / "encoder", (1, 2), (3, 4))
    path = sorted(Path(store.location).iterdir())[1]
    data = path.read_bytes()
    path.write_bytes(data.replace(vectors_of(3).tobytes(), vectors_of(8).tobytes()))
    recorded(tmp_path, "a", 1, 3)
    with pytest.raises(StoreError, match="changed on disk") as caught:
        collected(tmp_path)
    assert caught.value.where == str(path)
    assert len(parts(store)) == 2


def test_a_run_that_begins_meanwhile_keeps_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path / "content" / "encoder", (1, 2), (3, 4))
    recorded(tmp_path, "a", 1)
    write = LocalPlace.write

    def begun_meanwhile(self: LocalPlace, name: str, data: bytes) -> None:
        recorded(tmp_path, "b", 2)
        write(self, name, data)

    monkeypatch.setattr(LocalPlace, "write", begun_meanwhile)
    collected(tmp_path)
    assert np.array_equal(store.read_vectors(keys_of(2, 1)), vectors_of(2, 1))


def test_of_a_key_in_two_parts_the_older_vector_is_read_after_the_old_parts_are_joined(tmp_path: Path) -> None:
    store = filled(tmp_path / "content" / "encoder", (1,), (2,))
    for part in Path(store.location).iterdir():
        old = part.with_name(
            part.name.replace(part.name.split("-")[1], f"{int(part.name.split('-')[1]) - 10**13:020d}")
        )
        part.rename(old)
        os.utime(old, (0, 0))
    store.write(keys_of(1), vectors_of(9))
    recorded(tmp_path, "a", 1, 2)
    done = collected(tmp_path, youngest_seconds=600)
    assert (done.parts_before, done.parts_after) == (3, 2)
    assert np.array_equal(store.read_vectors(keys_of(1, 2)), vectors_of(1, 2))


def test_a_reader_goes_on_while_parts_are_put_together(tmp_path: Path) -> None:
    store = filled(tmp_path / "content" / "encoder", (1, 2), (3, 4))
    recorded(tmp_path, "a", 1, 3)
    found = store.search(keys_of(1, 3))
    collected(tmp_path)
    found.refresh()
    assert found.missing.tolist() == []
    assert np.array_equal(store.read_vectors(keys_of(3, 1)), vectors_of(3, 1))


SCRIPT = """
import sys
from pathlib import Path
from learn.content import maintenance
maintenance._MERGED_BYTES = 3_000
workspace = Path(sys.argv[1])
print("begun", flush=True)
maintenance.collect_garbage(str(workspace / "content"), workspaces=[workspace], youngest_seconds=-60, dry_run=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.1])
def test_a_kill_in_the_middle_loses_nothing(tmp_path: Path, seconds: float) -> None:
    store = filled(tmp_path / "content" / "encoder", *[(number, number + 1) for number in range(0, 300, 2)])
    recorded(tmp_path, "a", *range(0, 300, 3))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    needed = tuple(range(0, 300, 3))
    assert np.array_equal(store.read_vectors(keys_of(*needed)), vectors_of(*needed))
    collected(tmp_path)
    assert np.array_equal(store.read_keys(), np.sort(keys_of(*needed)))


def test_a_plan_in_the_making_is_a_record(tmp_path: Path) -> None:
    recorded(tmp_path, "a/.content_plan.abc.tmp", 1)
    recorded(tmp_path, "b", 1)
    assert len(find_records([tmp_path, tmp_path / "none"])) == 2
