"""The process environment that LEARN's dependencies read at import: no telemetry, no noise, no spinning threads.

Call :func:`configure_process` first thing in a program, before the libraries are imported. Every value is a
default: what is already set in the environment stays (docs/telemetry.md says how to switch each on).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_DEFAULTS = {
    # Nothing leaves the machine unasked.
    "DVC_NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # Progress is LEARN's own: two bars at once cannot be read.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # The tokenizers' warning about forked workers concerns parallelism that LEARN does not use.
    "TOKENIZERS_PARALLELISM": "false",
    # Waiting threads sleep instead of spinning. Spinning gains nothing measurable on a quiet machine, and where two
    # steps, or anything else, share two cores it made a training epoch four times as long.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Products in bfloat16 are compiled for each shape, and each batch has its own: two caches keep 1,024 kernels each.
    # With 32 an epoch takes the same time and half the memory (measured: 1.0 GB in place of 2.2).
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",
    "LRU_CACHE_CAPACITY": "32",
    # Metaflow warns about an update of its card templates on every run.
    "METAFLOW_CARD_NO_WARNING": "1",
}


def configure_process() -> None:
    """Set the defaults above where the environment has none of its own."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    _name_the_user()
    _name_the_interpreter()


def _name_the_user() -> None:
    # Metaflow refuses to run as root or without a user name, as in most containers.
    if os.environ.get("METAFLOW_USER"):
        return
    names = (os.environ.get(name) for name in ("SUDO_USER", "USERNAME", "USER", "LOGNAME"))
    named = next((name for name in names if name and name != "root"), None)
    if named is None:
        os.environ["METAFLOW_USER"] = "learn"


def _name_the_interpreter() -> None:
    # Metaflow starts the further processes of a `@parallel` step as `python`, which without an activated environment
    # is another Python, or none.
    folder = str(Path(sys.executable).parent)
    before = os.environ.get("PATH", os.defpath)
    if before.split(os.pathsep)[0] != folder:
        os.environ["PATH"] = os.pathsep.join((folder, before))
