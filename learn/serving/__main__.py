"""Name the command that took the place of ``python -m learn.serving``."""

import sys

if __name__ == "__main__":
    sys.exit("`python -m learn.serving` is now `learn export`.")
