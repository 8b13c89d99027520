"""Become a command that ends with the process that started it: ``exit_with_parent.py PARENT COMMAND WORD …``.

A process that is killed cannot stop what it has started. Linux sends a signal at its end (``PR_SET_PDEATHSIG`` of
prctl(2)), also after the command has taken this script's place. The thread that started it counts. Other systems have
no such signal.

The script needs only the standard library, so it runs in any folder.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then run the command in its place."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have ended before the signal was requested.
        if os.getppid() != int(parent):
            sys.exit(f"{command[0]} was not started, because its parent process {parent} has ended")
    os.execv(command[0], command)  # noqa: S606 - no shell, and words that the starting process chose


if __name__ == "__main__":
    main()
