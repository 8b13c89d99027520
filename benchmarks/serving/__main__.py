"""Measure the service: python -m benchmarks.serving --help."""

from __future__ import annotations

import os

from benchmarks.harness.provenance import ROOT
from learn.environment import configure_process

configure_process()
# Separate stores: no model of the user who runs this is promoted or served.
os.environ["BENTOML_HOME"] = str(ROOT / ".learn" / "benchmarks" / "serving" / "bentoml")

import sys  # noqa: E402  # the libraries read the environment when they are imported

from benchmarks.serving.command import main  # noqa: E402  # as above

if __name__ == "__main__":
    sys.exit(main())
