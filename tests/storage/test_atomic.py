"""Files that appear completely or not at all, also where the process that wrote them was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from learn.storage.atomic import atomic_files, open_working_folder

_KILLED = """
import os, signal, sys
from pathlib import Path
from learn.storage.atomic import atomic_files
with atomic_files(Path(sys.argv[1]), names=("table",)) as stage:
    (stage / "table").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_writer_left_goes_with_the_next_writing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(".unfinished-")
    with atomic_files(tmp_path, names=("table",)) as stage:
        assert names(tmp_path) == [stage.name]
        (stage / "table").write_text("whole", encoding="utf-8")
    assert names(tmp_path) == ["table"]
    assert (tmp_path / "table").read_text(encoding="utf-8") == "whole"


def test_the_named_files_appear_together_and_others_never(tmp_path: Path) -> None:
    with atomic_files(tmp_path / "new", names=("items", "interactions")) as stage:
        for name in ("items", "interactions", "scratch"):
            (stage / name).write_text(name, encoding="utf-8")
        assert names(tmp_path / "new") == [stage.name]
    assert names(tmp_path / "new") == ["interactions", "items"]


def test_after_an_error_everything_is_as_before(tmp_path: Path) -> None:
    (tmp_path / "items").write_text("before", encoding="utf-8")

    def write_half(folder: Path) -> None:
        with atomic_files(folder, names=("items",)) as stage:
            (stage / "items").write_text("half", encoding="utf-8")
            raise KeyError

    for folder in (tmp_path, tmp_path / "new" / "deep"):
        with pytest.raises(KeyError):
            write_half(folder)
    assert names(tmp_path) == ["items"]
    assert (tmp_path / "items").read_text(encoding="utf-8") == "before"


def test_what_somebody_is_writing_stays(tmp_path: Path) -> None:
    ours = tmp_path / f".unfinished-another-machine-{os.getpid()}-x"
    ours.mkdir()
    with (
        open_working_folder(tmp_path, prefix=".unfinished-") as first,
        open_working_folder(tmp_path, prefix=".unfinished-"),
    ):
        assert first.is_dir()
    assert names(tmp_path) == [ours.name]
