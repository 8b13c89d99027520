"""Data versions in real git and DVC repositories, made afresh for each test."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from dvc.repo import Repo, lock_repo

from learn.config.data import DataSettings
from learn.data.versions.snapshot import record_version, restore_version
from learn.errors import DataError, StorageError, VersionError
from tests.data.data_repository import (
    SETTINGS,
    commit,
    content,
    forget_cache,
    git,
    record,
    restore,
    settle_tests,
    tables,
)


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings or hashes of the person who runs the tests."""
    settle_tests(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git and DVC repository with a default remote next to it, and a first commit."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as monkeypatch:
        settle_tests(monkeypatch, folder)
        root = folder / "project"
        root.mkdir()
        git(root, "init", "-q")
        Repo.init(str(root)).close()
        config = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../remote\n"
        (root / ".dvc" / "config").write_text(config)
        commit(root)
    return root


@pytest.fixture
def root(tmp_path: Path, template: Path) -> Path:
    return shutil.copytree(template, tmp_path / "project", symlinks=True)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "remote"


def test_a_folder_in_the_repository_is_added_and_pushed(root: Path, remote: Path) -> None:
    data = tables(root / "data")
    first = record(data, root)
    assert first.version.endswith(".dir")
    assert len(first.version) == 36
    assert (first.files, first.size_bytes) == (2, sum(map(len, content(data).values())))
    assert first.pointer == root / "data.dvc"
    assert first.version in first.pointer.read_text()
    assert first.pushed_to == "store"
    assert (remote / "files" / "md5" / first.version[:2] / first.version[2:]).is_file()
    assert (first.git_revision, first.git_dirty) == (git(root, "rev-parse", "HEAD"), True)
    revision = commit(root)
    second = record(data, root)
    assert (second.git_revision, second.git_dirty) == (revision, False)
    assert git(root, "status", "--porcelain") == ""


def test_unchanged_data_leaves_the_pointer_alone_and_is_not_hashed_again(root: Path) -> None:
    data = tables(root / "data")
    first = record(data, root)
    pointer = first.pointer
    os.utime(pointer, ns=(1, 1))
    items = data / "items.csv"
    before = items.stat()
    same_size = items.read_text().replace("first", "fresh")
    items.write_text(same_size)
    os.utime(items, ns=(before.st_atime_ns, before.st_mtime_ns))
    # Time, size and inode say "unchanged": anyone who hashes again finds other bytes.
    assert record(data, root).version == first.version
    assert pointer.stat().st_mtime_ns == 1
    os.utime(items)
    assert record(data, root).version != first.version


def test_a_lost_cache_is_filled_again_from_unchanged_data(root: Path) -> None:
    data = tables(root / "data")
    first = record(data, root, DataSettings(push=False))
    assert first.pushed_to is None
    forget_cache(root)
    assert record(data, root, DataSettings(push=False)).version == first.version
    assert content(restore(first.version, data, root).folder) == content(data)


def test_a_folder_outside_is_versioned_without_being_touched(root: Path, tmp_path: Path) -> None:
    outside = tables(tmp_path / "elsewhere" / "shop")
    for path in (outside / "more", outside):
        path.chmod(0o555)
    before = {path: path.stat() for path in outside.rglob("*")}
    first = record(outside, root)
    assert first.source == str(outside)
    assert content(first.folder) == content(outside)
    assert first.pointer == root / "datasets" / "shop.dvc"
    assert {path: path.stat().st_mtime_ns for path in outside.rglob("*")} == {
        path: was.st_mtime_ns for path, was in before.items()
    }
    assert not (root / "datasets" / "shop").exists()
    text = first.pointer.read_text()
    assert str(tmp_path) not in text
    assert "../elsewhere/shop" in text
    os.utime(first.pointer, ns=(1, 1))
    assert record(outside, root).version == first.version
    assert first.pointer.stat().st_mtime_ns == 1
    commit(root)
    forget_cache(root)
    with Repo(str(root)) as repo:
        repo.pull(targets=[str(first.pointer)])
    assert content(root / "datasets" / "shop") == content(outside)
    assert "datasets/shop/" not in git(root, "status", "--porcelain", "--untracked-files=all")


def test_the_same_bytes_are_the_same_version_inside_and_outside(root: Path, tmp_path: Path) -> None:
    assert record(tables(root / "data"), root).version == record(tables(tmp_path / "shop"), root).version


def test_two_outside_folders_of_one_name_have_two_pointers(root: Path, tmp_path: Path) -> None:
    one = record(tables(tmp_path / "a" / "shop", "one"), root)
    two = record(tables(tmp_path / "b" / "shop", "two"), root)
    again = record(tmp_path / "a" / "shop", root)
    assert one.pointer != two.pointer
    assert again.pointer == one.pointer
    assert again.version == one.version != two.version


def test_a_folder_that_git_tracks_is_versioned_beside_it(root: Path) -> None:
    data = tables(root / "fixtures")
    commit(root)
    recorded = record(data, root)
    assert recorded.pointer == root / "datasets" / "fixtures.dvc"
    assert not (root / "fixtures.dvc").exists()
    assert content(restore(recorded.version, data, root).folder) == content(data)


def test_a_missing_tracked_folder_is_pulled(root: Path) -> None:
    data = tables(root / "data")
    first = record(data, root)
    before = content(data)
    shutil.rmtree(data)
    forget_cache(root)
    assert record(data, root).version == first.version
    assert content(data) == before


def test_a_missing_folder_that_no_remote_holds_is_said(root: Path, remote: Path) -> None:
    data = tables(root / "data")
    first = record(data, root)
    for lost in (data, root / ".dvc" / "cache", remote):
        shutil.rmtree(lost)
    for _ in range(2):
        with pytest.raises(VersionError, match="could not be pulled"):
            record(data, root)
        with pytest.raises(VersionError, match="could not be fetched"):
            restore(first.version, data, root)
    assert not data.exists()


def test_an_earlier_version_comes_back_by_revision_and_by_hash_from_the_remote(root: Path) -> None:
    data = tables(root / "data", "first")
    before = content(data)
    first = record(data, root)
    revision = commit(root)
    git(root, "tag", "v1")
    record(tables(root / "data", "second"), root)
    commit(root)
    live = content(data)
    shutil.rmtree(root / ".dvc" / "cache")
    for name in ("v1", revision, revision[:8], "HEAD~1", first.version, first.version[:32], first.version[:6]):
        shutil.rmtree(root / ".learn", ignore_errors=True)
        restored = restore(name, data, root)
        assert restored.version == first.version, name
        assert restored.folder == root / ".learn" / "data" / first.version[:32]
        assert content(restored.folder) == before
        assert (restored.files, restored.size_bytes) == (first.files, first.size_bytes)
        assert restored.git_dirty == (name.startswith(first.version[:6]))
    assert content(data) == live


def test_an_outside_version_comes_back_when_the_folder_is_gone(root: Path, tmp_path: Path) -> None:
    outside = tables(tmp_path / "shop")
    before = content(outside)
    record(outside, root)
    revision = commit(root)
    shutil.rmtree(outside)
    assert content(restore(revision, outside, root).folder) == before


def test_a_restored_folder_that_was_edited_is_laid_out_again(root: Path) -> None:
    data = tables(root / "data")
    first = record(data, root)
    restored = restore(first.version, data, root).folder
    # As root can write: into the cache itself, where the file is a link to it.
    (restored / "items.csv").chmod(0o644)
    (restored / "items.csv").write_text("mine")
    (restored / "extra").write_text("mine")
    assert content(restore(first.version, data, root).folder) == content(data)
    (restored / "items.csv").unlink()
    assert content(record(data, root).folder) == content(data)


def damage_cache(root: Path) -> None:
    for file in (path for path in (root / ".dvc" / "cache").rglob("*") if path.is_file() and path.suffix != ".dir"):
        file.chmod(0o644)
        file.write_bytes(b"x" * file.stat().st_size)
        file.chmod(0o444)


def test_a_damaged_cache_is_said_and_leaves_nothing(root: Path, remote: Path) -> None:
    data = tables(root / "data")
    first = record(data, root)
    shutil.rmtree(remote)
    damage_cache(root)
    with pytest.raises(VersionError, match="damaged"):
        restore(first.version, data, root)
    assert list((root / ".learn" / "data").iterdir()) == []


def test_a_damaged_cache_is_mended_from_the_remote_and_from_the_folder(root: Path, remote: Path) -> None:
    data = tables(root / "data")
    first = record(data, root)
    damage_cache(root)
    assert content(restore(first.version, data, root).folder) == content(data)
    shutil.rmtree(remote)
    damage_cache(root)
    assert content(record(data, root).folder) == content(data)


def test_an_unknown_version_names_the_known_ones(root: Path) -> None:
    data = tables(root / "data")
    empty = git(root, "rev-parse", "HEAD")
    first = record(data, root)
    commit(root)
    for name in ("no-such-branch", "abcdef1", "0" * 32, empty):
        with pytest.raises(VersionError) as caught:
            restore(name, data, root)
        assert name in str(caught.value)
        assert first.version in str(caught.value)
    assert list((root / ".learn" / "data").iterdir()) == [first.folder]


def test_what_is_no_data_folder_is_refused(root: Path) -> None:
    (root / "empty").mkdir()
    (root / "file").write_text("not a folder")
    (tables(root / "broken") / "link").symlink_to(root / "nowhere")
    for folder in (root / "missing", root / "empty", root / "file", root / "broken", root):
        with pytest.raises(DataError) as caught:
            record(folder, root)
        assert str(folder) in str(caught.value.where)
        assert caught.value.fix
    assert not [*root.glob("?*.dvc"), *root.glob("datasets/*")]


def test_without_git_or_dvc_a_repository_is_made(tmp_path: Path) -> None:
    root = tmp_path / "plain"
    root.mkdir()
    data = tables(root / "data")
    first = record(data, root)
    assert (first.git_revision, first.git_dirty, first.pushed_to) == (None, False, None)
    before = content(data)
    second = record(tables(data, "second"), root)
    assert second.version != first.version
    assert content(restore(first.version[:8], data, root).folder) == before
    with pytest.raises(VersionError, match="no data version"):
        restore("main", data, root)


def test_in_git_without_dvc_revisions_work(tmp_path: Path) -> None:
    root = tmp_path / "plain"
    root.mkdir()
    git(root, "init", "-q")
    data = tables(root / "data")
    first = record(data, root)
    assert first.git_revision is None
    assert restore(commit(root), data, root).version == first.version


def test_a_copy_without_its_git_history_works(root: Path) -> None:
    data = tables(root / "data")
    first = record(data, root)
    commit(root)
    shutil.rmtree(root / ".git")
    assert record(data, root).version == first.version
    assert restore(first.version, data, root).git_revision is None


def test_a_failing_remote_stops_with_the_version_recorded(root: Path, remote: Path) -> None:
    remote.write_text("a file where the remote's folder should be")
    data = tables(root / "data")
    with pytest.raises(VersionError, match=r"recorded.*`store`") as caught:
        record(data, root)
    assert "data.push" in caught.value.fix
    local = record(data, root, DataSettings(push=False))
    assert local.pushed_to is None
    assert local.version in (root / "data.dvc").read_text()


def test_nothing_is_pushed_into_the_repository_itself(root: Path) -> None:
    with Repo(str(root)) as repo, repo.config.edit() as config:
        config["remote"]["sample"] = {"url": str(root / "sample_remote")}
    data = tables(root / "data", "sample")
    record(data, root, DataSettings(push=False))
    pointer = root / "data.dvc"
    pointer.write_text(pointer.read_text() + "  remote: sample\n")
    assert record(data, root).pushed_to is None
    forget_cache(root)
    assert record(data, root).pushed_to is None
    assert "remote: sample" in pointer.read_text()
    assert record(tables(data, "the user's own"), root).pushed_to == "store"
    assert "remote: sample" not in pointer.read_text()
    assert not (root / "sample_remote").exists()


def test_a_held_lock_stops_after_the_wait(root: Path) -> None:
    data = tables(root / "data")
    with Repo(str(root)) as other, lock_repo(other), pytest.raises(VersionError, match="Another process"):
        record(data, root)


@pytest.mark.slow
def test_a_lock_that_is_given_back_is_waited_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tables(root / "data")
    held, told = threading.Event(), threading.Event()

    def hold() -> None:
        with Repo(str(root)) as other, lock_repo(other):
            held.set()
            told.wait(3.6)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    recorded = record(data, root, DataSettings(lock_wait_seconds=30))
    holder.join()
    assert recorded.files == 2
    assert capsys.readouterr().err.count("waiting") == 1


@pytest.mark.parametrize("inside", [True, False])
def test_a_full_disk_leaves_no_pointer(root: Path, tmp_path: Path, inside: bool) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by root alone")
    try:
        with Repo(str(root)) as repo, repo.config.edit("local") as config:
            config["cache"]["dir"] = str(small / "cache")
        data = tables(root / "data" if inside else tmp_path / "shop")
        (data / "large.bin").write_bytes(os.urandom(200_000))
        with pytest.raises(StorageError) as caught:
            record(data, root)
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.ENOSPC
        assert not [*root.glob("?*.dvc"), *root.glob("datasets/*.dvc")]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_nothing_is_written_to_the_terminal(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = tables(root / "data")
    first = record(data, root)
    forget_cache(root)
    restore(first.version, data, root)
    assert capfd.readouterr() == ("", "")


def test_a_version_is_had_from_the_given_remote_where_there_is_no_repository(tmp_path: Path) -> None:
    laptop, pod = tmp_path / "laptop", tmp_path / "pod"
    place = str(tmp_path / "given")
    laptop.mkdir()
    recorded = record_version(tables(laptop / "data"), root=laptop, settings=SETTINGS, remote=place)
    assert recorded.pushed_to is not None
    pod.mkdir()
    found = restore_version(recorded.version, folder=pod / "data", root=pod, settings=SETTINGS, remote=place)
    assert found.version == recorded.version
    assert found.folder.is_relative_to(pod)
    assert found.files == recorded.files
