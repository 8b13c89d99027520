"""A side of the comparison as a process of its own, quiet, with its own number of threads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.ending import BenchmarkError
from benchmarks.quality.provenance import ROOT
from learn.errors import explain_storage_faults

_SHOWN_LINES = 15


def run_quietly(command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str], cwd: Path) -> None:
    """Run a command to its end with all it says in a file.

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
            fix="read the log, mend what it names and run the benchmark again",
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
    # The same for both sides: as many threads, and the CPU alone.
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
