"""Files of a run through a place that all machines reach."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from learn.errors import StorageError
from learn.storage.run_files import RunFile, RunFiles, iterate_paths, merge_files


@dataclass(frozen=True)
class Summary:
    folder: Path
    rows: int
    inner: tuple[object, ...] = ()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "machine" / "tables"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a" * 100)
    (folder / "deep" / "same.bin").write_bytes(b"a" * 100)
    (folder / "empty").write_bytes(b"")
    (folder / ".unfinished-x").mkdir()
    (folder / ".unfinished-x" / "half").write_bytes(b"h")
    return folder


def stored(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


def test_files_come_back_where_they_lay_and_what_is_twice_is_stored_once(made: Path, tmp_path: Path) -> None:
    files = RunFiles.open(str(tmp_path / "place"))
    left = files.leave([made, made / "a.bin", tmp_path / "never"])
    assert [file.path.relative_to(made).as_posix() for file in left] == ["a.bin", "deep/same.bin", "empty"]
    assert len(stored(tmp_path / "place")) == 1
    shutil.rmtree(made.parent)
    files.fetch(left, roots=[made / "deep"])
    assert not (made / "a.bin").exists()
    files.fetch(left, roots=[made])
    assert (made / "a.bin").read_bytes() == (made / "deep" / "same.bin").read_bytes() == b"a" * 100
    assert (made / "empty").read_bytes() == b""


def test_what_is_there_is_not_fetched_and_what_is_known_not_left_again(made: Path, tmp_path: Path) -> None:
    files = RunFiles.open(str(tmp_path / "place"))
    left = files.leave([made])
    shutil.rmtree(tmp_path / "place")
    files.fetch(left, roots=[made])
    (made / "new").write_bytes(b"n")
    assert [file.path.name for file in files.leave([made], known=left)] == ["new"]


@pytest.mark.parametrize("fault", ["gone", "damaged"])
def test_a_piece_with_other_bytes_is_one_clear_error_and_leaves_nothing(made: Path, tmp_path: Path, fault: str) -> None:
    files = RunFiles.open(str(tmp_path / "place"))
    left = files.leave([made / "a.bin"])
    (piece,) = stored(tmp_path / "place")
    piece.unlink() if fault == "gone" else piece.write_bytes(b"other")
    shutil.rmtree(made.parent)
    with pytest.raises(StorageError, match="gone, or has other bytes"):
        files.fetch(left, roots=[made])
    assert not made.exists()


def test_a_changed_file_is_fetched_anew(made: Path, tmp_path: Path) -> None:
    files = RunFiles.open(str(tmp_path / "place"))
    left = files.leave([made])
    (made / "a.bin").write_bytes(b"b")
    files.fetch(left, roots=[made])
    assert (made / "a.bin").read_bytes() == b"a" * 100


def test_paths_are_found_however_deep_they_are(tmp_path: Path) -> None:
    value = {"one": Summary(tmp_path / "a", 3, (Summary(tmp_path / "b", 1), "text", None)), "two": [tmp_path / "c"]}
    assert [path.name for path in iterate_paths(value)] == ["a", "b", "c"]


def test_of_one_path_the_last_file_counts(tmp_path: Path) -> None:
    old, new = RunFile(tmp_path, ("x",)), RunFile(tmp_path, ("y",))
    assert merge_files([(old,), (new,), ()]) == (new,)
