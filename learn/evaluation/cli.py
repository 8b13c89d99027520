"""The commands ``learn evaluate``: experiments on a data folder, outside of a run."""

from __future__ import annotations

from pathlib import Path

import click

from learn.errors import DataError, explain_storage_faults

_PATH = click.Path(path_type=Path)


@click.group()
def evaluate() -> None:
    """Compare models on your own data, outside of a run."""


@evaluate.command("ablation")
@click.option("--data", type=_PATH, required=True, help="Folder of `items` and `interactions`.")
@click.option(
    "--config",
    type=_PATH,
    help="Settings file (TOML). Other settings are the paper's, at a size that a laptop trains: width 128, two "
    "blocks. `configs/paper.toml` is the paper's own size.",
)
@click.option("--split", default="", help="by_date | leave_one_out; by default leave_one_out.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of every random draw; by default the one in the settings."
)
@click.option("--out", type=_PATH, help="Folder for ablation.json and ablation.md; by default `reports/ablation`.")
def ablation(data: Path, config: Path | None, split: str, seed: int | None, out: Path | None) -> None:
    """Train the paper's item towers and the defaults, and print their figures on test with intervals.

    The rows: frozen vectors without any alignment, the paper's item towers (c), (b) and (a), and the default settings.
    Vectors and towers of an earlier call are reused.
    """
    with explain_storage_faults(Path.cwd()):
        _run_ablation(data, config, split=split, seed=seed, out=out)


def _run_ablation(data: Path, config: Path | None, *, split: str, seed: int | None, out: Path | None) -> None:
    # Imported here, because torch takes seconds to load and its environment must be set first.
    from learn.content import resolve_settings_encoder
    from learn.data import require_tables
    from learn.evaluation.ablation import format_ablation, read_ablation_settings, run_ablation, write_ablation

    settings = read_ablation_settings(config, split=split, seed=seed)
    folder = out or settings.reports / "ablation"
    _require_place(folder)
    resolve_settings_encoder(settings.content)
    require_tables(data, settings=settings.data)
    found = run_ablation(data, settings=settings, say=click.echo)
    write_ablation(found, folder)
    click.echo(f"\n{format_ablation(found)}\nWritten: {folder / 'ablation.md'} and {folder / 'ablation.json'}")


def _require_place(folder: Path) -> None:
    # Checked before hours of training, not after them.
    taken = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
    if taken is not None:
        raise DataError("The results cannot be written: this is a file, not a folder.", where=taken, fix="give --out")
