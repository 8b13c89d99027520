"""Name the command that took the place of ``python -m learn.evaluation``."""

import sys

if __name__ == "__main__":
    sys.exit("`python -m learn.evaluation` is now `learn evaluate`.")
