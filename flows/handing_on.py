"""The files that steps hand on where their machines share no disk; otherwise nothing of it acts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

_Step = TypeVar("_Step", bound=Callable[..., None])


def hands_on(*reads: str) -> Callable[[_Step], _Step]:
    """Wrap a step so that it finds the files it reads and leaves those it has made.

    Before it the files are fetched that the named artifacts of the steps before it speak of; after it those are left
    that its own artifacts speak of, and the reports. Which file lies where travels as the artifact ``handed``.

    Args:
        reads: Names of artifacts; one that a step before has not set is passed over.
    """

    def decorate(body: _Step) -> _Step:
        @functools.wraps(body)
        def wrapped(flow: Any, *inputs: Any) -> None:
            before = list(inputs[0]) if inputs else [flow]
            if _location(before[0]):
                _fetch(flow, before, reads)
            body(flow, *inputs)
            if _location(flow):
                _leave(flow)

        return wrapped  # type: ignore[return-value]  # the wrapper takes what the step takes

    return decorate


def _location(flow: Any) -> str:
    settings = getattr(flow, "settings", None)
    return "" if settings is None else str(settings.places.run_files)


def _fetch(flow: Any, before: list[Any], reads: tuple[str, ...]) -> None:
    from learn.run_files import RunFiles, paths_in, together

    # Set before a join merges what its branches hold, which differs.
    flow.handed = together(getattr(each, "handed", ()) for each in before)
    wanted = [getattr(each, name, None) for each in before for name in reads]
    RunFiles.at(_location(before[0])).fetch(flow.handed, roots=paths_in(wanted))


def _leave(flow: Any) -> None:
    from learn.run_files import RunFiles, paths_in, together

    handed = getattr(flow, "handed", ())
    held = {name: value for name, value in vars(flow).items() if not name.startswith("_") and name != "handed"}
    left = RunFiles.at(_location(flow)).leave({*paths_in(held), flow.reports}, known=handed)
    flow.handed = together([handed, left])
