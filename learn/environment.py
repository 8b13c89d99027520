"""The process environment that LEARN's dependencies read at import: no telemetry, no noise, no spinning threads.

Call :func:`configure_process` first thing in a program, before the libraries are imported. Every value is a
default: what is already set in the environment stays (docs/telemetry.md says how to switch each on).
"""

from __future__ import annotations

import os
import pwd
import sys
import tempfile
from pathlib import Path

_DEFAULTS = {
    # Nothing leaves the machine without consent.
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
    # Products in bfloat16 are compiled for each shape, and each batch has another shape: two caches keep 1,024 kernels
    # each. With 32 an epoch takes the same time and half the memory (measured: 1.0 GB in place of 2.2).
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",
    "LRU_CACHE_CAPACITY": "32",
    # Metaflow warns about an update of its card templates on every run.
    "METAFLOW_CARD_NO_WARNING": "1",
}


def configure_process() -> None:
    """Set the defaults above for variables that are not set."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    _name_the_user()
    _find_a_home()
    _name_the_interpreter()


def _name_the_user() -> None:
    if not os.environ.get("METAFLOW_USER"):
        # Metaflow refuses to run as root or without a user name, as in most containers; it does not read LOGNAME, which
        # is all that cron sets.
        read = (os.environ.get(name) for name in ("SUDO_USER", "USERNAME", "USER"))
        if next((name for name in read if name and name != "root"), None) is None:
            logged_in = os.environ.get("LOGNAME", "")
            os.environ["METAFLOW_USER"] = logged_in if logged_in not in {"", "root"} else "learn"
    if _find_account() is None and not any(os.environ.get(name) for name in ("LOGNAME", "USER")):
        # A user id without an account, as OpenShift gives: libraries that look up the user's name would find none.
        os.environ["LOGNAME"] = os.environ["METAFLOW_USER"]


def _find_a_home() -> None:
    """Name a home folder if there is none, or `/` that this user cannot write: libraries keep their files there.

    A home that is merely read-only stays: a mounted one holds credentials and models. What is written goes elsewhere.
    """
    account = _find_account()
    home = Path(os.environ.get("HOME") or (account.pw_dir if account else "") or os.devnull)
    if home.is_dir() and os.access(home, os.W_OK | os.X_OK):
        return
    here = Path.cwd() if os.access(Path.cwd(), os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    other = here / ".learn" / "home"
    if home == Path("/") or not home.is_dir():
        os.environ["HOME"] = str(other)
    os.environ.setdefault("BENTOML_HOME", str(other / "bentoml"))


def _find_account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None


def _name_the_interpreter() -> None:
    # Metaflow starts the further processes of a `@parallel` step as `python`, which without an activated environment
    # is another Python, or none.
    folder = str(Path(sys.executable).parent)
    before = os.environ.get("PATH", os.defpath)
    if before.split(os.pathsep)[0] != folder:
        os.environ["PATH"] = os.pathsep.join((folder, before))
