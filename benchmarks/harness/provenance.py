"""Where a figure comes from: machine, versions, commit, memory."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LIBRARIES = ("learn-recsys", "torch", "numpy", "scipy", "scikit-learn", "polars", "transformers")


def find_real_data() -> Path:
    """Return the folder of the public data sets: by ``LEARN_REAL_DATA``, else next to the checkout."""
    return Path(os.environ.get("LEARN_REAL_DATA") or ROOT.parent / "shared" / "data")


def describe_machine() -> dict[str, str | int | float]:
    """Return the machine in words and numbers: processor, cores, memory, system."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _read_processor(),
        "cores": _count_cores(),
        "memory_gb": round(pages / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


@cache
def list_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that figures depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def read_commit() -> str:
    """Return the commit of the code, with ``+changes`` where tracked files differ from it."""
    try:
        head = _run_git("rev-parse", "HEAD")
        return head + ("+changes" if _run_git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def shorten_commit(commit: str) -> str:
    """Return a commit as people write it, with its mark of changes."""
    head, plus, changes = commit.partition("+")
    return head[:7] + plus + changes


def read_peak_memory_bytes() -> int:
    """Return the most memory this process has held."""
    try:
        # Not `getrusage`: its peak begins with that of the process that started this one.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _run_git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
