"""What every step shares: plain errors, transferred files, and an exit status that is the flow's verdict."""

from __future__ import annotations

import functools
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

from metaflow.exception import MetaflowException

from learn.config import MachineSettings, Settings
from learn.errors import LearnError, explain_storage_faults

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
        code = _read_exit_code(flow)
        sys.exit(code or _exit_code(flow.__name__, file))


def _read_exit_code(flow: type[Any]) -> int:
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


_Step = TypeVar("_Step", bound=Callable[..., None])


class _Stopped(MetaflowException):
    """What Metaflow prints as a headline and a message, without a traceback."""

    def __init__(self, error: LearnError) -> None:
        self.headline = error.headline
        super().__init__(str(error))  # type: ignore[no-untyped-call]  # Metaflow types its exceptions not at all


def show_errors_plainly(body: _Step) -> _Step:
    """Wrap a step so that a :class:`LearnError` in it is shown as what it says, and the run fails."""

    @functools.wraps(body)
    def wrapped(*args: Any) -> None:
        try:
            with explain_storage_faults(Path.cwd()):
                body(*args)
        except LearnError as error:
            raise _Stopped(error) from None
        except FileNotFoundError as fault:
            raise _Stopped(_explain_missing_file(args[0], fault)) from None

    return wrapped  # type: ignore[return-value]  # the wrapper takes what the step takes


def _explain_missing_file(flow: Any, fault: FileNotFoundError) -> LearnError:
    """Say that a file which an earlier step made is gone; a fault that is none of the workspace's stays what it is.

    Raises:
        FileNotFoundError: The file is somewhere else.
    """
    settings, name = getattr(flow, "settings", None), fault.filename
    if settings is None or name is None or not Path(str(name)).is_relative_to(settings.workspace.absolute()):
        raise fault
    return LearnError(
        "A file that an earlier step of this run made is gone.",
        where=str(name),
        fix="start the run again from its beginning: a resume makes only the tables again",
    )


def parse_settings(text: str) -> dict[str, Any]:
    """Parse the settings file for Metaflow's Config, which keeps it with the run."""
    try:
        Settings.from_toml(text)
    except LearnError as error:
        raise _Stopped(error) from None
    return tomllib.loads(text)


def parse_machines(text: str) -> dict[str, Any]:
    """Parse the file of machines, as :func:`settings_text` does the settings."""
    try:
        MachineSettings.from_toml(text, where="file of machines")
    except LearnError as error:
        raise _Stopped(error) from None
    return tomllib.loads(text)


_TABLES = ("items.parquet", "interactions.parquet")
_DESTINATIONS = frozenset({"reports", "scratch"})
"""Folders that steps write to: what is in them is named by the artifacts, not by the folder."""


def transfers_files(*folders: str) -> Callable[[_Step], _Step]:
    """Wrap a step so that it finds the files it reads and leaves those it has made.

    Before it the files are downloaded that the artifacts speak of which its body names; after it those are uploaded
    that its own artifacts speak of, and the reports. Which file is where travels as the artifact ``handed``.

    Args:
        folders: Those of ``reports`` and ``scratch`` that the step reads as a whole.
    """

    def decorate(body: _Step) -> _Step:
        reads = list_artifact_names(body) | set(folders)

        @functools.wraps(body)
        def wrapped(flow: Any, *inputs: Any) -> None:
            before = list(inputs[0]) if inputs else [flow]
            if _read_location(before[0]):
                _download(flow, before, reads)
            if reads & _READERS_OF_TABLES:
                _restore_tables(before[0])
            body(flow, *inputs)
            if _read_location(flow):
                _upload(flow)

        return wrapped  # type: ignore[return-value]  # the wrapper takes what the step takes

    return decorate


_READERS_OF_TABLES = frozenset({"validation_summary", "inputs"})
"""Artifacts that name the valid tables."""


def _restore_tables(flow: Any) -> None:
    """Make the valid tables of a run again where they were removed, as before a resume; from its snapshot."""
    summary, version = getattr(flow, "validation_summary", None), getattr(flow, "version", None)
    if summary is None or version is None or all((summary.folder / name).is_file() for name in _TABLES):
        return
    from learn.data import prepare_tables

    workspace = flow.settings.workspace.absolute()
    prepare_tables(version, workspace=workspace, report=flow.reports / "validation.html", settings=flow.settings)


def list_artifact_names(body: Callable[..., None]) -> set[str]:
    """Return every attribute that a step's body names, those of its inner functions too, but the destinations.

    A step hands its artifacts to the rooms by name, so none that it reads is missing. A name that is no artifact costs
    one look-up.
    """
    code: list[CodeType] = [body.__code__]
    names: set[str] = set()
    while code:
        part = code.pop()
        names |= set(part.co_names)
        code += [each for each in part.co_consts if isinstance(each, CodeType)]
    return names - _DESTINATIONS


def _read_location(flow: Any) -> str:
    settings = getattr(flow, "settings", None)
    return "" if settings is None else str(settings.places.run_files)


def _download(flow: Any, before: list[Any], reads: set[str]) -> None:
    from learn.storage import RunFiles, iterate_paths, merge_files

    # Set before a join merges what its branches hold, which differs.
    flow.handed = merge_files(getattr(each, "handed", ()) for each in before)
    wanted = [getattr(each, name, None) for each in before for name in sorted(reads)]
    RunFiles.open(_read_location(before[0])).fetch(flow.handed, roots=iterate_paths(wanted))


def _upload(flow: Any) -> None:
    from learn.storage import RunFiles, iterate_paths, merge_files

    handed = getattr(flow, "handed", ())
    held = {name: value for name, value in vars(flow).items() if not name.startswith("_") and name != "handed"}
    left = RunFiles.open(_read_location(flow)).leave({*iterate_paths(held), flow.reports}, known=handed)
    flow.handed = merge_files([handed, left])
