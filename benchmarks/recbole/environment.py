"""RecBole in its own virtual environment, because it needs old versions of libraries.

A side of the comparison as a separate process, quiet, with its own number of threads.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness.cli import BenchmarkError
from benchmarks.harness.provenance import ROOT
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
        folder: Of the environment; one made from other requirements is replaced. The log is written next to it.

    Returns:
        Its Python.

    Raises:
        BenchmarkError: There is no uv, or a package cannot be obtained.
        StorageError: The disk is full or not writable.
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
    neighbour = Path(sys.executable).with_name("uv")
    found = neighbour if neighbour.exists() else shutil.which("uv")
    if found is None:
        raise BenchmarkError(
            "There is no uv to make RecBole's environment with.",
            where=neighbour,
            fix="run `make environment`, which installs it with the other development tools",
        )
    return Path(found)


def _build_uv_environment() -> dict[str, str]:
    # uv only reads its own variable.
    links = os.environ.get("PIP_FIND_LINKS")
    return ({"UV_FIND_LINKS": links} if links else {}) | dict(os.environ)


_SHOWN_LINES = 15


def run_quietly(command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str], cwd: Path) -> None:
    """Run a command until it finishes, with its output in a file.

    Args:
        command: Program and arguments.
        log: File for standard output and standard error, replaced.
        environment: The process environment.
        cwd: Where it runs.

    Raises:
        BenchmarkError: The command failed; its last lines are in the message.
        StorageError: The log cannot be written.
    """
    with explain_storage_faults(log), log.open("wb") as out:
        done = subprocess.run(
            [str(word) for word in command], stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=cwd, check=False
        )
    if done.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
        raise BenchmarkError(
            f"`{' '.join(map(str, command[:3]))} …` ended with exit status {done.returncode}.\n" + "\n".join(last),
            where=log,
            fix="read the log, fix what it names and run the benchmark again",
        )


def run_side(
    python: str | Path, side: str, *words: str, options: Mapping[str, object], log: Path, threads: int, cwd: Path
) -> None:
    """Run a module of this folder as one side of the comparison.

    Args:
        python: Of the environment it runs in.
        side: Name of the module.
        words: Its positional arguments.
        options: Its options by name.
        log: File for all it says, replaced.
        threads: Of its matrix products.
        cwd: Where it runs.

    Raises:
        BenchmarkError: It failed.
        StorageError: The log cannot be written.
    """
    named = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [python, "-m", f"benchmarks.recbole.{side}", *words, *named]
    run_quietly(command, log=log, environment=_build_side_environment(threads=threads), cwd=cwd)


def _build_side_environment(*, threads: int) -> dict[str, str]:
    # The same for both sides: as many threads, and only the CPU.
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # As LEARN runs everywhere: waiting threads sleep, so that what else runs disturbs both sides alike.
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUDA_VISIBLE_DEVICES": "",
        # RecBole 1.2.1 loads its own checkpoints, which hold more than weights, in the way of Torch before 2.6.
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    }
