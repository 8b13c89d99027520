"""A user's mistake ends a step with one message instead of a traceback."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from metaflow.exception import MetaflowException

from learn.config import Settings
from learn.config.machines import MachineSettings
from learn.errors import LearnError, storage_faults

_Step = TypeVar("_Step", bound=Callable[..., None])


class _Stopped(MetaflowException):
    """What Metaflow prints as a headline and a message, without a traceback."""

    def __init__(self, error: LearnError) -> None:
        self.headline = error.headline
        super().__init__(str(error))  # type: ignore[no-untyped-call]  # Metaflow types its exceptions not at all


def plain_errors(body: _Step) -> _Step:
    """Wrap a step so that a :class:`LearnError` in it is shown as what it says, and the run fails."""

    @functools.wraps(body)
    def wrapped(*args: Any) -> None:
        try:
            with storage_faults(Path.cwd()):
                body(*args)
        except LearnError as error:
            raise _Stopped(error) from None

    return wrapped  # type: ignore[return-value]  # the wrapper takes what the step takes


def settings_text(text: str) -> dict[str, Any]:
    """Parse the settings file for Metaflow's Config, which keeps it with the run."""
    try:
        Settings.from_toml(text)
    except LearnError as error:
        raise _Stopped(error) from None
    return tomllib.loads(text)


def machines_text(text: str) -> dict[str, Any]:
    """Parse the file of machines, as :func:`settings_text` does the settings."""
    try:
        MachineSettings.from_toml(text, where="file of machines")
    except LearnError as error:
        raise _Stopped(error) from None
    return tomllib.loads(text)
