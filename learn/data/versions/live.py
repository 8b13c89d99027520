"""The live data folder: whether it can be a version, holds still while it is recorded, and is in its version whole."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from dvc_data.hashfile.tree import Tree

from learn.data.formats import has_table_suffix
from learn.data.versions.repository import Repository, find_top
from learn.data.versions.restore import hash_file
from learn.errors import DataError, VersionError

FileStates = Mapping[str, tuple[int, int, int, int]]
"""Name in the folder -> size, times of the last changes of content and entry (ns), and inode."""

_TABLES = ("items", "interactions")
_TICK_SECONDS = 0.05
"""A file system writes down times by the kernel's clock, whose tick is 10 ms at the longest: of two changes within one
tick, one can hide the other."""


def check_folder(folder: Path, live: Path, top: Path) -> None:
    """See that a folder can be a data version.

    Args:
        folder: As it was given, for messages.
        live: The same, resolved.
        top: The repository's top folder.

    Raises:
        DataError: It is a file, empty, or the repository itself; a file cannot be read; a `.dvcignore` is in it.
    """
    if not live.is_dir():
        fix = "give --data the folder that holds the tables"
        raise DataError("This is a file, not a folder of tables.", where=folder, fix=fix)
    if top.is_relative_to(live):
        what = "This folder holds the DVC repository itself, which cannot be a version of its own data."
        raise DataError(what, where=folder, fix="move the tables into a separate folder")
    files = [path for path in live.rglob("*") if not path.is_dir()]
    if not files:
        raise DataError(
            "The data folder is empty.", where=folder, fix="put the tables `items` and `interactions` there"
        )
    for path in files:
        if not path.is_file() or not os.access(path, os.R_OK):
            raise DataError(
                "This file cannot be read.", where=path, fix="correct the link or the permissions, or remove it"
            )
        if path.name == ".dvcignore":
            what = "A `.dvcignore` in the data folder would leave files out of the data version."
            raise DataError(what, where=path, fix="move it to the folder above, or remove it")


def explain_missing_folder(folder: Path) -> DataError:
    """Say that there is no such folder."""
    return DataError("There is no such data folder.", where=folder, fix="give --data the folder of your tables")


def explain_changed(folder: Path, name: str = "") -> VersionError:
    """Say that a folder changed while it was recorded."""
    what = f"`{name}` changed while the data folder was being recorded." if name else "The data folder is changing."
    return VersionError(what, where=folder, fix="wait until the program that writes there has ended, and run again")


def read_states(live: Path) -> FileStates:
    """Note what tells whether a file changes; wait a moment where one was written just now.

    Raises:
        OSError: A file is gone by now.
    """
    states = _read_states(live)
    newest = max((max(changed, entered) for _, changed, entered, _ in states.values()), default=0)
    since = time.time() - newest / 1e9
    if 0 <= since < _TICK_SECONDS:
        time.sleep(_TICK_SECONDS - since)
        return _read_states(live)
    return states


def _read_states(live: Path) -> FileStates:
    found = {}
    for path in live.rglob("*"):
        if not path.is_dir():
            state = path.stat()
            found[path.relative_to(live).as_posix()] = (
                state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino
            )  # fmt: skip
    return found


def refuse_changes(folder: Path, live: Path, before: FileStates, *, tree: Tree | None) -> None:
    """See that a folder is as it was.

    Args:
        folder: As it was given, for messages.
        live: The same, resolved.
        before: What :func:`read_states` noted.
        tree: The version: DVC may have put links to the same bytes in the files' place. None: it has not.

    Raises:
        VersionError: A file changed, came or went.
    """
    try:
        now = _read_states(live)
    except OSError as fault:
        raise explain_changed(folder) from fault
    recorded = {} if tree is None else {"/".join(key): str(oid.value) for key, _, oid in tree}
    for name in sorted({*before, *now}):
        if before.get(name) == now.get(name):
            continue
        if name in before and name in now and _is_link(live / name) and recorded.get(name) == hash_file(live / name):
            continue
        raise explain_changed(folder, name)


def _is_link(path: Path) -> bool:
    return path.is_symlink() or path.stat().st_nlink > 1


def refuse_left_out(repository: Repository, folder: Path, live: Path, tree: Tree) -> None:
    """See that no table of a folder is missing in its version.

    Args:
        repository: The repository, whose `.dvcignore` files may match a table.
        folder: As it was given, for messages.
        live: The same, resolved.
        tree: The version.

    Raises:
        DataError: One is: a pattern of a `.dvcignore` matches it, or it is behind a linked folder.
    """
    recorded = {"/".join(key) for key, _, _ in tree}
    for path in sorted(live.rglob("*")):
        name = path.relative_to(live).as_posix()
        if name in recorded or not _may_be_read(name):
            continue
        if not path.is_dir():
            raise _explain_left_out(repository, path)
        if path.is_symlink():
            what = f"`{name}` is a link to a folder, which DVC does not follow: its files would be in no version."
            raise DataError(
                what, where=folder, fix="put the folder itself there, or give --data the folder it links to"
            )


def _may_be_read(name: str) -> bool:
    """Whether a reader might look at a file: a table next to the others, or something of a table's name."""
    first, *below = name.split("/")
    return first.split(".")[0].lower() in _TABLES or (not below and has_table_suffix(first))


def _explain_left_out(repository: Repository, path: Path) -> DataError:
    found = repository.dvcignore.check_ignore(str(path))
    what = f"DVC leaves the table `{path.name}` out of the data version."
    if not found.match:
        return DataError(what, where=path, fix="see what `dvc add` says of it")
    name, line, pattern = found.pattern_infos[-1].file_info.split(":", 2)
    return DataError(
        f"{what[:-1]}: the pattern `{pattern}` matches it.",
        where=f"{find_top(repository) / name}, line {line}",
        fix=f"take the pattern out, or add the line `!{path.name}` below it",
    )
