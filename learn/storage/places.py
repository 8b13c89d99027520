"""Places for files: a local folder, or anything that fsspec reaches, such as ``s3://bucket/folder``.

Files are written atomically and never change. Locally this is a temporary file, fsync and a rename; an object
store shows an object when its upload is complete.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from learn.errors import LearnError, StoreError, explain_storage_faults

_Taken = TypeVar("_Taken")

_ABANDONED_SECONDS = 3_600
_CONNECT_SECONDS = 5
_READ_SECONDS = 60
_ATTEMPTS = 2
_AT_ONCE = 8
# A file that is read completely is held in memory, so fewer of those are read at the same time.
_WHOLE_AT_ONCE = 4


@dataclass(frozen=True)
class StoredFile:
    """A file of a place."""

    name: str
    size_bytes: int
    modified_seconds: float


class Place(Protocol):
    """A folder of files that are written once and never change."""

    @property
    def location(self) -> str:
        """Path or URL, as a person would write it."""

    def open_subfolder(self, name: str) -> Place:
        """Return the place of a sub-folder, which need not exist."""

    def locate(self, name: str) -> str:
        """Return the path or URL of a file."""

    def list_folders(self) -> list[str]:
        """List the names of the sub-folders, sorted."""

    def list_files(self) -> list[StoredFile]:
        """List the files, sorted by name, without hidden ones; none if the folder does not exist."""

    def map_files(
        self, names: Sequence[str], take: Callable[[str, pa.NativeFile], _Taken], *, whole: bool
    ) -> Iterator[_Taken]:
        """Yield the result of ``take`` for each file, in order; ``take`` may read the whole file or only some ranges.

        Raises:
            FileNotFoundError: One of them does not exist.
        """

    def write(self, name: str, data: bytes | pa.Buffer) -> None:
        """Write a file atomically."""

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if it does not exist."""

    def list_abandoned(self) -> list[StoredFile]:
        """List the temporary files of writers that were killed an hour ago or earlier."""


def open_place(location: str | Path) -> Place:
    """Return the place at a path or URL; nothing is read or written yet.

    Raises:
        StoreError: The library that this kind of URL needs is not installed.
    """
    text = str(location)
    if "://" not in text or text.startswith("file://"):
        return LocalPlace(Path(text.removeprefix("file://")).expanduser())
    return RemotePlace.connect(text.rstrip("/"))


class LocalPlace:
    """A folder of this machine or of a mounted file system; its files are mapped into memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def location(self) -> str:
        """Path of the folder."""
        return str(self._folder)

    def open_subfolder(self, name: str) -> LocalPlace:
        """The place of a sub-folder."""
        return LocalPlace(self._folder / name)

    def locate(self, name: str) -> str:
        """Path of a file."""
        return str(self._folder / name)

    def list_folders(self) -> list[str]:
        """Names of the sub-folders."""
        return sorted(entry.name for entry in self._scan() if entry.is_dir())

    def list_files(self) -> list[StoredFile]:
        """The files but the hidden ones."""
        return self._stat_entries([entry for entry in self._scan() if not entry.name.startswith(".")])

    def map_files(
        self,
        names: Sequence[str],
        take: Callable[[str, pa.NativeFile], _Taken],
        *,
        whole: bool,  # noqa: ARG002 - a map is read as far as it is looked at
    ) -> Iterator[_Taken]:
        """Map each file into memory while ``take`` reads it."""
        for name in names:
            with pa.memory_map(self.locate(name)) as source:
                yield take(name, source)

    def write(self, name: str, data: bytes | pa.Buffer) -> None:
        """Write to a temporary file, sync it, and rename it.

        Raises:
            StorageError: The disk is full or not writable to this user.
        """
        temporary = self._folder / f".{name}.{uuid.uuid4().hex[:12]}.tmp"
        with explain_storage_faults(self._folder / name):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as handle:
                    handle.write(data)
                    handle.flush()
                    os.fsync(handle.fileno())
                temporary.replace(self._folder / name)
            finally:
                temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file."""
        with explain_storage_faults(self._folder / name):
            (self._folder / name).unlink(missing_ok=True)

    def list_abandoned(self) -> list[StoredFile]:
        """List the temporary files of killed writers; a running writer finishes a part in seconds."""
        hidden = [entry for entry in self._scan() if entry.name.startswith(".") and entry.name.endswith(".tmp")]
        return [file for file in self._stat_entries(hidden) if time.time() - file.modified_seconds > _ABANDONED_SECONDS]

    def _scan(self) -> list[os.DirEntry[str]]:
        with explain_storage_faults(self._folder):
            try:
                with os.scandir(self._folder) as entries:
                    return list(entries)
            except FileNotFoundError:
                return []

    @staticmethod
    def _stat_entries(entries: list[os.DirEntry[str]]) -> list[StoredFile]:
        found = []
        for entry in entries:
            # Another process may remove a file after it was listed.
            try:
                state = entry.stat()
            except FileNotFoundError:
                continue
            if not entry.is_dir():
                found.append(StoredFile(entry.name, state.st_size, state.st_mtime))
        return sorted(found, key=lambda file: file.name)


class RemotePlace:
    """A folder of an object store, read and written through fsspec.

    Args:
        system: The file system object of fsspec.
        protocol: Start of its URLs, such as ``s3``.
        path: Bucket and folder.
    """

    def __init__(self, system: Any, *, protocol: str, path: str) -> None:
        self._system = system
        self._protocol = protocol
        self._path = path

    @classmethod
    def connect(cls, url: str) -> RemotePlace:
        """Return the place at a URL.

        Raises:
            StoreError: No library is installed for its protocol, or the URL is none.
        """
        # Only a store that is not local waits for this import.
        import fsspec

        protocol = url.partition("://")[0]
        try:
            with _explain_remote_faults(url):
                system, path = fsspec.url_to_fs(url, **_read_options(protocol))
        except ImportError as fault:
            package = "learn-recsys[s3]" if protocol in ("s3", "s3a") else f"the fsspec package for {protocol}://"
            raise StoreError(
                f"The library that reads {protocol}:// is not installed.", where=url, fix=f"pip install '{package}'"
            ) from fault
        if hasattr(system, "retries"):
            system.retries = _ATTEMPTS
        return cls(system, protocol=protocol, path=path)

    @property
    def location(self) -> str:
        """URL of the folder."""
        return f"{self._protocol}://{self._path.lstrip('/')}"

    def open_subfolder(self, name: str) -> RemotePlace:
        """The place of a sub-folder."""
        return RemotePlace(self._system, protocol=self._protocol, path=f"{self._path}/{name}")

    def locate(self, name: str) -> str:
        """URL of a file."""
        return f"{self.location}/{name}"

    def list_folders(self) -> list[str]:
        """Names of the sub-folders."""
        return sorted(_name(entry) for entry in self._list_entries() if entry["type"] == "directory")

    def list_files(self) -> list[StoredFile]:
        """The files but the hidden ones."""
        found = [
            StoredFile(_name(entry), int(entry["size"] or 0), _parse_seconds(entry))
            for entry in self._list_entries()
            if entry["type"] == "file" and not _name(entry).startswith(".")
        ]
        return sorted(found, key=lambda file: file.name)

    def map_files(
        self, names: Sequence[str], take: Callable[[str, pa.NativeFile], _Taken], *, whole: bool
    ) -> Iterator[_Taken]:
        """Fetch files, or ranges of them, a few at the same time.

        Raises:
            FileNotFoundError: One of them does not exist.
            StoreError: The place cannot be reached.
        """
        at_once = _WHOLE_AT_ONCE if whole else _AT_ONCE
        rest = iter(names)
        with ThreadPoolExecutor(at_once) as pool:
            waiting = deque(pool.submit(self._take_file, name, take, whole) for name in islice(rest, at_once))
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(self._take_file, name, take, whole) for name in islice(rest, 1))
                yield done

    def write(self, name: str, data: bytes | pa.Buffer) -> None:
        """Upload a file; it appears when it is complete.

        Raises:
            StoreError: The place cannot be reached or written.
        """
        with _explain_remote_faults(self.location):
            self._system.pipe_file(f"{self._path}/{name}", bytes(data))

    def remove(self, name: str) -> None:
        """Remove a file."""
        with _explain_remote_faults(self.location):
            try:
                self._system.rm_file(f"{self._path}/{name}")
            except FileNotFoundError:
                return

    def list_abandoned(self) -> list[StoredFile]:
        """Return nothing: an interrupted upload leaves no file."""
        return []

    def _take_file(self, name: str, take: Callable[[str, pa.NativeFile], _Taken], whole: bool) -> _Taken:
        path = f"{self._path}/{name}"
        with _explain_remote_faults(self.locate(name), absent=FileNotFoundError):
            if whole:
                return take(name, pa.BufferReader(self._system.cat_file(path)))
            # Arrow requests each range that it reads: reading ahead would download vectors along with the keys.
            with self._system.open(path, "rb", cache_type="none") as file:
                return take(name, pa.PythonFile(file, mode="r"))

    def _list_entries(self) -> list[dict[str, Any]]:
        with _explain_remote_faults(self.location):
            self._system.invalidate_cache(self._path)
            try:
                entries: list[dict[str, Any]] = self._system.ls(self._path, detail=True)
            except FileNotFoundError:
                return []
            return entries


def _read_options(protocol: str) -> dict[str, Any]:
    if protocol not in ("s3", "s3a"):
        return {}
    # The library's own defaults try a dead endpoint for minutes.
    waits = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
    return {"config_kwargs": waits | {"retries": {"max_attempts": _ATTEMPTS, "mode": "standard"}}}


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _parse_seconds(entry: dict[str, Any]) -> float:
    changed = next((entry[key] for key in ("LastModified", "mtime", "created", "updated") if key in entry), 0.0)
    return float(changed.timestamp()) if hasattr(changed, "timestamp") else float(changed or 0.0)


@contextmanager
def _explain_remote_faults(where: str, *, absent: type[Exception] | None = None) -> Iterator[None]:
    """Turn any error of a remote file system into a StoreError, except ``absent``, if the caller handles it."""
    try:
        yield
    except (LearnError, ImportError):
        raise
    except Exception as fault:  # each file system has exceptions of its own
        if absent is not None and isinstance(fault, absent) and "bucket" not in str(fault):
            raise
        reason = next(iter(str(fault).strip().splitlines()), "") or type(fault).__name__
        raise StoreError(f"A remote place cannot be reached: {reason}", where=where, fix=_fix(fault)) from fault


def _fix(fault: Exception) -> str:
    said = f"{type(fault).__name__} {fault}".lower()
    if "credential" in said or isinstance(fault, PermissionError) or "forbidden" in said:
        return "give this process credentials that may read and write there (for S3: AWS_PROFILE, or AWS_ACCESS_KEY_ID)"
    if "bucket" in said or isinstance(fault, FileNotFoundError):
        return "create the bucket, or correct its name in `content.store` or `places`"
    return (
        "check the name in `content.store` or `places`, the network and the endpoint (for S3: AWS_ENDPOINT_URL), then "
        "run again"
    )
