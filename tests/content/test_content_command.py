from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from learn.cli import main
from learn.content.store import ContentStore
from tests.content.test_content_store import PRINT, keys_of, vectors_of


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str


@pytest.fixture
def learn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    def answer(folder: Path, *words: str) -> Answer:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "argv", ["learn", "content", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    return answer


Learn = Callable[..., Answer]


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    store = ContentStore.create(tmp_path / ".learn" / "content", PRINT)
    for numbers in ((1, 2, 3), (4, 5)):
        store.write(keys_of(*numbers), vectors_of(*numbers))
    return store


def test_check_counts_what_is_whole_and_names_what_is_not(learn: Learn, tmp_path: Path, store: ContentStore) -> None:
    good = learn(tmp_path, "check")
    assert good.status == 0
    assert [line.split()[:3] for line in good.out.splitlines() if PRINT.name in line] == [[PRINT.name, "5", "2"]]
    first, second = sorted(Path(store.location).glob("part-*"))
    first.write_bytes(first.read_bytes()[:-30])
    second.write_bytes(second.read_bytes().replace(vectors_of(4).tobytes(), vectors_of(7).tobytes()))
    bad = learn(tmp_path, "check", "--store", str(tmp_path / ".learn" / "content"))
    assert bad.status == 1
    assert "2 of 2 parts are damaged" in bad.err
    assert str(first) in bad.err
    assert str(second) in bad.err
    assert "delete each of these files" in bad.err


def test_gc_says_first_and_does_then(learn: Learn, tmp_path: Path, store: ContentStore) -> None:
    record = tmp_path / ".learn" / "runs" / "1" / "content_plan" / "keys.npy"
    record.parent.mkdir(parents=True)
    np.save(record, keys_of(2, 5))
    young = learn(tmp_path, "gc")
    assert (young.status, len(store)) == (0, 5)
    dry = learn(tmp_path, "gc", "--older-than", "0", "--dry-run")
    assert "dry run" in dry.out
    assert len(store) == 5
    done = learn(tmp_path, "gc", "--older-than", "0")
    assert done.status == 0, done.err
    assert np.array_equal(store.read_keys(), np.sort(keys_of(2, 5)))


def test_gc_of_a_shared_store_asks_whose_runs_use_it(learn: Learn, tmp_path: Path, store: ContentStore) -> None:
    (tmp_path / "settings.toml").write_text(f'[content]\nstore = "{store.location}/.."\n')
    (tmp_path / "elsewhere").mkdir()
    refused = learn(tmp_path / "elsewhere", "gc", "--config", str(tmp_path / "settings.toml"))
    assert refused.status == 1
    assert "--runs FOLDER" in refused.err
    none = learn(tmp_path / "elsewhere", "gc", "--store", str(tmp_path / ".learn" / "content"), "--runs", ".")
    assert none.status == 1
    assert "No run is recorded" in none.err
    assert len(store) == 5


def test_a_store_that_is_not_there_is_one_error(learn: Learn, tmp_path: Path) -> None:
    for command in ("check", "gc"):
        answer = learn(tmp_path, command)
        assert answer.status == 1
        assert "There is no content store" in answer.err
