"""Run :mod:`learn.serving.cli`."""

from learn.serving.cli import cli

if __name__ == "__main__":
    cli()
