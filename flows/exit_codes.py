"""A flow whose verdict is the command's exit code, for cron and for CI."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

_STARTS = frozenset({"run", "resume"})
_OPTION = "--run-id-file"


def run_with_exit_code(flow: type[Any]) -> None:
    """Run a flow's command line; where it starts a run, end with the run's artifact ``exit_code``.

    The run's number is asked of Metaflow by its own option, so that this process needs to know nothing of the steps,
    which ran in others.
    """
    words = sys.argv[1:]
    # Help ends well without a run.
    if not _STARTS & set(words) or "--help" in words:
        flow()
        return
    with tempfile.TemporaryDirectory(prefix="learn-") as folder:
        given = words[words.index(_OPTION) + 1 : words.index(_OPTION) + 2] if _OPTION in words else []
        file = Path(given[0]) if given else Path(folder) / "run_id"
        if not given:
            sys.argv += [_OPTION, str(file)]
        code = _code_of(flow)
        sys.exit(code or _exit_code(flow.__name__, file))


def _code_of(flow: type[Any]) -> int:
    try:
        flow()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _exit_code(name: str, file: Path) -> int:
    from metaflow.client.core import Run

    task = Run(f"{name}/{file.read_text(encoding='utf-8').strip()}", _namespace_check=False)["end"].task
    # A run that ended well has an end; without one something is wrong, and the command says so.
    return 1 if task is None else int(task["exit_code"].data)
