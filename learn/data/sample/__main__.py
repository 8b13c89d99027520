"""Name the command that took the place of ``python -m learn.data.sample``."""

import sys

if __name__ == "__main__":
    sys.exit("`python -m learn.data.sample` is now `learn data sample`.")
