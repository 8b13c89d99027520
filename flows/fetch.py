"""Name the command that took the place of ``python -m flows.fetch``."""

import sys

if __name__ == "__main__":
    sys.exit("`python -m flows.fetch` is now `learn runs fetch`.")
