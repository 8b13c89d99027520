"""Bring the reports and the bundle of a run home that handed its files on: python -m flows.fetch RUN --to FOLDER."""

# ruff: noqa: E402  # the environment must be settled before the libraries that read it are imported
from __future__ import annotations

from learn.environment import settle

settle()

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from flows.earlier_bundles import finished_task
from learn.errors import BundleError, LearnError
from learn.run_files import RunFile, RunFiles


def fetch_run(run_id: str, *, to: Path) -> list[Path]:
    """Fetch a train run's reports and bundle into a folder.

    Args:
        run_id: Of a finished run, with or without the flow's name.
        to: Gets the folders ``reports`` and ``bundle``.

    Returns:
        The two folders.

    Raises:
        BundleError: There is no such run, it has not come to its end, or it handed nothing on.
        StorageError: The disk is full or closed, or a file's pieces are gone.
        StoreError: The place of the files cannot be reached.
    """
    task = finished_task(run_id.removeprefix("TrainFlow/"), where=f"run {run_id}")
    settings, reports, bundle = (task[name].data for name in ("settings", "reports", "bundle"))
    if not settings.places.run_files:
        raise BundleError(
            f"Run {run_id} handed no files on: `places.run_files` was not set.",
            where=reports,
            fix="look there, on the machine or the volume of the run",
        )
    roots = {"reports": Path(reports), "bundle": Path(bundle["bundle"])}
    moved = [
        RunFile(to / name / file.path.relative_to(root), file.pieces)
        for name, root in roots.items()
        for file in task["handed"].data
        if file.path.is_relative_to(root)
    ]
    RunFiles.at(settings.places.run_files).fetch(moved, roots=[to])
    return [to / name for name in roots]


def main(words: Sequence[str] | None = None) -> int:
    """Fetch; the exit status is 1 where that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m flows.fetch", description=__doc__)
    parser.add_argument("run", help="id of a finished train run")
    parser.add_argument("--to", type=Path, default=Path(), help="folder for `reports` and `bundle` (here)")
    options = parser.parse_args(words)
    try:
        found = fetch_run(options.run, to=options.to.absolute())
    except LearnError as error:
        print(f"{error.headline}\n{error}", file=sys.stderr)
        return 1
    print("\n".join(str(folder) for folder in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
