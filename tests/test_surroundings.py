"""Whatever surrounds LEARN, a command works or says one clear line: no traceback, no file in an odd place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.synthetic_tables import write_tables
from tests.flows.workplace import Workplace

ROOT = Path(__file__).resolve().parents[1]
PATH = "/usr/bin:/bin"
NOBODY = 54_321
"""A user id without an account."""

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing set": {},
    "cron": {"LOGNAME": "ada", "HOME": "/tmp", "SHELL": "/bin/sh", "PATH": PATH},  # noqa: S108 - as cron has it
    "cron as root": {"LOGNAME": "root", "PATH": PATH},
    "home is /": {"HOME": "/", "PATH": PATH},
    "home is missing": {"HOME": "/nowhere/at/all", "PATH": PATH},
    "home is no path": {"HOME": "", "PATH": PATH},
    "locale C": {"LC_ALL": "C", "PATH": PATH},
    "locale POSIX, bytes as they are": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii output": {"PYTHONIOENCODING": "ascii", "PATH": PATH},
    "no folder for temporary files": {"TMPDIR": "/nowhere", "PATH": PATH},
    "another zone": {"TZ": "Pacific/Apia", "PATH": PATH},
}


def run_learn(
    *words: str,
    folder: Path,
    environment: dict[str, str] | None = None,
    user: int | None = None,
    stdin: int | None = subprocess.DEVNULL,
) -> subprocess.CompletedProcess[str]:
    python, paths = (sys.executable, str(ROOT)) if user is None else find_python(user)
    done = subprocess.run(
        [python, "-m", "learn", *words],
        cwd=folder,
        env={"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdin=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
        check=False,
        user=user,
        # OpenShift's users are of root's group.
        group=None if user is None else 0,
        extra_groups=None if user is None else [],
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert not (folder / "~").exists()
    return done


def find_python(user: int) -> tuple[str, str]:
    """Find a Python that a user can start: root's own may be in root's home, which is closed."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    places = os.pathsep.join((str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    for python, paths in ((sys.executable, str(ROOT)), (system, places)):
        try:
            subprocess.run(
                [python, "-c", "import click"], cwd="/", env={"PYTHONPATH": paths},
                user=user, group=0, extra_groups=[], check=True, capture_output=True,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            continue
        return python, paths
    pytest.skip("another user can start no Python here")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="learn-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def give_away(folder: Path) -> int:
    """Hand a folder to a user without an account."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return NOBODY


def test_help_is_shown_in_each(tmp_path: Path) -> None:
    for name, environment in ENVIRONMENTS.items():
        done = run_learn("--help", folder=tmp_path, environment=environment)
        assert done.returncode == 0, (name, done.stderr)
        assert "Usage:" in done.stdout, name
    assert run_learn("--help", folder=tmp_path, stdin=None).returncode == 0


# The quickest command that reads a folder and comes to an end by a message of LEARN's own.
REFUSED = ("data", "check", "shop", "--json")


def test_a_refusal_is_one_message_in_each(tmp_path: Path) -> None:
    write_tables(tmp_path / "shop", items="item_id,Größe\n1,2\n")
    for name in ("cron", "locale POSIX, bytes as they are"):
        done = run_learn(*REFUSED, folder=tmp_path, environment=ENVIRONMENTS[name])
        assert done.returncode == 2, (name, done.stderr)
        assert "There is no column `title`" in json.loads(done.stdout)["error"], name


def test_a_user_without_an_account_is_served(open_folder: Path) -> None:
    folder = open_folder / "place"
    write_tables(folder / "shop", items="item_id,name\n1,2\n")
    user = give_away(folder)
    for home in ({}, {"HOME": "/"}):
        done = run_learn(*REFUSED, folder=folder, environment={"PATH": PATH, **home}, user=user)
        assert done.returncode == 2, done.stderr
        assert "There is no column `title`" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize("name", ["a shop", "Läden", "[shop]", "50%", "%s{0}", "-shop", "--shop", "shop'\"#;&", "商店"])
def test_paths_are_only_names(tmp_path: Path, name: str) -> None:
    write_tables(tmp_path / name, items="item_id,name\n1,2\n")
    from learn.config.data import DataSettings
    from learn.data.sources import find_sources

    found = find_sources(tmp_path / name, DataSettings())
    assert found.items.path == tmp_path / name / "items.csv"


def test_the_command_takes_an_odd_path(tmp_path: Path) -> None:
    name = "-Läden [50%] {x}"
    write_tables(tmp_path / name, items="item_id,name\n1,2\n")
    done = run_learn("data", "check", "--json", "--", name, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "There is no column `title`" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("reports = 'Büro'\n".encode("latin-1"), "latin-1"),
        ("reports = 'Büro'\n".encode("utf-16"), "UTF-16"),
        ("reports = 'Buero'\n".encode("utf-16-le"), "UTF-16"),
        ("reports = 'Büro'\n".encode("utf-8-sig"), ""),
    ],
)
def test_a_settings_file_in_another_encoding_is_named(tmp_path: Path, raw: bytes, said: str) -> None:
    from learn.config import read_settings
    from learn.errors import SettingsError

    (tmp_path / "shop.toml").write_bytes(raw)
    if not said:
        assert read_settings([tmp_path / "shop.toml"]).reports == Path("Büro")
        return
    with pytest.raises(SettingsError, match=f"is {said}.*not UTF-8") as caught:
        read_settings([tmp_path / "shop.toml"])
    assert "\n" not in caught.value.what


def test_output_that_cannot_be_written_is_said() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no full device")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "learn", "--version"]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "No space is left" in done.stderr


def test_a_reader_that_leaves_early_is_no_fault(tmp_path: Path) -> None:
    command = f"{sys.executable} -m learn --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.startswith("Usage:")


def test_a_home_in_a_setting_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    from learn.config import Settings

    monkeypatch.setenv("HOME", "/home/ada")
    settings = Settings.from_mapping({"workspace": "~/ws", "reports": "~/reports"})
    assert (settings.workspace, settings.reports) == (Path("/home/ada/ws"), Path("/home/ada/reports"))


# --- Whole checks and runs --------------------------------------------------------------------------------


@pytest.mark.slow
def test_figures_are_the_same_in_each(tmp_path: Path) -> None:
    write_tables(tmp_path / "shop")
    answers = {
        name: run_learn(*REFUSED, folder=tmp_path, environment=environment).stdout
        for name, environment in ENVIRONMENTS.items()
    }
    assert len({json.dumps(json.loads(answer), sort_keys=True) for answer in answers.values()}) == 1, answers
    assert json.loads(next(iter(answers.values())))["error"] is None


@pytest.mark.slow
def test_runs_that_begin_together_without_a_repository_all_record_the_version(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    write_tables(place.folder / "data")
    code = (
        "from learn.environment import configure_process; configure_process()\n"
        "from pathlib import Path; from learn.config import Settings; from learn.data import record_version\n"
        "print(record_version(Path('data'), root=Path.cwd(), settings=Settings().data).version)\n"
    )
    environment = {**place.environment, "PYTHONPATH": str(ROOT)}
    for _ in range(2):
        shutil.rmtree(place.folder / ".dvc", ignore_errors=True)
        shutil.rmtree(place.folder / "dvc_site", ignore_errors=True)
        running = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=place.folder,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(4)
        ]
        ended = [(process, *process.communicate(timeout=300)) for process in running]
        assert all(process.returncode == 0 for process, _, _ in ended), [said for _, _, said in ended]
        assert len({out for _, out, _ in ended}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("case", ["cron", "no account"])
def test_a_run_begins_where_there_is_no_user(open_folder: Path, case: str) -> None:
    folder = open_folder / "place"
    # It stops by a message once the version is recorded and the tables are read.
    write_tables(folder / "data", items="item_id,title\n" + "".join(f"i{n},Boot {n}\n" for n in (1, 1, 2, 3)))
    user = give_away(folder) if case == "no account" else None
    environment = {"PATH": PATH, "DVC_SITE_CACHE_DIR": str(folder / "site")}
    if case == "cron":
        environment |= {"LOGNAME": "ada", "HOME": str(folder)}
    done = run_learn("train", folder=folder, environment=environment, user=user)
    assert "Two items have the id `i1`" in done.stdout + done.stderr
    assert (folder / "data.dvc").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["-1", str(2**63), str(10**30)])
def test_a_seed_of_any_size_is_taken_or_refused_at_once(tmp_path: Path, seed: str) -> None:
    write_tables(tmp_path / "data", items="item_id,title\n" + "".join(f"i{n},Boot {n}\n" for n in (1, 1, 2, 3)))
    began = time.monotonic()
    done = run_learn("train", "--seed", seed, folder=tmp_path, environment=Workplace(tmp_path).environment)
    said = "Setting `seed`" if seed == "-1" else "Two items have the id `i1`"
    assert said in done.stdout + done.stderr
    assert (tmp_path / "data.dvc").exists() == (seed != "-1"), time.monotonic() - began
