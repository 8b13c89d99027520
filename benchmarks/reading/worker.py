"""Runs in the tree that is measured, which may be of an earlier commit: only what both have is imported.

python worker.py cases FOLDER         # check each case, print {name: outcome} as JSON
python worker.py load FOLDER SCRATCH  # load and validate a shop, print seconds, bytes and rows as JSON
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from pathlib import Path

from learn.environment import configure_process

configure_process()

from learn.config import Settings  # noqa: E402  # the libraries read the environment when they are imported
from learn.errors import LearnError  # noqa: E402  # as above


def check_case(folder: Path) -> dict[str, object]:
    """Return the answer of a check, the message of a refusal, or the last line of a traceback."""
    # By its name: the face of the room at an earlier commit does not hold it.
    check_folder = importlib.import_module("learn.data.check").check_folder
    try:
        settings = Settings.from_mapping(json.loads((folder / "settings.json").read_text(encoding="utf-8")))
        return {"answer": check_folder(folder / "data", settings=settings).to_dict()}
    except LearnError as fault:
        return {"refusal": str(fault)}
    except BaseException as fault:  # a panic of Polars is no Exception
        return {"traceback": traceback.format_exception_only(fault)[-1].strip()}


def load_shop(folder: Path, scratch: Path) -> dict[str, float]:
    """Load and validate a shop."""
    from learn.data import load_tables, validate_tables

    settings = Settings()
    began, used = time.perf_counter(), time.process_time()
    raw = load_tables(folder, scratch / "raw", settings=settings.data)
    found = validate_tables(
        raw.folder, scratch / "valid", report=scratch / "validation.html", settings=settings.validation
    )
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - used
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    rows = found.items.rows + found.interactions.rows
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak, "rows": rows}


def main() -> None:
    """Run one of the two, and print its result as the last line."""
    what, *paths = sys.argv[1:]
    if what == "cases":
        folders = sorted(path for path in Path(paths[0]).iterdir() if path.is_dir())
        print(json.dumps({folder.name: check_case(folder) for folder in folders}))
    else:
        print(json.dumps(load_shop(*map(Path, paths))))


if __name__ == "__main__":
    main()
