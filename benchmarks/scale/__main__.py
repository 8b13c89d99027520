"""Measure size, faults and several processes: python -m benchmarks.scale --help."""

from __future__ import annotations

from learn.environment import configure_process

configure_process()

import sys  # noqa: E402  # the libraries read the environment when they are imported

from benchmarks.scale.command import main  # noqa: E402  # as above

if __name__ == "__main__":
    sys.exit(main())
