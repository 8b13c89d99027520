"""Name the command that took the place of ``python -m learn.data``."""

import sys

if __name__ == "__main__":
    sys.exit("`python -m learn.data` is now `learn data`.")
