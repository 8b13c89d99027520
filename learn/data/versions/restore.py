"""Restore an earlier data version: resolve its name, fetch its files, lay them out in a folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc_data.hashfile import check
from dvc_data.hashfile.checkout import CheckoutError, LinkError, checkout
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError

from learn.data.versions.repository import (
    Repository,
    collect_dvc_faults,
    describe_fault,
    find_disk_fault,
    read_pointer_history,
    read_version_at,
    resolve_revision,
)
from learn.errors import VersionError

_HASH = re.compile(r"([0-9a-f]{6,32})(\.dir)?", re.IGNORECASE)
_LISTED = 10
_HASH_NAME = "md5"
_READ_ONLY = 0o444
# A snapshot is only read, so it need not be a copy; which of them a disk can do, DVC finds out.
_LINKS = ("reflink", "hardlink", "symlink", "copy")


class DamagedCacheError(VersionError):
    """The cache held other bytes under a hash than those of the hash; they were removed from it."""


@dataclass(frozen=True)
class ResolvedVersion:
    """What the name of a version meant.

    Attributes:
        version: The data version, ``.dir`` included.
        revision: The git revision it was requested by, if it was.
        pointer: The pointer it belongs to.
    """

    version: str
    revision: str | None
    pointer: Path


def resolve_version(repository: Repository, name: str, *, folder: Path, pointers: list[Path]) -> ResolvedVersion:
    """Tell which data version a git revision or a (shortened) hash means.

    Raises:
        VersionError: None, or more than one.
    """
    revision = resolve_revision(repository, name)
    for pointer in pointers if revision else ():
        version = read_version_at(repository, str(revision), pointer)
        if version is not None:
            return ResolvedVersion(version, revision, pointer)
    candidates = _list_candidates(repository, name, pointers)
    if len(candidates) == 1:
        return ResolvedVersion(candidates[0], None, _find_owner(repository, candidates[0], pointers))
    if candidates:
        fix = f"give more of the hash: {', '.join(candidates)}"
        raise VersionError(f"`{name}` is the beginning of {len(candidates)} data versions.", where=folder, fix=fix)
    what = f"There is no data version `{name}`."
    if revision:
        what = f"Git revision `{name}` is there, but names no data version of this folder."
    raise VersionError(what, where=folder, fix=_describe_known(repository, pointers))


def fetch_version(repository: Repository, version: str, *, folder: Path, pointers: list[Path]) -> Tree:
    """Have all files of a version in the cache, from there or from the first remote that holds them.

    Raises:
        VersionError: Neither the cache nor any remote has them all.
    """
    wanted = HashInfo(repository.cache.local.hash_name, version)
    tree = find_tree(repository, wanted)
    failures = []
    for remote in () if tree is not None else _list_remotes(repository):
        failure = _fetch(repository, wanted, remote)
        tree = find_tree(repository, wanted)
        if tree is not None:
            break
        failures.append(f"{remote}: {failure}")
    if tree is not None:
        return tree
    asked = "; ".join(failures) or "no DVC remote is set"
    what = f"The files of data version `{version}` are not in the cache, and could not be fetched ({asked})."
    raise VersionError(what, where=folder, fix=_describe_known(repository, pointers))


def lay_out_fetched(
    repository: Repository, version: str, *, folder: Path, pointers: list[Path], parent: Path
) -> tuple[Tree, Path]:
    """Fetch a version and lay its files out; those that are damaged in the cache are fetched again.

    Raises:
        DamagedCacheError: The cache is damaged, and no remote holds the files.
        VersionError: Neither the cache nor any remote has them all.
    """
    tree = fetch_version(repository, version, folder=folder, pointers=pointers)
    try:
        return tree, lay_out_version(repository, tree, parent)
    except DamagedCacheError as damage:
        try:
            tree = fetch_version(repository, version, folder=folder, pointers=pointers)
        except VersionError:
            raise damage from None
        return tree, lay_out_version(repository, tree, parent)


def lay_out_version(repository: Repository, tree: Tree, parent: Path) -> Path:
    """Lay a version's files out in a folder named by its hash; a complete folder is used as it is.

    The files are read-only, and links to the cache where the disk can link.

    Raises:
        DamagedCacheError: The cache held other bytes than the version's, and holds them no more.
        VersionError: The files could not be copied out of the cache.
    """
    target = parent / str(tree.hash_info.value).removesuffix(".dir")
    if target.is_dir() and not _list_differing(repository, target, tree, trusted=True):
        return target
    unfinished = target.with_name(f"{target.name}.partial")
    for wrong in (unfinished, target):
        shutil.rmtree(wrong, ignore_errors=True)
    parent.mkdir(parents=True, exist_ok=True)
    try:
        _lay_out(repository, tree, unfinished)
        unfinished.replace(target)
        _note_hashes(repository, target, tree)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def compute_version(folder: Path) -> str:
    """Return the data version of the bytes that a folder holds, as DVC computes it; of nothing if it is missing."""
    tree: Any = Tree()  # type: ignore[no-untyped-call]  # DVC types it not
    for path in (path for path in folder.rglob("*") if not path.is_dir()):
        tree.add(path.relative_to(folder).parts, None, HashInfo(_HASH_NAME, hash_file(path)))
    tree.digest()
    return str(tree.hash_info.value)


def _lay_out(repository: Repository, tree: Tree, folder: Path) -> None:
    cache = repository.cache.local
    folder.mkdir()
    with collect_dvc_faults() as faults, _prefer_links(cache):
        try:
            checkout(str(folder), repository.fs, tree, cache, force=True, quiet=True)
        except (CheckoutError, LinkError) as fault:
            what = f"The files of the data version could not be copied out of the cache: {describe_fault(fault)}"
            raise find_disk_fault(
                faults, VersionError(what, where=cache.path, fix="run `dvc fetch` and try again")
            ) from fault
    differing = _list_differing(repository, folder, tree, trusted=False)
    if differing:
        _forget_objects(repository, tree, differing)
        what = f"The cache is damaged: `{differing[0]}` has other bytes than its version."
        fix = "run again: the damaged files were removed from the cache, and are fetched or copied again"
        raise DamagedCacheError(what, where=cache.path, fix=fix)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(_READ_ONLY)


@contextmanager
def _prefer_links(cache: Any) -> Iterator[None]:
    """Let DVC lay files out as links, whatever it does in the user's own folders: these are only read."""
    before = cache.cache_types
    cache.cache_types = list(_LINKS)
    try:
        yield
    finally:
        cache.cache_types = before


def _list_differing(repository: Repository, folder: Path, tree: Tree, *, trusted: bool) -> list[str]:
    """Names that are missing, too many, or have other bytes than the version's.

    Args:
        repository: The repository.
        folder: Where the files are.
        tree: The version.
        trusted: Whether a file that has not been touched since its hash was noted keeps it.
    """
    wanted = {"/".join(key): str(oid.value) for key, _, oid in tree}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}

    def read_hash(path: Path) -> str:
        noted = repository.state.get(str(path), repository.fs)[1] if trusted else None
        return hash_file(path) if noted is None else str(noted.value)

    return sorted(set(wanted) ^ there) or [name for name in sorted(wanted) if read_hash(folder / name) != wanted[name]]


def _note_hashes(repository: Repository, folder: Path, tree: Tree) -> None:
    # They have just been checked: the next run need not read unchanged files again.
    repository.state.save_many([(str(folder.joinpath(*key)), oid, None) for key, _, oid in tree], repository.fs)


def _forget_objects(repository: Repository, tree: Tree, names: list[str]) -> None:
    cache, wanted = repository.cache.local, {"/".join(key): str(oid.value) for key, _, oid in tree}
    for oid in {wanted[name] for name in names if name in wanted}:
        path = Path(cache.oid_to_path(oid))
        if hash_file(path) != oid:
            path.unlink(missing_ok=True)


def hash_file(path: Path) -> str:
    """Return the file's hash; nothing if it is gone."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        return ""


def find_tree(repository: Repository, wanted: HashInfo) -> Tree | None:
    """Return the version's tree when the cache holds every file of it."""
    cache = repository.cache.local
    try:
        tree = Tree.load(cache, wanted)
        check(cache, tree)
    except (FileNotFoundError, ObjectFormatError):
        return None
    return tree


def _list_remotes(repository: Repository) -> list[str]:
    """Names of all remotes, the default one first."""
    default = repository.config["core"].get("remote")
    return sorted(repository.config["remote"], key=lambda name: (name != default, name))


def _fetch(repository: Repository, wanted: HashInfo, remote: str) -> str:
    """Bring what a remote has of a version into the cache; say why not, where it cannot."""
    with collect_dvc_faults() as faults:
        try:
            repository.cloud.pull({wanted}, remote=remote)
            tree = Tree.load(repository.cache.local, wanted)
            repository.cloud.pull({oid for _, _, oid in tree}, remote=remote)
        except FileNotFoundError:
            return "does not hold it"
        except OSError as fault:
            if fault.filename and str(fault.filename).startswith(repository.cache.local.path):
                raise
            return describe_fault(fault)
        except Exception as fault:  # a remote may be of any kind, and so may what it raises
            return describe_fault(fault)
    return describe_fault(faults[0]) if faults else "does not hold all of it"


def _list_candidates(repository: Repository, name: str, pointers: list[Path]) -> list[str]:
    """The data versions that a (shortened) hash may mean, by the cache, the pointers' history and the remotes."""
    shape = _HASH.fullmatch(name)
    if shape is None:
        return []
    prefix = shape.group(1).lower()
    if len(prefix) == 32:
        return [f"{prefix}.dir"]
    held = {version for pointer in pointers for _, _, version in read_pointer_history(repository, pointer, most=1_000)}
    near = {version for version in held if version.startswith(prefix)} | _list_versions(repository.cache.local, prefix)
    if not near:
        with collect_dvc_faults():
            near = {
                version for remote in _list_remotes(repository) for version in _list_offered(repository, remote, prefix)
            }
    return sorted(near)


def _list_offered(repository: Repository, remote: str, prefix: str) -> set[str]:
    try:
        return _list_versions(repository.cloud.get_remote_odb(remote), prefix)
    except Exception:  # a remote that cannot be asked offers nothing; the error that follows names it
        return set()


def _list_versions(store: Any, prefix: str) -> set[str]:
    """The data versions in a cache or remote whose hash begins so; two digits are one folder there."""
    try:
        paths = store.fs.ls(store.fs.join(store.path, prefix[:2]), detail=False)
    except FileNotFoundError:
        return set()
    names = {f"{prefix[:2]}{store.fs.name(path)}" for path in paths}
    return {name for name in names if name.startswith(prefix) and name.endswith(".dir")}


def _find_owner(repository: Repository, version: str, pointers: list[Path]) -> Path:
    """The pointer that has held a version; the likeliest one if none has."""
    for pointer in pointers:
        if any(held == version for _, _, held in read_pointer_history(repository, pointer, most=1_000)):
            return pointer
    return next((pointer for pointer in pointers if pointer.exists()), pointers[0])


def _describe_known(repository: Repository, pointers: list[Path]) -> str:
    lines = [
        f"{version} ({day}, git revision {commit[:8]})"
        for pointer in pointers
        for commit, day, version in read_pointer_history(repository, pointer, most=_LISTED)
    ]
    cached = sorted(Path(repository.cache.local.path).glob("*/*.dir"), key=os.path.getmtime, reverse=True)
    lines += [f"{path.parent.name}{path.name} (in the cache)" for path in cached[:_LISTED]]
    if not lines:
        return "no version is known here: run once with --data, or fetch the git history"
    return "choose one of those known here: " + ", ".join(dict.fromkeys(lines))
