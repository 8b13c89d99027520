"""The checks of names and of prose, their limits, and the counts of the code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.cli import BenchmarkError
from benchmarks.house.counts import Sizes, count_house, list_modules_with_one_importer
from benchmarks.house.page import format_figures, write_page
from benchmarks.house.sources import extract_tree, read_modules

ROOT = Path(__file__).resolve().parents[1]
VOCABULARY = ROOT / "scripts" / "vocabulary"

NAMES = """
from functools import cached_property
import click, pytest

class Shop:
    @classmethod
    def example(cls) -> Shop: ...
    @classmethod
    def catalogue_of(cls) -> list[str]: ...            # misnamed
    @property
    def size(self) -> int: ...
    @cached_property
    def items(self) -> list[str]: ...
    @size.setter
    def size(self, value: int) -> None: ...
    def __len__(self) -> int: ...
    def told(self) -> None: ...                        # misnamed
    def _read(self) -> None: ...
    def matches(self, item: str) -> bool: ...
    def holds_items(self) -> NDArray[np.bool_]: ...
    def matches_of(self) -> list[str]: ...             # misnamed
    def to_json(self) -> str: ...
    def is_told(self) -> bool: ...
    def read_told(self) -> str: ...                    # misnamed
    def told_by(self) -> bool: ...                     # misnamed
    def read_told_rows(self) -> str: ...
    @overload
    def rows(self) -> str: ...
    @declare_route("/feedback")
    def feedback(self) -> str: ...

class FoundItems: ...                                  # misnamed
class Foundation: ...

@pytest.fixture
def shop() -> Shop:
    def vector() -> None: ...                          # misnamed
    def all_gather() -> None: ...
    return Shop()

@click.command()
def models() -> None: ...

async def vectors() -> None: ...                       # misnamed
def test_whole_shops() -> None: ...
def list_items() -> None: ...
def listing() -> None: ...                             # misnamed
if True:
    def keys(): ...                                    # misnamed
"""


def run_check(name: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / f"check_{name}.py", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def list_hits(name: str, root: Path, *paths: str) -> list[str]:
    done = run_check(name, "--root", root, "--list", *paths)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files of `learn` and `tests`, outside of Git."""
    for folder in ("learn/data", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "learn" / "names.py").write_text(NAMES)
    (tmp_path / "learn" / "data" / "kept_rows.py").write_text("")
    (tmp_path / "learn" / "notes.md").write_text("def told(): ...\n")
    (tmp_path / "tests" / "test_kept_rows.py").write_text("def made_items(): ...\n")
    return tmp_path


def test_misnamed_functions_classes_and_modules_are_found_and_no_others(tree: Path) -> None:
    hits = list_hits("names", tree)
    misnamed = [number for number, line in enumerate(NAMES.splitlines(), 1) if line.endswith("# misnamed")]
    lines = [int(hit.split(":")[1]) for hit in hits if hit.startswith("learn/names.py")]
    assert lines == misnamed
    assert [hit.rpartition(":")[0] for hit in hits if not hit.startswith("learn/names.py")] == [
        "learn/data/kept_rows.py:1: kept_rows: `kept` is banned",
        "tests/test_kept_rows.py:1: made_items: `made` is banned",
    ]


def test_a_hit_says_what_to_write_instead(tree: Path) -> None:
    hits = "\n".join(list_hits("names", tree, "learn/names.py"))
    assert ": Shop.told: `told` is banned: write `broadcast`, `format`, `report`" in hits
    assert ": listing: `listing` is no verb of verbs.txt" in hits


def test_hits_are_listed_by_path(tree: Path) -> None:
    assert len(list_hits("names", tree, "learn/data/", "tests/test_kept_rows.py")) == 2
    assert list_hits("names", tree, "learn/dat") == []


def test_scripts_without_an_ending_are_read_and_untracked_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("tracked", "untracked"):
        (tmp_path / "scripts" / name).write_text("#!/usr/bin/env python3\ndef page(): ...\n")
    (tmp_path / "scripts" / "shell").write_text("#!/usr/bin/env bash\necho\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "scripts/tracked", "scripts/shell"], cwd=tmp_path, check=True)
    assert list_hits("names", tmp_path) == ["scripts/tracked:2: page: `page` is no verb of verbs.txt"]


def test_functions_that_must_begin_with_a_verb_are_counted(tree: Path) -> None:
    counts = json.loads(run_check("names", "--root", tree, "--json").stdout)
    # Not counted: where nouns are allowed, a test, a setter, an overload and a magic method.
    assert counts["learn"] == {"functions": 17, "not_verbs": 8}
    assert counts["tests"] == {"functions": 1, "not_verbs": 1}


@pytest.mark.parametrize(
    ("limit", "status", "output"), [(10, 1, "learn: 11 hits, 10 allowed"), (11, 0, ""), (12, 0, "")]
)
def test_the_limit_of_a_folder_holds(tree: Path, tmp_path: Path, limit: int, status: int, output: str) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text(f"[names]\nlearn = {limit}\ntests = 1\n")
    done = run_check("names", "--root", tree, "--limits", limits)
    assert (done.returncode, done.stdout.partition(";")[0].strip()) == (status, output)
    assert done.stderr.partition(";")[2].strip() == ("lower its limit of 12 in limits.toml" if limit == 12 else "")


def test_a_folder_without_a_limit_may_have_no_hit(tree: Path, tmp_path: Path) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("[names]\nlearn = 11\n")
    done = run_check("names", "--root", tree, "--limits", limits)
    assert done.returncode == 1
    assert done.stdout.startswith("tests: 1 hits, 0 allowed")


def test_every_word_and_phrase_of_the_list_is_found_in_prose(tmp_path: Path) -> None:
    phrases = [line.split("->")[0] for line in (VOCABULARY / "prose.txt").read_text().splitlines()]
    (tmp_path / "page.md").write_text("".join(f"Is {phrase} plain?\n{phrase.capitalize()}.\n" for phrase in phrases))
    hits = list_hits("prose", tmp_path)
    found = [hit.split(": ", 1)[1].split(" ==> ")[0].lower() for hit in hits]
    assert found == [phrase for phrase in phrases for _ in range(2)]


def test_docstrings_comments_messages_and_typing_errors_are_read(tmp_path: Path) -> None:
    (tmp_path / "learn").mkdir()
    source = '"""The store, in the making."""\n\n# Two by hand.\nraise ValueError("recieve it whole or not at all")\n'
    (tmp_path / "learn" / "store.py").write_text(source)
    assert list_hits("prose", tmp_path, "learn") == [
        "learn/store.py:1: in the making ==> being written, being made",
        "learn/store.py:3: by hand ==> manually, yourself",
        "learn/store.py:4: recieve ==> receive",
        "learn/store.py:4: whole or not at all ==> atomically, completely or not at all",
    ]
    assert list_hits("prose", tmp_path, "docs") == []


def test_a_word_of_a_longer_one_is_no_hit(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        "A stand-alone house, standby, unto-ld; the outlier relies on it, by handy tools.\n"
    )
    assert list_hits("prose", tmp_path) == []


def test_the_limits_of_prose_hold(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("A page to try a model by hand.\n")
    limits = tmp_path / "limits.toml"
    for limit, status in ((0, 1), (1, 0)):
        limits.write_text(f'[prose]\n"README.md" = {limit}\n')
        assert run_check("prose", "--root", tmp_path, "--limits", limits).returncode == status


def test_a_banned_word_is_no_verb_and_the_verbs_are_in_order() -> None:
    lines = [line for line in (VOCABULARY / "verbs.txt").read_text().splitlines() if not line.startswith("#")]
    verbs = " ".join(lines[:-2]).split()
    assert verbs == sorted(set(verbs))
    banned = {line.split("->")[0] for line in (VOCABULARY / "names.txt").read_text().splitlines()}
    assert not banned & set(verbs)


FILES = {
    "learn/__init__.py": "import lazy\n__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)\n",
    "learn/__init__.pyi": 'from .config import Settings\nfrom .data import load, split\n__all__ = ["load", "split"]\n',
    "learn/config.py": "class Settings: ...\n" + "\n" * 59,
    "learn/cli.py": "from learn.data.tables import load\nfrom learn import config\n",
    "learn/data/__init__.py": "",
    "learn/data/__init__.pyi": 'from .splits import split\nfrom .tables import load\n\n__all__ = ["load"]\n',
    "learn/data/tables.py": "from learn.config import Settings\nfrom .rows import Row\n\ndef load(): ...\n",
    "learn/data/rows.py": "class Row: ...\n",
    "learn/data/splits.py": "def split(): ...\n",
    "learn/data/unused.py": "from learn.data import tables\n",
    "learn/model/__init__.py": "from .losses import loss\nfrom .towers import Towers\n",
    "learn/model/losses.py": "loss = 1\n",
    "learn/model/towers.py": (
        "from typing import TYPE_CHECKING\nfrom learn.data import load, tables\nimport learn.data.rows\n"
        "if TYPE_CHECKING:\n    from learn.data.rows import Row\n\n"
        "from learn.model.losses import loss\n"
        "class Towers:\n    def whole(self):\n        from ..data import load\n"
    ),
    "learn/model/__main__.py": "from learn.model import Towers\n",
    "flows/train.py": "from learn.data import load, split\nfrom learn.model.towers import Towers\n",
    "benchmarks/speed.py": "from learn import load, split\nfrom learn.model import Towers\n\ndef speeds(): ...\n",
    "tests/test_tables.py": "from learn.data.tables import load\nfrom learn.data.unused import tables\n",
    "tests/test_rows.py": "from learn.data.unused import tables\n",
    "README.md": "```python\nprint(1)\n```\n\n```python\nimport learn\n\n# One.\nlearn.load()\n```\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit of a small tree."""
    folder = tmp_path / "checkout"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b.c commit -qm first"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    return folder


def test_the_house_is_counted(checkout: Path) -> None:
    house = count_house(checkout)
    assert (
        house.figures.items()
        >= {
            "learn_files": 12,
            "learn_lines": 85,
            "learn_median_lines": 1.5,
            "learn_files_under_60": 11,
            "tests_lines": 3,
            "flows_files": 1,
            # One of the command line, four of the towers, two of the flow, one of the benchmark; the rest are of files.
            "imports_between_rooms": 8,
            "imports_past_a_face": 5,
            "learn_imports_past_a_face": 4,
            "functions": 4,
            "functions_not_verbs": 2,
            "functions_not_verbs_percent": 50,
            "learn_functions_not_verbs": 1,
            "public_names": 2,
            "library_example_lines": 2,
        }.items()
    )
    assert list(house.rooms) == ["data", "model", "files"]
    assert house.rooms["data"] == Sizes(files=5, lines=7, median_lines=1, files_under_60=5)


def test_importers_are_counted_through_a_rooms_face_and_without_tests(checkout: Path) -> None:
    lonely = list_modules_with_one_importer(read_modules(checkout))
    # Config: cli and tables. Tables: cli, unused, towers, flow and benchmark. Rows: tables and towers.
    # Splits: the flow by the room's face, the benchmark by that of `learn`. Towers: both, too.
    # Losses: the towers alone, because an `__init__` is no importer.
    assert lonely == ["learn.cli", "learn.data.unused", "learn.model.losses"]


def test_a_commit_is_counted_as_it_was_and_the_checkout_as_it_is(checkout: Path, tmp_path: Path) -> None:
    (checkout / "learn" / "data" / "rows.py").unlink()
    (checkout / "learn" / "data" / "tables.py").write_text("def load(): ...\n")
    (checkout / "learn" / "untracked.py").write_text("")
    files = []
    for revision in ("HEAD", None):
        folder = tmp_path / str(revision)
        folder.mkdir()
        extract_tree(checkout, revision, folder)
        files.append(count_house(folder).figures["learn_files"])
        assert (folder / "learn" / "data" / "tables.py").read_text().count("\n") == (4 if revision else 1)
    assert files == [12, 11]


def test_an_unknown_commit_is_an_error_that_names_it(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="Git failed") as caught:
        extract_tree(checkout, "nosuch", tmp_path)
    assert "nosuch" in str(caught.value.where)


def test_the_page_sets_both_commits_side_by_side(checkout: Path, tmp_path: Path) -> None:
    before = count_house(checkout)
    (checkout / "learn" / "data" / "rows.py").unlink()
    (checkout / "learn" / "config.py").unlink()
    after = count_house(checkout)
    page = write_page(tmp_path, before=before, before_commit="a" * 40, after=after, after_commit="b" * 40 + "+changes")
    text = page.read_text()
    assert "two commits, `aaaaaaa` and `bbbbbbb+changes`" in text
    assert "| Files of learn | 12 | 10 | |" in text
    assert "| Files of learn under 60 lines | 11 | 10 | 16 or fewer |" in text
    assert "| `data` | 5 | 7 | 1 | 5 | 4 | 6 | 1 | 4 |" in text
    record = json.loads((tmp_path / "house.json").read_text())
    assert record["figures"] == after.figures
    assert record["before"] == {"figures": before.figures, "commit": "a" * 40}
    assert record["commit"] == "b" * 40 + "+changes"
    assert set(record) == {"figures", "before", "machine", "versions", "commit", "seeds"}


def test_the_committed_figures_are_those_of_the_page() -> None:
    record = json.loads((ROOT / "docs" / "benchmarks" / "house.json").read_text())
    page = (ROOT / "docs" / "benchmarks" / "house.md").read_text()
    assert format_figures(record["before"]["figures"], record["figures"]) in page
