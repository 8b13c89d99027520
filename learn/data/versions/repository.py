"""The DVC repository of the data versions: found or created, locked, silent, its faults explained."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.scm import NoSCM, SCMError, resolve_rev
from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml
from dvc_data.hashfile.build import IgnoreInCollectedDirError
from dvc_data.hashfile.cache import DiskError
from dvc_objects.errors import ObjectDBError
from scmrepo.exceptions import SCMError as GitError

from learn.errors import LearnError, StorageError, VersionError, explain_storage_faults

# DVC's own types are unknown to the type checker: a repository passes as Any.
Repository = Any

_LOGGERS = ("dvc", "dvc_objects", "dvc_data")
_REMOTE = "settings"
_TRANSFER_LOGGER = "dvc_data.hashfile.transfer"
_POLL_SECONDS = 0.1
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


class _Listener(logging.Handler):
    """Keeps the exceptions that DVC logs instead of raising them: a file that could not be copied, above all."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.faults: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            self.faults.append(record.exc_info[1])


@contextmanager
def collect_dvc_faults() -> Iterator[list[BaseException]]:
    """Silence DVC and collect the exceptions that it swallows while it copies files."""
    # DVC's bars and messages obey the level of its loggers; LEARN says in its own words what was recorded, and two
    # bars at once cannot be read. The one logger that tells why a copy failed is heard, not shown.
    levels = {name: logging.getLogger(name).level for name in (*_LOGGERS, _TRANSFER_LOGGER)}
    transfers, listener = logging.getLogger(_TRANSFER_LOGGER), _Listener()
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    transfers.setLevel(logging.ERROR)
    transfers.addHandler(listener)
    transfers.propagate = False
    try:
        yield listener.faults
    finally:
        transfers.propagate = True
        transfers.removeHandler(listener)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def open_repository(root: Path, *, wait_seconds: float, remote: str = "") -> Iterator[Repository]:
    """The DVC repository around a folder, locked for this process; made if there is none.

    Args:
        root: A folder inside the repository, or the folder to make one in.
        wait_seconds: How long to wait while another process holds the repository.
        remote: Path or URL of the default remote where a repository is made; empty: it has none.

    Raises:
        VersionError: The repository is damaged, or held by another process for too long.
        StorageError: The disk is full or not writable for writing.
    """
    with ExitStack() as stack:
        stack.enter_context(explain_dvc_faults(root))
        stack.enter_context(collect_dvc_faults())
        deadline = time.monotonic() + wait_seconds
        stack.enter_context(_take_turn(root.resolve(), deadline, wait_seconds))
        repository = stack.enter_context(_open_existing(root.resolve(), remote))
        _lock(stack, repository, deadline, wait_seconds)
        yield repository


@contextmanager
def explain_dvc_faults(where: Path) -> Iterator[None]:
    """Turn what DVC raises into errors of LEARN's tree.

    Raises:
        VersionError: DVC or git refused.
        StorageError: The disk is full or not writable for writing.
    """
    try:
        with explain_storage_faults(where):
            yield
    except (DvcException, ObjectDBError, IgnoreInCollectedDirError, GitError) as fault:
        what = f"DVC refused: {describe_fault(fault)}"
        raise VersionError(what, where=where, fix="run `dvc status` there and mend what it names") from fault
    except DiskError as fault:
        what = f"DVC's own notes cannot be written: {describe_fault(fault)}"
        fix = "free some disk space, or point DVC_SITE_CACHE_DIR at another folder"
        raise StorageError(what, where=where, fix=fix) from fault
    except OSError as fault:
        what = f"A file could not be read or written: {describe_fault(fault)}"
        fix = "see that no other program changes the folder just now, and run again"
        raise VersionError(what, where=fault.filename or where, fix=fix) from fault


def describe_fault(fault: BaseException) -> str:
    """An exception in one line, its cause included."""
    parts = [str(part).strip() for part in (fault, fault.__cause__) if part is not None]
    said = " - ".join(part for part in parts if part) or type(fault).__name__
    return " ".join(said.split())


def _open_existing(root: Path, remote: str) -> Repository:
    try:
        top = Repo.find_root(str(root))
    except NotDvcRepoError:
        return _create_repository(root, remote)
    try:
        return Repo(top)
    except SCMError:
        # A downloaded copy of a git repository has the DVC settings but no history.
        return Repo(top, config={"core": {"no_scm": True}})


def _create_repository(root: Path, remote: str) -> Repository:
    try:
        made = Repo.init(str(root), subdir=True)
    except DvcException:
        # No git here, or git ignores this folder: versions are then known by their hashes alone.
        made = Repo.init(str(root), no_scm=True)
    if not remote:
        return made
    with made, made.config.edit("repo") as config:
        config["remote"][_REMOTE] = {"url": remote}
        config["core"]["remote"] = _REMOTE
    return Repo(str(root))


@contextmanager
def _take_turn(root: Path, deadline: float, wait_seconds: float) -> Iterator[None]:
    """Let one LEARN at a time make, open and use the repository of a folder.

    DVC's own lock is in the repository, so it cannot guard its making; and two processes that open it for the first
    time meet in its SQLite files. This lock is on the folder itself, so it leaves no file.
    """
    root.mkdir(parents=True, exist_ok=True)
    try:
        top = Path(Repo.find_root(str(root)))
    except NotDvcRepoError:
        top = root
    handle = os.open(top, os.O_RDONLY)
    try:
        is_announced = False
        while not _try_lock(handle):
            is_announced = _wait(top, top, deadline, wait_seconds, is_announced=is_announced)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A network disk that cannot lock a folder: DVC's own lock must do.
        return True
    return True


def _lock(stack: ExitStack, repository: Repository, deadline: float, wait_seconds: float) -> None:
    is_announced = False
    while True:
        try:
            stack.enter_context(lock_repo(repository))
        except LockError as fault:
            lock = Path(repository.tmp_dir) / "lock"
            is_announced = _wait(
                Path(repository.root_dir), lock, deadline, wait_seconds, is_announced=is_announced, fault=fault
            )
        else:
            return


def _wait(
    top: Path, lock: Path, deadline: float, wait_seconds: float, *, is_announced: bool, fault: Exception | None = None
) -> bool:
    """Wait a moment for another process, and say so once.

    Raises:
        VersionError: The time is up.
    """
    if time.monotonic() >= deadline:
        what = f"Another process has held the DVC repository for more than {wait_seconds:.0f} seconds."
        fix = "wait for it to end (`cat` the file to see its process), or raise `data.lock_wait_seconds`"
        raise VersionError(what, where=lock, fix=fix) from fault
    if not is_announced:
        click.echo(f"Another process works in {top}: waiting for it.", err=True)
    time.sleep(_POLL_SECONDS)
    return True


def find_top(repository: Repository) -> Path:
    """The repository's top folder."""
    return Path(repository.root_dir).resolve()


def has_git(repository: Repository) -> bool:
    """Whether there is a git history with at least one commit."""
    return not isinstance(repository.scm, NoSCM) and not repository.scm.no_commits


def find_head(repository: Repository) -> str | None:
    """The commit that is checked out; None without git or commits."""
    return str(repository.scm.get_rev()) if has_git(repository) else None


def resolve_revision(repository: Repository, name: str) -> str | None:
    """The full commit hash behind a branch, tag or short hash; None if there is none."""
    if not has_git(repository):
        return None
    try:
        return str(resolve_rev(repository.scm, name))
    except (SCMError, GitError, ValueError):
        return None


def read_version_at(repository: Repository, revision: str, pointer: Path) -> str | None:
    """The data version that a pointer file held in a git revision; None if there was no such pointer."""
    files = repository.scm.get_fs(revision)
    path = f"/{pointer.relative_to(Path(repository.scm.root_dir).resolve()).as_posix()}"
    if not files.isfile(path):
        return None
    try:
        pointed = parse_yaml(files.cat_file(path).decode(), path)["outs"][0].get("md5")
    except (YAMLFileCorruptedError, KeyError, IndexError, TypeError, UnicodeDecodeError):
        return None
    return pointed if isinstance(pointed, str) else None


def read_pointer_history(repository: Repository, pointer: Path, *, most: int = 10) -> list[tuple[str, str, str]]:
    """What a pointer has held: (commit, day, data version), newest first."""
    if not has_git(repository):
        return []
    path = pointer.relative_to(Path(repository.scm.root_dir).resolve()).as_posix().encode()
    held = []
    for entry in repository.scm.dulwich.repo.get_walker(paths=[path], max_entries=most):
        commit = entry.commit.id.decode()
        version = read_version_at(repository, commit, pointer)
        if version:
            held.append((commit, time.strftime("%Y-%m-%d", time.gmtime(entry.commit.commit_time)), version))
    return held


def find_disk_fault(faults: list[BaseException], otherwise: LearnError) -> BaseException:
    """The fault of the disk among those that were swallowed, else a given error."""
    return next((fault for fault in faults if isinstance(fault, OSError) and fault.errno in _DISK), otherwise)
