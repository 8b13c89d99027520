"""Work that is done off the request's path, and left undone rather than waited for."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("bentoml.learn")

_WARN_SECONDS = 60.0


class Shadow:
    """Does one job after the other in a thread of its own.

    Args:
        capacity: Jobs that may wait; further ones are left out.

    Attributes:
        done: Jobs that were done.
        left_out: Jobs that found no room.
        failed: Jobs that raised an error.
    """

    def __init__(self, capacity: int) -> None:
        self.done = self.left_out = self.failed = 0
        self._warned = -_WARN_SECONDS
        self._jobs: queue.Queue[Callable[[], object] | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._work, name="learn-shadow", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], object]) -> bool:
        """Take a job, if there is room; never waits."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.left_out += 1
            return False
        return True

    def close(self) -> None:
        """Do what waits, and end."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
                self.done += 1
            except Exception:
                # Nobody sees the shadow's answers, so its faults must not end it; each minute tells of one.
                self.failed += 1
                if time.monotonic() - self._warned >= _WARN_SECONDS:
                    self._warned = time.monotonic()
                    logger.exception("The challenger could not answer in the shadow")
