"""A project folder with git and DVC in it, and what tests of data versions do to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from learn.config.data import DataSettings
from learn.data.versions.snapshot import DataVersion, record_version, restore_version

SETTINGS = DataSettings(lock_wait_seconds=0)


def settle_tests(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("HOME", str(folder))
    for kind in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{kind}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{kind}_EMAIL", "test@example.org")


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path) -> str:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "step", "--allow-empty")
    return git(root, "rev-parse", "HEAD")


def tables(folder: Path, text: str = "first") -> Path:
    (folder / "more").mkdir(parents=True, exist_ok=True)
    (folder / "items.csv").write_text(f"item_id,title\n1,{text}\n")
    (folder / "more" / "interactions.csv").write_text("user_id,item_id\n1,1\n")
    return folder


def record(folder: Path, root: Path, settings: DataSettings = SETTINGS) -> DataVersion:
    return record_version(folder, root=root, settings=settings)


def restore(version: str, folder: Path, root: Path) -> DataVersion:
    return restore_version(version, folder=folder, root=root, settings=SETTINGS)


def forget_cache(root: Path) -> None:
    shutil.rmtree(root / ".dvc" / "cache")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
