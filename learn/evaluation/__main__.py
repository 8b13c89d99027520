"""Run :mod:`learn.evaluation.cli`."""

from learn.evaluation.cli import cli

if __name__ == "__main__":
    cli()
