"""Files that appear completely or not at all."""

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
    """Provide a folder to write in, and move the named files into ``destination`` once all is well.

    After an error ``destination`` is as it was before: also the folders made for it are gone.

    Args:
        destination: Folder the files end in; made where it is missing.
        names: The files to move; whatever else was written is thrown away.

    Raises:
        StorageError: The disk is full, read-only or closed to this user.
    """
    with explain_storage_faults(destination):
        made = _make(destination)
        try:
            # A sibling of the files' last place, so that the move never crosses a disk.
            with open_working_folder(destination, prefix=".unfinished-") as stage:
                yield stage
                for name in names:
                    (stage / name).replace(destination / name)
        except BaseException:
            for created in made:
                # Somebody else may have put something there in the meantime.
                with suppress(OSError):
                    created.rmdir()
            raise


def write_atomic(path: Path, text: str) -> None:
    """Write a text file, or put it in another's place, so that no kill and no power cut leaves half of one.

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
    """Provide a folder for what is not finished, and remove it; also those that killed processes have left next to it.

    Only folders of dead processes of this machine are removed: on a volume that machines share, another one's may be
    at work.

    Args:
        parent: Folder that holds it; there.
        prefix: Of its name.
    """
    own = f"{prefix}{socket.gethostname()}-"
    for left in parent.iterdir():
        if left.name.startswith(own) and not _is_alive(left.name.removeprefix(own).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f"{own}{os.getpid()}-") as folder:
        yield Path(folder)


def _is_alive(process: str) -> bool:
    if not process.isdigit():
        return True  # no name of ours
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _make(destination: Path) -> list[Path]:
    """Make a folder and its parents; return the new ones, innermost first."""
    missing = [folder for folder in (destination, *destination.parents) if not folder.exists()]
    destination.mkdir(parents=True, exist_ok=True)
    return missing
