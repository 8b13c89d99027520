"""Write files and folders atomically: a reader sees all of one, or nothing."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from learn.errors import explain_storage_faults


@contextmanager
def atomic_files(destination: Path, *, names: tuple[str, ...]) -> Iterator[Path]:
    """Provide a folder to write in, and move the named files into ``destination`` if no error occurs.

    After an error ``destination`` is as before, and folders that were made for it are removed.

    Args:
        destination: Folder that receives the files; it is made if it is missing.
        names: The files to move; all other files are removed.

    Raises:
        StorageError: The disk is full, read-only or closed to this user.
    """
    with explain_storage_faults(destination):
        made = _make(destination)
        try:
            # A sibling of the destination, so that the move never crosses disks.
            with open_working_folder(destination, prefix=".unfinished-") as stage:
                yield stage
                for name in names:
                    (stage / name).replace(destination / name)
        except BaseException:
            for created in made:
                # Another process may have put a file there in the meantime.
                with suppress(OSError):
                    created.rmdir()
            raise


def write_atomic(path: Path, text: str) -> None:
    """Write or replace a text file so that neither a kill nor a power cut leaves half of it.

    Raises:
        StorageError: The disk is full, read-only or closed to this user.
    """
    with (
        atomic_files(path.parent, names=(path.name,)) as stage,
        (stage / path.name).open("w", encoding="utf-8") as file,
    ):
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def open_working_folder(parent: Path, *, prefix: str) -> Iterator[Path]:
    """Provide a folder for unfinished files, and remove it at the end, along with those that killed processes left.

    Only folders of dead processes of this machine are removed: on a shared volume, those of other machines may be
    in use.

    Args:
        parent: Existing folder in which it is made.
        prefix: Prefix of its name.
    """
    own = f"{prefix}{socket.gethostname()}-"
    for left in parent.iterdir():
        if left.name.startswith(own) and not _is_alive(left.name.removeprefix(own).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f"{own}{os.getpid()}-") as folder:
        yield Path(folder)


def _is_alive(process: str) -> bool:
    if not process.isdigit():
        return True  # not a name of this function
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _make(destination: Path) -> list[Path]:
    """Make a folder and its parents, and return the new ones, innermost first."""
    missing = [folder for folder in (destination, *destination.parents) if not folder.exists()]
    destination.mkdir(parents=True, exist_ok=True)
    return missing
