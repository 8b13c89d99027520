"""RecBole in a virtual environment of its own: it wants libraries that LEARN's has long outgrown."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.ending import BenchmarkError
from benchmarks.recbole.processes import run_quietly
from learn.errors import explain_storage_faults

REQUIREMENTS = Path(__file__).with_name("recbole_requirements.txt")
# Ray, which RecBole requires, has wheels for no later Python in the only versions that RecBole allows.
_PYTHON = (3, 11)


def compute_environment_key() -> str:
    """Return a hash of what the environment is made from."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes())
    digest.update(f"{_find_torch()} {_PYTHON}".encode())
    return digest.hexdigest()


def make_environment(folder: Path) -> Path:
    """Make RecBole's environment, or take the one that an earlier call made from the same requirements.

    Args:
        folder: Of the environment; one made from other requirements is replaced. The log is written beside it.

    Returns:
        Its Python.

    Raises:
        BenchmarkError: There is no uv, or a package cannot be had.
        StorageError: The disk is full or closed.
    """
    python, made = folder / "bin" / "python", folder / "made"
    if made.exists() and made.read_text(encoding="utf-8") == compute_environment_key():
        return python
    uv = _find_uv()
    log = folder.with_name(f"{folder.name}.log")
    with explain_storage_faults(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
    base = sys.executable if sys.version_info[:2] == _PYTHON else ".".join(map(str, _PYTHON))
    commands: list[list[str | Path]] = [
        [uv, "venv", "--python", base, folder],
        [uv, "pip", "install", "--python", python, "--compile-bytecode", "-r", REQUIREMENTS, _find_torch()],
    ]
    for command in commands:
        run_quietly(command, log=log, environment=_build_uv_environment(), cwd=folder.parent)
    with explain_storage_faults(folder):
        made.write_text(compute_environment_key(), encoding="utf-8")
    return python


def _find_torch() -> str:
    # Without the build (`+cpu`), which only some indexes offer; find-links and UV_TORCH_BACKEND choose it.
    return f"torch=={version('torch').partition('+')[0]}"


def _find_uv() -> Path:
    beside = Path(sys.executable).with_name("uv")
    found = beside if beside.exists() else shutil.which("uv")
    if found is None:
        raise BenchmarkError(
            "There is no uv to make RecBole's environment with.",
            where=beside,
            fix="run `make environment`, which installs it with the other development tools",
        )
    return Path(found)


def _build_uv_environment() -> dict[str, str]:
    # uv reads its own variable alone.
    links = os.environ.get("PIP_FIND_LINKS")
    return ({"UV_FIND_LINKS": links} if links else {}) | dict(os.environ)
