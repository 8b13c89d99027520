"""Files that appear whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from learn.errors import storage_faults


@contextmanager
def staged(destination: Path, *, names: tuple[str, ...]) -> Iterator[Path]:
    """Lend a folder to write in, and move the named files into ``destination`` once all is well.

    After an error ``destination`` is as it was before: also the folders made for it are gone.

    Args:
        destination: Folder the files end in; made where it is missing.
        names: The files to move; whatever else was written is thrown away.

    Raises:
        StorageError: The disk is full, read-only or closed to this user.
    """
    with storage_faults(destination):
        made = _make(destination)
        try:
            # A sibling of the files' last place, so that the move never crosses a disk.
            with tempfile.TemporaryDirectory(dir=destination, prefix=".unfinished-") as folder:
                stage = Path(folder)
                yield stage
                for name in names:
                    (stage / name).replace(destination / name)
        except BaseException:
            for created in made:
                # Somebody else may have put something there in the meantime.
                with suppress(OSError):
                    created.rmdir()
            raise


def _make(destination: Path) -> list[Path]:
    """Make a folder and its parents; return the new ones, innermost first."""
    missing = [folder for folder in (destination, *destination.parents) if not folder.exists()]
    destination.mkdir(parents=True, exist_ok=True)
    return missing
