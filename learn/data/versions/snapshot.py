"""Data versions with DVC: which bytes a run was made from, and how to have them again.

Importing DVC takes a third of a second, so `learn.data` does not: take `record_version` and
`restore_version` from here.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dvcfile import FileIsGitIgnored, load_file
from dvc.exceptions import OutputDuplicationError, OutputNotFoundError, OverlappingOutputPathsError
from dvc.output import OutputAlreadyTrackedError, OutputIsIgnoredError
from dvc_data.hashfile.build import build
from dvc_data.hashfile.transfer import transfer

from learn.config import DataSettings
from learn.data.versions.live import (
    FileStates,
    check_folder,
    explain_changed,
    explain_missing_folder,
    read_states,
    refuse_changes,
    refuse_left_out,
)
from learn.data.versions.repository import (
    Repository,
    collect_dvc_faults,
    describe_fault,
    find_disk_fault,
    find_head,
    find_top,
    open_repository,
    read_version_at,
)
from learn.data.versions.restore import (
    DamagedCacheError,
    compute_version,
    find_tree,
    lay_out_fetched,
    lay_out_version,
    resolve_version,
)
from learn.errors import VersionError

OUTSIDE = "datasets"
"""Folder of the pointers to data that is outside the repository."""

# What DVC will not track where it is is versioned like a folder outside the repository.
_NOT_ADDABLE = (
    FileIsGitIgnored,
    OutputAlreadyTrackedError,
    OutputDuplicationError,
    OutputIsIgnoredError,
    OverlappingOutputPathsError,
)


@dataclass(frozen=True)
class DataVersion:
    """One version of a data folder.

    Attributes:
        version: DVC's hash of the folder's content, 32 hexadecimal digits and ``.dir``.
        folder: The snapshot: files with the bytes of the version, read-only. Nothing but this is read.
        source: Path of the folder that was recorded, for messages; of the snapshot where a version was fetched.
        size_bytes: Size of all files together.
        files: Number of files.
        git_revision: The commit that was checked out (or requested); None without git.
        git_dirty: That commit's pointer names another version or none: commit the pointer, and the revision will do as
            ``--data-version``.
        pushed_to: Name of the DVC remote that holds the version for certain; None if nothing was pushed.
        pointer: The ``.dvc`` file that names the version.
    """

    version: str
    folder: Path
    # Text: what steps hand to other machines is found by the paths in their results, and the live folder is not read.
    source: str
    size_bytes: int
    files: int
    git_revision: str | None
    git_dirty: bool
    pushed_to: str | None
    pointer: Path


def obtain_version(folder: Path, *, version: str, root: Path, settings: DataSettings, remote: str = "") -> DataVersion:
    """Record the folder as it is, or fetch an earlier version of it where ``version`` names one.

    Args:
        folder: The data folder.
        version: As :func:`restore_version` reads it; empty: the folder as it is.
        root: A folder in the DVC repository; if there is none, one is made here.
        settings: Whether to push, and how long to wait for another process.
        remote: Of a repository that is made here.

    Raises:
        DataError: The folder is missing, empty or cannot be read.
        VersionError: The version is unknown, the folder changes just now, or DVC refused.
    """
    if version:
        return restore_version(version, folder=folder, root=root, settings=settings, remote=remote)
    return record_version(folder, root=root, settings=settings, remote=remote)


def record_version(folder: Path, *, root: Path, settings: DataSettings, remote: str = "") -> DataVersion:
    """Snapshot a data folder, as ``dvc add`` does, and push it where a remote is set.

    A folder in the repository gets its pointer next to it; any other folder, which may be read-only, gets
    ``datasets/NAME.dvc`` and is copied into the cache once. A tracked folder that is missing is pulled.
    An unchanged folder is neither hashed again nor its pointer rewritten.

    The snapshot, ``root/.learn/data/HASH``, is links to the cache where the disk can link. Its bytes are checked
    against the version, and the folder must hold still while it is recorded: a change is refused, so that no version
    names other bytes than were read.

    Args:
        folder: The data folder.
        root: A folder in the DVC repository; if there is none, one is made here.
        settings: Whether to push, and how long to wait for another process.
        remote: Of a repository that is made here.

    Raises:
        DataError: The folder is missing, empty or cannot be read, or `.dvcignore` leaves a table out.
        VersionError: The folder changes just now; DVC or the remote refused; another process holds the repository.
        StorageError: The disk is full or not writable for writing.
    """
    live = folder.resolve()
    if not live.exists() and not _name_pointer(live).exists():
        # Asked before a repository is made: a misspelt name must leave nothing behind.
        raise explain_missing_folder(folder)
    with open_repository(root, wait_seconds=settings.lock_wait_seconds, remote=remote) as repository:
        if not live.exists():
            _pull(repository, folder, live)
        check_folder(folder, live, find_top(repository))
        output, snapshot = _take_snapshot(repository, folder, live, parent=_name_snapshots(root))
        pushed_to = _push_output(repository, output, settings)
        pointer, version = Path(output.stage.path), str(output.hash_info.value)
        revision = find_head(repository)
        return DataVersion(
            version=version,
            folder=snapshot,
            source=str(folder.absolute()),
            size_bytes=int(output.meta.size or 0),
            files=int(output.meta.nfiles or 0),
            git_revision=revision,
            git_dirty=revision is not None and read_version_at(repository, revision, pointer) != version,
            pushed_to=pushed_to,
            pointer=pointer,
        )


def require_snapshot(version: DataVersion, *, settings: DataSettings) -> None:
    """See that the snapshot holds the bytes of its version; lay it out again where it was removed or changed.

    Raises:
        VersionError: It does not, and neither the cache nor a remote holds them.
        StorageError: The disk is full or not writable for writing.
    """
    if compute_version(version.folder) == version.version:
        return
    with open_repository(version.pointer.parent, wait_seconds=settings.lock_wait_seconds) as repository:
        lay_out_fetched(
            repository, version.version, folder=version.folder, pointers=[version.pointer], parent=version.folder.parent
        )


def _take_snapshot(repository: Repository, folder: Path, live: Path, *, parent: Path) -> tuple[Any, Path]:
    """Record the folder and lay its version out; after an error the pointers are as they were before."""
    before = read_states(live)
    held = {pointer: _read_pointer(pointer) for pointer in _list_pointers(repository, live)}
    try:
        try:
            return _lay_out_recorded(repository, folder, live, before=before, parent=parent)
        except DamagedCacheError:
            # Either the folder changed between its hash and its copy, which is refused here, or the cache was damaged
            # before: the bad files are gone from it now, and are copied again.
            refuse_changes(folder, live, before, tree=None)
            return _lay_out_recorded(repository, folder, live, before=before, parent=parent)
    except BaseException:
        for pointer, content in held.items():
            _put_back(pointer, content)
        raise


def _lay_out_recorded(
    repository: Repository, folder: Path, live: Path, *, before: FileStates, parent: Path
) -> tuple[Any, Path]:
    output = _record_folder(repository, live)
    tree = find_tree(repository, output.hash_info)
    if tree is None:
        raise explain_changed(folder)
    refuse_changes(folder, live, before, tree=tree)
    refuse_left_out(repository, folder, live, tree)
    return output, lay_out_version(repository, tree, parent)


def _name_snapshots(root: Path) -> Path:
    return root.resolve() / ".learn" / "data"


def restore_version(
    version: str,
    *,
    folder: Path,
    root: Path,
    settings: DataSettings,
    destination: Path | None = None,
    remote: str = "",
) -> DataVersion:
    """Have the files of an earlier version again, next to the live folder, which is never touched.

    Args:
        version: A git revision (branch, tag, hash) whose pointer of `folder` is meant, or a data version: all of the
            hash or its first six digits at least.
        folder: The data folder whose versions are meant; it need not exist any more.
        root: A folder in the DVC repository.
        settings: How long to wait for another process.
        destination: Where the version's own folder is made; ``root/.learn/data`` if None.
        remote: Of a repository that is made here.

    Raises:
        VersionError: There is no such version, or its files cannot be fetched.
        StorageError: The disk is full or not writable for writing.
    """
    with open_repository(root, wait_seconds=settings.lock_wait_seconds, remote=remote) as repository:
        live = folder.resolve()
        pointers = _list_pointers(repository, live)
        found = resolve_version(repository, version, folder=folder, pointers=pointers)
        parent = destination or _name_snapshots(root)
        tree, target = lay_out_fetched(repository, found.version, folder=folder, pointers=pointers, parent=parent)
        revision = found.revision or find_head(repository)
        return DataVersion(
            version=found.version,
            folder=target,
            source=str(target),
            size_bytes=sum(path.stat().st_size for path in target.rglob("*") if path.is_file()),
            files=len(tree),
            git_revision=revision,
            git_dirty=revision is not None and read_version_at(repository, revision, found.pointer) != found.version,
            pushed_to=None,
            pointer=found.pointer,
        )


def _list_pointers(repository: Repository, live: Path) -> list[Path]:
    """Where the pointer to a folder may be, the likeliest first."""
    outside, _ = _find_outside_pointer(repository, live)
    return [_name_pointer(live), outside] if live.is_relative_to(find_top(repository)) else [outside]


def _find_outside_pointer(repository: Repository, live: Path) -> tuple[Path, str]:
    """Pointer and source of a folder that is not tracked where it is; two of one name get two pointers."""
    top = find_top(repository)
    source = Path(os.path.relpath(live, top)).as_posix()
    plain = top / OUTSIDE / f"{live.name}.dvc"
    if _is_free(repository, plain, source):
        return plain, source
    return plain.with_name(f"{live.name}-{hashlib.sha256(source.encode()).hexdigest()[:6]}.dvc"), source


def _name_pointer(live: Path) -> Path:
    return live.with_name(f"{live.name}.dvc")


def _is_free(repository: Repository, pointer: Path, source: str) -> bool:
    """Whether a plain name in `datasets` can stand for this source: not another folder's pointer or data."""
    if not pointer.exists():
        return not pointer.with_suffix("").exists()
    meta = load_file(repository, str(pointer)).stage.meta
    return isinstance(meta, dict) and meta.get("source") == source


def _pull(repository: Repository, folder: Path, live: Path) -> None:
    pointer = _name_pointer(live)
    if not (live.is_relative_to(find_top(repository)) and pointer.exists()):
        raise explain_missing_folder(folder)
    with collect_dvc_faults() as faults:
        try:
            repository.pull(targets=[str(pointer)])
        except Exception as fault:  # a remote may be of any kind, and so may what it raises
            what = f"The data folder is missing, and its version could not be pulled: {describe_fault(fault)}"
            fix = f"see that the remote can be reached (`dvc pull {pointer.name}`), or give another folder to --data"
            raise find_disk_fault([fault, *faults], VersionError(what, where=pointer, fix=fix)) from fault


def _record_folder(repository: Repository, live: Path) -> Any:
    is_inside = live.is_relative_to(find_top(repository))
    if is_inside and not _has_links(repository, live) and not _has_other_owner(repository, live):
        output = _add_in_place(repository, live)
        if output is not None:
            return output
    return _add_by_copy(repository, live)


def _has_links(repository: Repository, live: Path) -> bool:
    """Whether files of a folder are links, other than DVC's own: ``dvc add`` would put copies in their place."""
    cache = Path(repository.cache.local.path).resolve()
    return any(
        path.is_symlink() and not path.is_dir() and not path.resolve().is_relative_to(cache) for path in live.rglob("*")
    )


def _has_other_owner(repository: Repository, live: Path) -> bool:
    """Whether a folder belongs to a repository of its own, to a git submodule, or to a folder that DVC tracks above it.

    DVC ignores the first, no commit here holds a pointer in the second, and of the third it would record the version
    of the folder above.
    """
    top = find_top(repository)
    above = [folder for folder in live.parents if folder.is_relative_to(top) and folder != top]
    if any((folder / mark).exists() for folder in (live, *above) for mark in (".git", ".dvc")):
        return True
    try:
        found = repository.find_outs_by_path(str(live), strict=False)
    except OutputNotFoundError:
        return False
    return any(Path(output.fs_path) != live for output in found)


def _add_in_place(repository: Repository, live: Path) -> Any | None:
    """``dvc add``; None if DVC does not track this folder where it is."""
    pointer = _name_pointer(live)
    known = load_file(repository, str(pointer)).stage.outs[0] if pointer.exists() else None
    if known is not None and not known.status():
        return known
    with collect_dvc_faults() as faults:
        try:
            (stage,) = repository.add(str(live))
        except _NOT_ADDABLE:
            return None
        output = stage.outs[0]
        if output.changed_cache():
            # DVC logs a failed copy and continues; a pointer to what no cache holds would be a lie.
            raise find_disk_fault(faults, explain_changed(live))
    if known is not None and known.hash_info != output.hash_info and _is_remote_inside(repository, output.remote):
        # The sample's own remote is for the sample alone: what replaced it goes where other data goes.
        output.remote = None
        stage.dump()
    return output


def _add_by_copy(repository: Repository, live: Path) -> Any:
    """What ``dvc add`` does, for a folder that stays where it is: its files go into the cache, once."""
    pointer, source = _find_outside_pointer(repository, live)
    cache = repository.cache.local
    staging, meta, tree = build(cache, str(live), repository.fs, cache.hash_name)
    stage = _load_stage(repository, pointer)
    output = stage.outs[0]
    if output.hash_info == tree.hash_info and not output.changed_cache():
        return output
    with collect_dvc_faults() as faults:
        if transfer(staging, cache, {tree.hash_info}, hardlink=False, shallow=False).failed:
            raise find_disk_fault(faults, explain_changed(live))
    output.hash_info, output.meta, output.obj = tree.hash_info, meta, tree
    stage.meta = {"source": source}
    with repository.scm_context():
        output.ignore()
    stage.dump()
    return output


def _load_stage(repository: Repository, pointer: Path) -> Any:
    if pointer.exists():
        return load_file(repository, str(pointer)).stage
    pointer.parent.mkdir(exist_ok=True)
    target = {"fname": str(pointer), "wdir": str(pointer.parent), "outs": [pointer.stem]}
    return repository.stage.create(single_stage=True, validate=False, **target)


def _read_pointer(pointer: Path) -> bytes | None:
    return pointer.read_bytes() if pointer.is_file() else None


def _put_back(pointer: Path, before: bytes | None) -> None:
    if before is None:
        pointer.unlink(missing_ok=True)
    elif _read_pointer(pointer) != before:
        pointer.write_bytes(before)


def _is_remote_inside(repository: Repository, name: str | None) -> bool:
    """Whether a remote is a folder of the repository itself, as the sample's is."""
    if name is None:
        return False
    url = str(repository.config["remote"].get(name, {}).get("url", ""))
    return "://" not in url and Path(url).resolve().is_relative_to(find_top(repository))


def _push_output(repository: Repository, output: Any, settings: DataSettings) -> str | None:
    name = output.remote or repository.config["core"].get("remote")
    if not settings.push or name is None or _is_remote_inside(repository, name):
        return None
    with collect_dvc_faults() as faults:
        try:
            repository.push(targets=[output.stage.path])
        except Exception as fault:  # a remote may be of any kind, and so may what it raises
            said = describe_fault(faults[0] if faults else fault)
            what = f"The data version is recorded on this machine, but could not be pushed to `{name}`: {said}"
            fix = f"mend the remote (`dvc push {Path(output.stage.path).name}` tries it), or set `data.push = false`"
            raise VersionError(what, where=output.stage.path, fix=fix) from fault
    return str(name)
