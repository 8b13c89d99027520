"""The snapshot is what is read: whatever bytes change when, the version, its files and the tables made of it agree."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import dvc.output
import polars as pl
import pytest
from dvc.repo import Repo

import learn.evaluation.prepare as prepare_library
from learn.config.data import DataSettings
from learn.config.settings import Settings
from learn.data import check
from learn.data.prepared import prepare_tables
from learn.data.versions import snapshot
from learn.data.versions.restore import compute_version
from learn.data.versions.snapshot import DataVersion, record_version
from learn.errors import DataError, LearnError, VersionError
from tests.data.data_repository import content, git, record, restore, settle_tests, tables
from tests.flows.synthetic_tables import INTERACTIONS, ITEMS, write_tables

SETTINGS = DataSettings(lock_wait_seconds=0, push=False)


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_tests(monkeypatch, tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


@pytest.fixture(params=["inside", "outside"])
def data(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Path:
    return write_tables((root if request.param == "inside" else tmp_path) / "shop")


def prepare(version: DataVersion, tmp_path: Path) -> pl.DataFrame:
    report = tmp_path / "reports" / "validation.html"
    made = prepare_tables(version, workspace=tmp_path / "work", report=report, settings=Settings())
    return pl.read_parquet(made.folder / "items.parquet")


def overwrite(folder: Path) -> None:
    """Replace both tables by others: more items, and other titles."""
    (folder / "items.csv").write_text(ITEMS.replace("boot", "shoe") + "i9,A ninth one\n")
    (folder / "interactions.csv").write_text(INTERACTIONS)


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def damage(folder: Path) -> None:
    (folder / "items.csv").write_bytes(b"\xff\xfe\x00 not a table")


@pytest.mark.parametrize("change", [overwrite, remove, damage])
def test_what_happens_to_the_folder_later_does_not_change_the_tables(
    data: Path, root: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    before = content(data)
    version = record_version(data, root=root, settings=SETTINGS)
    change(data)
    assert content(version.folder) == before
    assert compute_version(version.folder) == version.version
    titles = [line.split(",")[1] for line in ITEMS.splitlines()[1:]]
    assert prepare(version, tmp_path)["title"].to_list() == titles


def test_a_mended_folder_is_a_new_version(data: Path, root: Path) -> None:
    first = record_version(data, root=root, settings=SETTINGS)
    overwrite(data)
    second = record_version(data, root=root, settings=SETTINGS)
    assert first.version != second.version
    assert compute_version(first.folder) == first.version
    assert compute_version(second.folder) == second.version


def test_the_snapshot_costs_no_second_copy_and_cannot_be_written(data: Path, root: Path) -> None:
    version = record_version(data, root=root, settings=SETTINGS)
    cached = {path.stat().st_ino for path in (root / ".dvc" / "cache").rglob("*") if path.is_file()}
    for path in version.folder.iterdir():
        # A reflink has another inode; the disks of test machines have none.
        assert path.stat().st_ino in cached
        assert path.stat().st_mode & 0o222 == 0
        assert not path.is_symlink()


def test_links_across_disks_are_symbolic(data: Path, root: Path, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm") / f"learn-cache-{os.getpid()}"  # noqa: S108 - a disk in memory
    if not elsewhere.parent.is_dir() or elsewhere.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk")
    try:
        Repo.init(str(root), no_scm=True).close()
        with Repo(str(root)) as repository, repository.config.edit("local") as config:
            config["cache"]["dir"] = str(elsewhere)
        version = record_version(data, root=root, settings=SETTINGS)
        assert all(path.is_symlink() for path in version.folder.iterdir())
        assert content(version.folder) == content(data)
        assert prepare(version, tmp_path).height == ITEMS.count("\n") - 1
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


@pytest.mark.parametrize("way", ["removed", "changed"])
def test_a_snapshot_that_was_removed_or_changed_is_laid_out_again(
    data: Path, root: Path, tmp_path: Path, way: str
) -> None:
    version = record_version(data, root=root, settings=SETTINGS)
    shutil.rmtree(version.folder)
    if way == "changed":
        write_tables(version.folder, items="item_id,title\ni1,Another one\n")
    assert prepare(version, tmp_path).height == ITEMS.count("\n") - 1
    assert compute_version(version.folder) == version.version


def test_a_snapshot_that_cannot_be_had_again_is_said(data: Path, root: Path, tmp_path: Path) -> None:
    version = record_version(data, root=root, settings=SETTINGS)
    for lost in (version.folder, root / ".dvc" / "cache"):
        shutil.rmtree(lost)
    with pytest.raises(VersionError, match="could not be fetched"):
        prepare(version, tmp_path)


# --- While it is recorded ---------------------------------------------------------------------------------


def write_in_place(folder: Path) -> None:
    with (folder / "items.csv").open("r+") as file:
        file.write("ITEM_ID")


def put_in_place(folder: Path) -> None:
    new = folder.parent / "items.new"
    new.write_text(ITEMS.replace("boot", "shoe"))
    new.replace(folder / "items.csv")


def add_a_file(folder: Path) -> None:
    (folder / "prices.csv").write_text("item_id,price\n")


def remove_a_file(folder: Path) -> None:
    (folder / "interactions.csv").unlink()


CHANGES = (write_in_place, put_in_place, add_a_file, remove_a_file)
POINTS = ("before it is hashed", "between hash and copy", "after the copy")


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_while_the_folder_is_recorded_is_refused(
    data: Path, root: Path, monkeypatch: pytest.MonkeyPatch, point: str, change: Callable[[Path], None]
) -> None:
    _change_once(monkeypatch, point, lambda: change(data))
    with pytest.raises(VersionError, match=r"changed while|is changing|could not be read") as caught:
        record_version(data, root=root, settings=SETTINGS)
    assert "run again" in caught.value.fix
    assert not [*root.glob("?*.dvc"), *root.glob("datasets/*.dvc")]
    if (data / "interactions.csv").exists():
        again = record_version(data, root=root, settings=SETTINGS)
        assert content(again.folder) == content(data)
        assert compute_version(again.folder) == again.version


def _change_once(monkeypatch: pytest.MonkeyPatch, point: str, change: Callable[[], None]) -> None:
    """Let a change happen at a point of the recording, once; all that is recorded is recorded by the real code."""
    todo = [change]
    if point == POINTS[0]:
        _interrupt(monkeypatch, snapshot, "_record_folder", todo, after=False)
    elif point == POINTS[1]:
        _interrupt(monkeypatch, snapshot, "build", todo, after=True)
        _interrupt(monkeypatch, dvc.output, "build", todo, after=True)
    else:
        _interrupt(monkeypatch, snapshot, "_record_folder", todo, after=True)


def _interrupt(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, todo: list[Callable[[], None]], *, after: bool
) -> None:
    real = getattr(module, name)

    def call_interrupted(*args: object, **options: object) -> object:
        if not after and todo:
            todo.pop()()
        result = real(*args, **options)
        if after and todo:
            todo.pop()()
        return result

    monkeypatch.setattr(module, name, call_interrupted)


def test_a_change_leaves_the_earlier_pointer(data: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = record_version(data, root=root, settings=SETTINGS)
    pointed = first.pointer.read_bytes()
    overwrite(data)
    with monkeypatch.context() as patched:
        _change_once(patched, POINTS[1], lambda: write_in_place(data))
        with pytest.raises(VersionError, match="changed while"):
            record_version(data, root=root, settings=SETTINGS)
    assert first.pointer.read_bytes() == pointed
    assert record_version(data, root=root, settings=SETTINGS).version != first.version


@pytest.mark.slow
def test_a_folder_that_is_written_all_the_time_gives_no_wrong_version(data: Path, root: Path) -> None:
    ended = threading.Event()

    def write() -> None:
        turn = 0
        while not ended.is_set():
            turn += 1
            for name, text in (("items", ITEMS), ("interactions", INTERACTIONS)):
                new = data.parent / "export.partial"
                # The same size each time: only the bytes tell one turn from the next.
                new.write_text(f"{text}# {turn % 10}\n")
                new.replace(data / f"{name}.csv")
            ended.wait(0.001 * (turn % 300))

    writer = threading.Thread(target=write)
    writer.start()
    outcomes = {"recorded": 0, "refused": 0}
    try:
        for _ in range(30):
            try:
                version = record_version(data, root=root, settings=SETTINGS)
            except LearnError:
                outcomes["refused"] += 1
                continue
            outcomes["recorded"] += 1
            assert compute_version(version.folder) == version.version
            turns = {path.read_text().splitlines()[-1][-1] for path in version.folder.iterdir()}
            # The folder held still: what was recorded was there together.
            assert len(turns) <= 2
    finally:
        ended.set()
        writer.join()
    assert outcomes["refused"]


@pytest.mark.parametrize("change", [write_in_place, put_in_place, remove_a_file])
@pytest.mark.parametrize(
    ("room", "read"),
    [
        (prepare_library, lambda data, settings: prepare_library.prepare_folder(data, settings=settings, say=print)),
        (check, lambda data, settings: check.check_folder(data, settings=settings)),
    ],
)
def test_what_reads_the_folder_itself_refuses_a_change_as_well(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    room: ModuleType,
    read: Callable[[Path, Settings], object],
    change: Callable[[Path], None],
) -> None:
    data = write_tables(tmp_path / "shop")
    settings = Settings(workspace=tmp_path / "work")
    _interrupt(monkeypatch, room, "load_tables", [lambda: change(data)], after=True)
    with pytest.raises(LearnError, match="changed while"):
        read(data, settings)
    assert not [*tmp_path.rglob("ready")]


# --- What DVC would leave out -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        (".dvcignore", "*.csv"),
        (".dvcignore", "shop/items.csv"),
        (".dvcignore", "/shop/inter*"),
        (".dvcignore", "shop/*\n!shop/items.csv"),
        ("part/.dvcignore", "items.csv"),
        ("part/.dvcignore", "shop/*"),
    ],
)
def test_an_ignored_table_is_refused_by_file_and_pattern(root: Path, file: str, pattern: str) -> None:
    place = root / file
    place.parent.mkdir(exist_ok=True)
    data = write_tables(place.parent / "shop")
    place.write_text(f"# not for DVC\n\n{pattern}\n")
    with pytest.raises(DataError) as caught:
        record_version(data, root=root, settings=SETTINGS)
    first = pattern.split("\n")[0]
    assert f"`{first}`" in caught.value.what
    assert caught.value.where == f"{place}, line 3"
    assert not [*root.rglob("?*.dvc")]
    place.unlink()
    assert content(record_version(data, root=root, settings=SETTINGS).folder) == content(data)


def test_a_table_that_comes_to_be_ignored_is_refused_as_well(root: Path) -> None:
    data = write_tables(root / "shop")
    first = record_version(data, root=root, settings=SETTINGS)
    (root / ".dvcignore").write_text("*.csv\n")
    with pytest.raises(DataError, match=r"`\*\.csv`"):
        record_version(data, root=root, settings=SETTINGS)
    assert first.version in first.pointer.read_text()


def test_an_ignored_folder_is_versioned_whole(root: Path) -> None:
    data = write_tables(root / "exports" / "shop")
    (root / ".dvcignore").write_text("/exports\n")
    version = record_version(data, root=root, settings=SETTINGS)
    assert content(version.folder) == content(data)
    overwrite(data)
    assert record_version(data, root=root, settings=SETTINGS).version != version.version


def test_what_is_no_table_may_be_ignored(root: Path) -> None:
    data = write_tables(root / "shop")
    (data / "notes.txt").write_text("mine")
    (root / ".dvcignore").write_text("*.txt\n")
    version = record_version(data, root=root, settings=SETTINGS)
    assert set(content(version.folder)) == {"items.csv", "interactions.csv"}


def test_a_dvcignore_in_the_folder_is_refused(data: Path, root: Path) -> None:
    (data / ".dvcignore").write_text("*.txt\n")
    with pytest.raises(DataError, match="would leave files out") as caught:
        record_version(data, root=root, settings=SETTINGS)
    assert caught.value.where == str(data / ".dvcignore")


def test_a_table_behind_a_linked_folder_is_refused(data: Path, root: Path, tmp_path: Path) -> None:
    (data / "items").symlink_to(tables(tmp_path / "parts"), target_is_directory=True)
    with pytest.raises(DataError, match="link to a folder"):
        record_version(data, root=root, settings=SETTINGS)


# --- Every kind of folder comes back ----------------------------------------------------------------------


def _make_plain(root: Path, elsewhere: Path) -> Path:  # noqa: ARG001
    return write_tables(root / "shop")


def _make_outside(root: Path, elsewhere: Path) -> Path:  # noqa: ARG001
    return write_tables(elsewhere / "shop")


def _make_in_tracked_parent(root: Path, elsewhere: Path) -> Path:  # noqa: ARG001
    data = write_tables(root / "exports" / "shop")
    (root / "exports" / "readme.txt").write_text("all exports")
    Repo.init(str(root)).close()
    with Repo(str(root)) as repository:
        repository.add(str(root / "exports"))
    return data


def _make_linked_folder(root: Path, elsewhere: Path) -> Path:
    (root / "shop").symlink_to(write_tables(elsewhere / "real"), target_is_directory=True)
    return root / "shop"


def _make_linked_files(root: Path, elsewhere: Path) -> Path:
    real = write_tables(elsewhere / "real")
    (root / "shop").mkdir()
    for path in real.iterdir():
        (root / "shop" / path.name).symlink_to(path)
    return root / "shop"


def _make_read_only(root: Path, elsewhere: Path) -> Path:  # noqa: ARG001
    data = write_tables(root / "shop")
    for path in (*data.iterdir(), data):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return data


def _make_gitignored(root: Path, elsewhere: Path) -> Path:  # noqa: ARG001
    (root / ".gitignore").write_text("/shop\n")
    return write_tables(root / "shop")


def _make_git_tracked(root: Path, elsewhere: Path) -> Path:  # noqa: ARG001
    data = write_tables(root / "shop")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "data in git")
    return data


def _make_submodule(root: Path, elsewhere: Path) -> Path:
    origin = elsewhere / "origin"
    write_tables(origin / "shop")
    git(origin, "init", "-q")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "data")
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(origin), "module")
    return root / "module" / "shop"


def _make_nested_repository(root: Path, elsewhere: Path) -> Path:  # noqa: ARG001
    (root / "part").mkdir()
    Repo.init(str(root / "part"), subdir=True).close()
    return write_tables(root / "part" / "shop")


KINDS = (
    _make_plain,
    _make_outside,
    _make_in_tracked_parent,
    _make_linked_folder,
    _make_linked_files,
    _make_read_only,
    _make_gitignored,
    _make_git_tracked,
    _make_submodule,
    _make_nested_repository,
)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__.removeprefix("_make_"))
def test_every_kind_of_folder_comes_back_by_its_version(
    root: Path, tmp_path: Path, make: Callable[[Path, Path], Path]
) -> None:
    git(root, "init", "-q")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    data = make(root, elsewhere)
    before, links = content(data), [path.is_symlink() for path in sorted(data.iterdir())]
    recorded = record(data, root)
    assert recorded.files == len(before)
    assert compute_version(recorded.folder) == recorded.version
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "pointer")
    revision = git(root, "rev-parse", "HEAD")
    for path in (*data.iterdir(), data):
        path.resolve().chmod(0o755)
    assert content(data) == before
    assert [path.is_symlink() for path in sorted(data.iterdir())] == links
    overwrite(data)
    assert record(data, root).version != recorded.version
    shutil.rmtree(root / ".learn")
    for name in (recorded.version, recorded.version[:8], revision):
        restored = restore(name, data, root)
        assert restored.version == recorded.version
        assert content(restored.folder) == before
