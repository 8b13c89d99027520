"""The command ``learn export``: vectors and lists of all users without a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from learn.config import ServingSettings

if TYPE_CHECKING:
    from learn.registry import Bundle


_PATH = click.Path(path_type=Path)


@click.command("export")
@click.option(
    "--bundle",
    "wanted",
    required=True,
    help="Folder of a bundle; or champion, challenger, latest or a version of BentoML's model store.",
)
@click.option("--users", type=_PATH, required=True, help="Table of interactions, its folder, or a run's histories.")
@click.option("--out", type=_PATH, required=True, help="Folder for the Parquet files.")
@click.option("--k", type=click.IntRange(min=1), default=10, show_default=True, help="Items of each list.")
@click.option(
    "--name",
    default=ServingSettings().model_name,
    show_default=True,
    help="Name of the model in BentoML's store: the setting `serving.model_name`.",
)
def export_users(wanted: str, users: Path, out: Path, k: int, name: str) -> None:
    """Write user vectors, item vectors and the list of every user to Parquet."""
    from learn.serving.exporter import export

    done = export(_read_wanted_bundle(wanted, name=name), users, out, k=k)
    click.echo(f"Bundle {done.model_version}: {done.users:,} users, {done.items:,} items, lists of {k}, in {out}")
    if done.fallbacks:
        click.echo(f"Of {done.fallbacks:,} users no item is known: their lists are the most popular items.")
    if done.left_out:
        click.echo(f"Left out: {done.left_out:,} interactions without a user, an item or a readable time.")


def _read_wanted_bundle(wanted: str, *, name: str) -> Bundle:
    from learn.registry import find_stored, read_bundle

    folder = Path(wanted)
    return read_bundle(folder if folder.is_dir() else find_stored(name, wanted).folder)
