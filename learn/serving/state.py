"""The folder that a service keeps its own things in, and that no second process uses it."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from learn.config import ServingSettings
from learn.errors import ServingError, storage_faults
from learn.serving.aliases import aliases_path

# A service that is started in place of another may begin while that one ends.
_WAIT_SECONDS = 15.0


def state_folder(settings: ServingSettings) -> Path:
    """Return the folder for what the service keeps itself: by default ``learn`` in BentoML's home."""
    return settings.state or aliases_path().parent


def claim(folder: Path, *, wait_seconds: float = _WAIT_SECONDS) -> FileLock:
    """Take the folder for this process alone, until it ends or releases it.

    Items that change at run time are known to the process that changed them and to the file: a second worker or
    service on the same folder would answer with other items than the first.

    Raises:
        ServingError: Another process has it.
        StorageError: The folder cannot be written to.
    """
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "service.lock", timeout=wait_seconds)
        try:
            lock.acquire()
        except Timeout as fault:
            raise ServingError(
                "Another process serves with this folder: a second service, or a second worker of this one.",
                where=folder,
                fix="serve with one worker, and give each service a folder of its own by LEARN_SERVING_STATE",
            ) from fault
    return lock
