"""Limits that only go down, for the checks of names and of prose.

Each check counts its hits by folder and compares them with `vocabulary/limits.toml`. A change that fixes
some of them lowers the limit. At 0 every new hit is an error.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VOCABULARY = ROOT / "scripts" / "vocabulary"
LIMITS = VOCABULARY / "limits.toml"


def read_lines(path: Path) -> list[str]:
    """Return the lines of a word list without empty ones and comments (``#``)."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def list_files(root: Path) -> list[str]:
    """Return the tracked files of a checkout, or every file of another folder; relative to it, in order."""
    if (root / ".git").exists():
        done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
        return sorted(name for name in done.stdout.split("\0") if (root / name).is_file())
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def is_below(path: str, folders: list[str]) -> bool:
    """Return whether a file is one of the given paths or inside one of them; without paths, every file is."""
    return not folders or any(f"{path}/".startswith(f"{folder.rstrip('/')}/") for folder in folders)


def compare_with_limits(check: str, counts: Mapping[str, int], *, limits: Path = LIMITS) -> int:
    """Print what is above and what is below its limit.

    Args:
        check: Table of the limits: ``names`` or ``prose``.
        counts: Hits of each folder.
        limits: TOML file; a folder that it lacks has the limit 0.

    Returns:
        The exit status: 1 if a folder has more hits than its limit, otherwise 0.
    """
    allowed: dict[str, int] = tomllib.loads(limits.read_text(encoding="utf-8"))[check]
    status = 0
    for folder in sorted({*counts, *allowed}):
        count, limit = counts.get(folder, 0), allowed.get(folder, 0)
        if count > limit:
            print(f"{folder}: {count} hits, {limit} allowed; see scripts/check_{check}.py --list {folder}")
            status = 1
        elif count < limit:
            print(f"{folder}: {count} hits; lower its limit of {limit} in {limits.name}", file=sys.stderr)
    return status
