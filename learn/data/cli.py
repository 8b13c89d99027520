"""``python -m learn.data``: bring data of others into the contract's tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import click

from learn.data.importers.summary import ImportSummary
from learn.errors import LearnError

_LEFT_OUT = {
    "repeated_items": "further records of an item already seen (the first was kept)",
    "unnamed_items": "item records without an id",
    "unused_items": "items that nobody interacted with",
    "low_ratings": "interactions below the asked rating",
    "unknown_items": "interactions with an item that the metadata does not know",
}
_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Prepare data for LEARN."""


@cli.group("import")
def import_group() -> None:
    """Turn the raw files of a public data set into items.parquet and interactions.parquet."""


@import_group.command("amazon")
@click.option("--reviews", type=_PATH, required=True, help="Review file: JSON Lines, plain, .gz or .zst.")
@click.option("--metadata", type=_PATH, required=True, help="Metadata file of the same category.")
@click.option("--out", type=_PATH, required=True, help="Folder for the two tables.")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["auto", "2014", "2018", "2023"]),
    default="auto",
    show_default=True,
    help="Layout of the files; auto tells it by the first records.",
)
@click.option("--rating-at-least", type=float, help="Leave out reviews below this rating.")
@click.option("--keep-unreviewed", is_flag=True, help="Keep items that no review names.")
def amazon(
    reviews: Path,
    metadata: Path,
    out: Path,
    layout: Literal["auto", "2014", "2018", "2023"],
    rating_at_least: float | None,
    keep_unreviewed: bool,
) -> None:
    """Import the Amazon reviews of 2014, 2018 or 2023.

    Both files are streamed: memory holds the item ids, not the files.
    """
    from learn.data.importers.amazon import import_amazon

    with _show_errors_plainly():
        summary = import_amazon(
            reviews, metadata, out, layout=layout, rating_at_least=rating_at_least, keep_unreviewed=keep_unreviewed
        )
        _say(summary)


@import_group.command("movielens")
@click.option("--from", "source", type=_PATH, required=True, help="The unpacked MovieLens folder (1M, 10M, 25M, 32M).")
@click.option("--out", type=_PATH, required=True, help="Folder for the two tables.")
@click.option("--rating-at-least", type=float, help="Leave out ratings below this one.")
@click.option("--keep-unrated", is_flag=True, help="Keep movies without a rating.")
def movielens(source: Path, out: Path, rating_at_least: float | None, keep_unrated: bool) -> None:
    """Import MovieLens: genres become the category, tags the keywords."""
    from learn.data.importers.movielens import import_movielens

    with _show_errors_plainly():
        _say(import_movielens(source, out, rating_at_least=rating_at_least, keep_unrated=keep_unrated))


@contextmanager
def _show_errors_plainly() -> Iterator[None]:
    try:
        yield
    except LearnError as fault:
        click.echo(f"{fault.headline}\n{fault}", err=True)
        raise SystemExit(1) from fault


def _say(summary: ImportSummary) -> None:
    click.echo(f"{summary.layout}: {summary.items:,} items, {summary.interactions:,} interactions in {summary.folder}")
    for name, meaning in _LEFT_OUT.items():
        count = getattr(summary, name)
        if count:
            click.echo(f"left out: {count:,} {meaning}")
    click.echo(f"next: python flows/train_flow.py run --data {summary.folder}")


if __name__ == "__main__":
    cli(prog_name="python -m learn.data")
