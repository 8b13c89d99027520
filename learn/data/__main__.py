"""Run :mod:`learn.data.cli`."""

from learn.data.cli import cli

if __name__ == "__main__":
    cli()
