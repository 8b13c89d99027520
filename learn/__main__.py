"""Run the command: ``python -m learn``."""

from learn.cli import main

if __name__ == "__main__":
    main()
