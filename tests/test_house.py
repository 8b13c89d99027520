"""The checks of names and of prose find what they must, say what to write instead, and hold their limits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_functions_that_must_begin_with_a_verb_are_counted(tree: Path) -> None:
    counts = json.loads(run_check("names", "--root", tree, "--json").stdout)
    # Nouns are allowed in six places of the file, and a test, a setter and a magic method are not looked at.
    assert counts["learn"] == {"functions": 16, "not_verbs": 8}
    assert counts["tests"] == {"functions": 1, "not_verbs": 1}


@pytest.mark.parametrize(
    ("limit", "status", "output"), [(10, 1, "learn: 11 hits, 10 allowed"), (11, 0, ""), (12, 0, "")]
)
def test_the_limit_of_a_folder_holds(tree: Path, tmp_path: Path, limit: int, status: int, output: str) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text(f"[names]\nlearn = {limit}\ntests = 1\n")
    done = run_check("names", "--root", tree, "--limits", limits)
    assert (done.returncode, done.stdout.partition(";")[0].strip()) == (status, output)
    assert ("lower its limit of 12" in done.stderr) == (limit == 12)


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
    (tmp_path / "page.md").write_text("A stand-alone house, standby, unto-ld; the outlier relies on it.\n")
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
