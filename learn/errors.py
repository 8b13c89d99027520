"""Every error that LEARN raises on purpose, in one tree.

    LearnError
    ├── SettingsError      a setting is unknown, misspelt or out of range
    ├── DataError          a table is missing, cut off, misnamed or empty
    ├── VersionError       a data version cannot be recorded or fetched
    ├── InvalidDataError   too many rows failed their checks
    ├── SplitError         no training, validation or test part can be made
    ├── EncoderError       a frozen encoder cannot be obtained or loaded
    ├── StoreError         the content store is damaged or cannot be written
    ├── TrainingError      the towers cannot be trained as requested
    ├── DriftError         drift cannot be measured, or `--on-drift fail` stopped the run
    ├── BundleError        a bundle is damaged, incomplete or refused
    ├── ServingError       the service cannot start or gives wrong answers
    ├── RequestError       a request to the service asks for something impossible
    └── StorageError       a disk is full or a folder cannot be written

Each says what is wrong, where, and what to do about it. A user's mistake never shows a traceback.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike


class LearnError(Exception):
    """A mistake or a fault that the person running LEARN can act on.

    Args:
        what: What is wrong, one or two sentences.
        where: The file, row, key or setting it was found in.
        fix: What to do about it.
    """

    headline = "LEARN stopped"

    def __init__(self, what: str, *, where: str | PathLike[str] | None = None, fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders by pickle, which knows nothing of keyword-only arguments.
        return _rebuild_error, (type(self), self.what, self.where, self.fix)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f"Where: {self.where}")
        if self.fix:
            lines.append(f"What to do: {self.fix}")
        return "\n".join(lines)


def _rebuild_error(kind: type[LearnError], what: str, where: str | None, fix: str) -> LearnError:
    return kind(what, where=where, fix=fix)


class SettingsError(LearnError):
    """A setting is unknown, misspelt or out of range."""

    headline = "The settings are wrong"


class DataError(LearnError):
    """A table is missing, cut off, misnamed or empty."""

    headline = "The data cannot be read"


class VersionError(LearnError):
    """A data version cannot be recorded or fetched."""

    headline = "The data version is not available"


class InvalidDataError(LearnError):
    """Too many rows failed their checks, or a whole table did."""

    headline = "The data failed validation"


class SplitError(LearnError):
    """No training, validation or test part can be made of these interactions."""

    headline = "The data cannot be split"


class EncoderError(LearnError):
    """A frozen encoder cannot be obtained or loaded."""

    headline = "The encoder cannot be loaded"


class StoreError(LearnError):
    """The content store is damaged or cannot be written."""

    headline = "The content store cannot be used"


class TrainingError(LearnError):
    """The towers cannot be trained as requested."""

    headline = "The towers cannot be trained"


class DriftError(LearnError):
    """Drift cannot be measured, or it was found and ``--on-drift fail`` was set."""

    headline = "Drift stopped the run"


class BundleError(LearnError):
    """A bundle is damaged, incomplete or refused."""

    headline = "The bundle cannot be used"


class ServingError(LearnError):
    """The service cannot start, or gives wrong answers."""

    headline = "The service does not work"


class RequestError(LearnError):
    """A request to the service asks for something impossible; ``where`` names the field, its parts joined by dots."""

    headline = "The request is wrong"


class StorageError(LearnError):
    """A disk is full or a folder cannot be written."""

    headline = "The disk cannot be written"


_FIXES = {
    errno.ENOSPC: ("No space is left on the disk", "free some, or point the `workspace` setting at a larger disk"),
    errno.EDQUOT: ("The disk quota is used up", "free some space, or point the `workspace` setting at another disk"),
    errno.EROFS: (
        "The file system is read-only",
        "point the `workspace` and `reports` settings at writable folders",
    ),
    errno.EACCES: ("Permission is denied", "give this user the right to write there, or move the `workspace` setting"),
}


# NumPy's whole message if the disk accepted only a part.
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
_RUST = re.compile(r"\(os error (\d+)\)")


@contextmanager
def explain_storage_faults(where: str | PathLike[str]) -> Iterator[None]:
    """Turn the operating system's storage errors into a :class:`StorageError` that says what to do.

    Raises:
        StorageError: The disk is full, read-only, over quota or closed to this user.
    """
    try:
        yield
    except LearnError:
        raise
    except Exception as fault:
        if isinstance(fault, FileNotFoundError) and "No usable temporary directory" in str(fault):
            fix = "free some disk space, or point the environment variable TMPDIR at a writable folder"
            raise StorageError("There is no folder for temporary files.", where=where, fix=fix) from fault
        known = _FIXES.get(_find_errno(fault))
        if known is None:
            raise
        what, fix = known
        raise StorageError(f"{what}.", where=getattr(fault, "filename", None) or where, fix=fix) from fault


def _find_errno(fault: Exception) -> int:
    """Return the system's number of an error, 0 if none; PyTorch hides it in the context, others in their message."""
    for each in (fault, fault.__cause__, fault.__context__):
        if isinstance(each, OSError) and each.errno:
            return each.errno
    if _SHORT_WRITE.fullmatch(str(fault)):
        return errno.ENOSPC
    said = _RUST.search(str(fault))
    return int(said[1]) if said else 0
