"""The commands ``learn content check`` and ``learn content gc``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.filesize import decimal
from rich.progress import DownloadColumn
from rich.table import Table

from learn.config import Settings, add_settings_options, read_settings
from learn.content.maintenance import Advance, Collected, EncoderCheck, check_store, collect_garbage, measure_bytes
from learn.content.store import REPAIR
from learn.errors import StoreError
from learn.progress import ProgressDisplay

_DAY_SECONDS = 86_400

_store = click.option(
    "--store", metavar="PLACE", help="Folder or URL of the store; by default the one in the settings."
)


@click.group()
def content() -> None:
    """Check and clean the store of content vectors."""


@content.command()
@_store
@add_settings_options
def check(store: str | None, configs: Sequence[Path], assignments: Sequence[str]) -> None:
    """Check every part of the store against its checksum. The exit status is 1 if a part is damaged."""
    place = store or read_settings(configs, assignments).content_store
    with _open_bar("Checking", measure_bytes(place)) as advance:
        found = check_store(place, advance=advance)
    _show(("Encoder", "Vectors", "Parts", "Size", "Damaged"), [_check_row(each) for each in found])
    damaged = [each for folder in found for each in folder.damaged]
    if damaged:
        raise StoreError(
            f"{len(damaged)} of {sum(folder.parts for folder in found)} parts are damaged.",
            where="\n       ".join(f"{path}: {what}" for path, what in damaged),
            fix=REPAIR.replace("this file", "each of these files").replace("it held", "they held"),
        )


@content.command()
@_store
@add_settings_options
@click.option(
    "--runs",
    "workspaces",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Workspace whose runs use the store; by default the one in the settings. Repeat it to name all of them.",
)
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=7.0,
    show_default=True,
    help="Keep everything that was written in the last this many days.",
)
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
def gc(
    store: str | None,
    configs: Sequence[Path],
    assignments: Sequence[str],
    workspaces: Sequence[Path],
    days: float,
    dry_run: bool,
) -> None:
    """Remove the vectors that no recorded run needs, and merge small parts.

    A run is recorded while its folder is in the workspace. To drop a run, remove `.learn/runs/RUN`.
    """
    read = read_settings(configs, assignments)
    place = store or read.content_store
    needed_by = list(workspaces) or [_find_workspace(place, read)]
    done = collect_garbage(place, workspaces=needed_by, youngest_seconds=days * _DAY_SECONDS, dry_run=dry_run)
    _show(
        ("Encoder", "Vectors kept", "Removed", "Parts before", "After", "Freed"),
        [_format_gc_row(each) for each in done],
    )
    if dry_run:
        click.echo("Nothing was changed: this was a dry run.")


def _find_workspace(place: str, settings: Settings) -> Path:
    workspace = settings.workspace.absolute()
    if "://" in place or not Path(place).absolute().is_relative_to(workspace):
        raise StoreError(
            "This store is outside the workspace, so runs of other workspaces may need its vectors.",
            where=place,
            fix="name every workspace that uses it: `learn content gc --runs FOLDER --runs FOLDER`",
        )
    return workspace


def _check_row(found: EncoderCheck) -> tuple[str, ...]:
    size = decimal(found.size_bytes)
    return found.encoder, f"{found.vectors:,}", f"{found.parts:,}", size, f"{len(found.damaged):,}"


def _format_gc_row(done: Collected) -> tuple[str, ...]:
    counts = (done.kept, done.removed, done.parts_before, done.parts_after)
    return Path(done.folder).name, *(f"{count:,}" for count in counts), decimal(max(0, done.freed_bytes))


def _show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=SIMPLE)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@contextmanager
def _open_bar(what: str, total_bytes: int) -> Iterator[Advance]:
    read_bytes = 0
    with ProgressDisplay(what, total=total_bytes, transient=True, counts=DownloadColumn()) as display:

        def advance(count_bytes: int) -> None:
            nonlocal read_bytes
            read_bytes += count_bytes
            rate = f"{decimal(int(read_bytes / display.seconds))}/s"
            display.update(
                read_bytes, rate=rate, line=f"{what} {decimal(read_bytes)} of {decimal(total_bytes)}, {rate}"
            )

        yield advance
