"""Measure what a warm start saves a daily retraining: python -m benchmarks.daily_retrain --help."""

from __future__ import annotations

from learn.environment import configure_process

configure_process()

import sys  # noqa: E402  # the libraries read the environment when they are imported

from benchmarks.daily_retrain.command import main  # noqa: E402  # as above

if __name__ == "__main__":
    sys.exit(main())
