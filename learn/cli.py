"""The command ``learn``: one group of commands for each room that people work with by hand."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from learn.environment import configure_process
from learn.errors import LearnError

_ROOMS = {"content": "learn.content.cli", "models": "learn.registry.cli"}


class _Rooms(click.Group):
    """Loads a room when one of its commands is called, so that ``learn --help`` waits for no library."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click names it
        return list(_ROOMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        if cmd_name not in _ROOMS:
            return None
        command = getattr(import_module(_ROOMS[cmd_name]), cmd_name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Rooms)
def learn() -> None:
    """Look after what LEARN keeps: content vectors and models."""


def main() -> None:
    """Run the command; the exit status is 1 with one plain message where LEARN stops on purpose."""
    configure_process()
    try:
        learn()
    except LearnError as error:
        print(f"{error.headline}\n{error}", file=sys.stderr)  # noqa: T201 - a command speaks to the person by printing
        sys.exit(1)


if __name__ == "__main__":
    main()
