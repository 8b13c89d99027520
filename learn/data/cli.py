"""``learn data``: check a folder, import public data sets, write the sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from learn.config import add_settings_options, read_settings
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
_REFUSED = 2


@click.group()
def data() -> None:
    """Check a folder, import public data sets, or write the sample."""


@data.group("import")
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

    _say(
        import_amazon(
            reviews, metadata, out, layout=layout, rating_at_least=rating_at_least, keep_unreviewed=keep_unreviewed
        )
    )


@import_group.command("movielens")
@click.option("--from", "source", type=_PATH, required=True, help="The unpacked MovieLens folder (1M, 10M, 25M, 32M).")
@click.option("--out", type=_PATH, required=True, help="Folder for the two tables.")
@click.option("--rating-at-least", type=float, help="Leave out ratings below this one.")
@click.option("--keep-unrated", is_flag=True, help="Keep movies without a rating.")
def movielens(source: Path, out: Path, rating_at_least: float | None, keep_unrated: bool) -> None:
    """Import MovieLens: genres become the category, tags the keywords."""
    from learn.data.importers.movielens import import_movielens

    _say(import_movielens(source, out, rating_at_least=rating_at_least, keep_unrated=keep_unrated))


@data.command("check")
@click.argument("folder", type=_PATH)
@add_settings_options
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_context
def check(
    context: click.Context, folder: Path, configs: tuple[Path, ...], assignments: tuple[str, ...], as_json: bool
) -> None:
    """Read, validate and split a folder without training on it.

    The exit status is 0 if a training could read it, and 2 if it would refuse it.
    """
    from learn.data.check import check_folder

    try:
        found = check_folder(folder, settings=read_settings(configs, assignments))
    except LearnError as fault:
        if as_json:
            click.echo(json.dumps({"error": str(fault)}, ensure_ascii=False))
        else:
            click.echo(f"{fault.headline}\n{fault}", err=True)
        context.exit(_REFUSED)
    click.echo(json.dumps({**found.to_dict(), "error": None}, ensure_ascii=False) if as_json else found.format_lines())


@data.command("guess")
@click.argument("folder", type=_PATH)
@click.pass_context
def guess(context: click.Context, folder: Path) -> None:
    """Write settings for a folder, guessed from the names and contents of its files: > my_shop.toml.

    The exit status is 2 if a table or a column could not be found; the settings then hold the rest.
    """
    from learn.data.guess import guess_settings

    found = guess_settings(folder)
    click.echo(found.text, nl=False)
    for sentence in found.missing:
        click.echo(sentence, err=True)
    if found.missing:
        context.exit(_REFUSED)


@data.command("sample")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed is another shop.")
def write_sample(out: Path, seed: int) -> None:
    """Write the sample's two tables, the same bytes from the same seed."""
    from learn.data.sample.shop import make_sample

    make_sample(out, seed=seed)
    click.echo(f"The sample (seed {seed}) is in {out}.\nnext: learn train --data {out}")


def _say(summary: ImportSummary) -> None:
    click.echo(f"{summary.layout}: {summary.items:,} items, {summary.interactions:,} interactions in {summary.folder}")
    for name, meaning in _LEFT_OUT.items():
        count = getattr(summary, name)
        if count:
            click.echo(f"left out: {count:,} {meaning}")
    click.echo(f"next: learn train --data {summary.folder}")
