"""Forward passes side by side, each on one core."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


class OneCoreEach:
    """Keeps torch on one core a forward pass while anyone encodes, and lets it go as it was afterwards.

    torch's number of threads is the process's: whoever comes first lowers it, whoever leaves last restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it, forward passes run on one core each."""
        with self._lock:
            if not self._inside:
                self._before = torch.get_num_threads()
                torch.set_num_threads(1)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    torch.set_num_threads(self._before)


ONE_CORE_EACH = OneCoreEach()
"""One for the process, as is the number it holds."""


def started_pool(threads: int) -> ThreadPoolExecutor:
    """Threads for forward passes, torch on one core in each."""
    return ThreadPoolExecutor(threads, "encoder", torch.set_num_threads, (1,))


def available_threads() -> int:
    """Cores this process may use: ``OMP_NUM_THREADS`` and the process's affinity both count."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, torch.get_num_threads()))
