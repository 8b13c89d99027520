"""The commands ``learn models``: see, promote, roll back and reproduce stored models."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from learn.config import ServingSettings
from learn.errors import LearnError

if TYPE_CHECKING:
    from learn.registry.aliases import Change
    from learn.registry.lineage import Lineage, Metric


_SHARE = 0.1
_LONG = 16
_PIPE_CHARACTERS = 240
_DIFFERENT, _NOT_REPEATED = 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--name",
    default=ServingSettings().model_name,
    show_default=True,
    help="Name of the model in BentoML's store: the setting `serving.model_name`.",
)
@click.pass_context
def models(context: click.Context, name: str) -> None:
    """See, promote and roll back the models of BentoML's store.

    VERSION is a bundle's version, the first characters of one if they are unique, or champion, challenger or latest.
    """
    context.obj = name


_as_json = click.option("--json", "as_json", is_flag=True, help="For machines.")
_why = click.option("--reason", required=True, help="Reason for the change, kept in the history.")
_by = click.option("--by", default="", help="Author of the change; by default this user at this machine.")


@models.command("list")
@_as_json
@click.pass_obj
def list_models(name: str, as_json: bool) -> None:
    """Show the stored models, the newest first."""
    from learn.registry.aliases import read_aliases
    from learn.registry.lineage import Lineages, read_lineage
    from learn.registry.store import list_stored

    aliases = read_aliases(name)
    rows = [read_lineage(model, aliases) for model in list_stored(name)]
    if as_json:
        click.echo(Lineages.dump_json(rows, indent=2).decode())
    elif rows:
        _show(_build_table(rows))
    else:
        click.echo(f"BentoML's model store has no model `{name}` yet; `learn train` stores one there.")


@models.command("show")
@click.argument("version")
@_as_json
@click.pass_obj
def show(name: str, version: str, as_json: bool) -> None:
    """Show where a model comes from, how good it was, and who promoted it."""
    from learn.registry.aliases import read_aliases
    from learn.registry.lineage import read_lineage
    from learn.registry.store import find_stored

    found = read_lineage(find_stored(name, version), read_aliases(name), checked=True)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        _show(_build_description(found))


@models.command("promote")
@click.argument("version")
@click.option("--as", "alias", type=click.Choice(["champion", "challenger"]), default="champion", show_default=True)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    help=f"Share of the users who get the challenger; by default {_SHARE}, or 1 with --shadow.",
)
@click.option("--shadow", is_flag=True, help="Only log the challenger's answers, never show them.")
@_why
@_by
@click.pass_obj
def promote_model(name: str, version: str, alias: str, share: float | None, shadow: bool, reason: str, by: str) -> None:
    """Make a model the champion, which is served, or put it next to the champion as its challenger.

    A running service uses it within seconds, without a restart.
    """
    from learn.registry.promotion import describe_author, promote, promote_challenger

    who = by or describe_author()
    if alias == "champion":
        if shadow or share is not None:
            raise click.UsageError("--share and --shadow only apply to a challenger: add --as challenger.")
        change = promote(name, version, reason=reason, by=who)
    else:
        given = (1.0 if shadow else _SHARE) if share is None else share
        change = promote_challenger(name, version, share=given, shadow=shadow, reason=reason, by=who)
    click.echo(f"{version} is already the {alias}: nothing changed." if change is None else _describe_change(change))


@models.command("rollback")
@_why
@_by
@click.pass_obj
def roll_back_model(name: str, reason: str, by: str) -> None:
    """Make the previous champion the champion again."""
    from learn.registry.promotion import describe_author, roll_back

    click.echo(_describe_change(roll_back(name, reason=reason, by=by or describe_author())))


@models.command("withdraw")
@_why
@_by
@click.pass_obj
def withdraw_challenger(name: str, reason: str, by: str) -> None:
    """Remove the challenger: everyone gets the champion."""
    from learn.registry.promotion import describe_author, withdraw

    click.echo(_describe_change(withdraw(name, reason=reason, by=by or describe_author())))


@models.command("reproduce")
@click.argument("version")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Data folder to take the recorded version of; it need not exist any more.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files and reports of the repetition; by default nothing is kept.",
)
@click.pass_context
def reproduce_model(context: click.Context, version: str, data: Path, keep: Path | None) -> None:
    """Train a model again from its manifest, and report whether the weights are the same.

    Run it in the DVC repository that has the data version. The exit status is 0 for the same weights, 1 for different
    ones, and 2 if the training could not be repeated.
    """
    from learn.registry.reproduction import reproduce

    try:
        with tempfile.TemporaryDirectory(prefix="learn-reproduce-") as temporary:
            scratch = Path(temporary) if keep is None else keep.absolute()
            scratch.mkdir(parents=True, exist_ok=True)
            found = reproduce(context.obj, version, data=data, root=Path.cwd(), scratch=scratch)
    except LearnError as error:
        click.echo(f"{error.headline}\n{error}", err=True)
        context.exit(_NOT_REPEATED)
    click.echo(found.sentence)
    context.exit(0 if found.same else _DIFFERENT)


def _describe_change(change: Change) -> str:
    how = "" if change.share is None else f", for {change.share:.0%} of the users{_describe_shadow(change.shadow)}"
    went = f"{change.alias}: {change.before or 'none'} -> {change.after or 'none'}{how}"
    return f"{went} ({change.action} by {change.by}: {change.reason})"


def _describe_shadow(shadow: bool) -> str:
    return " in the shadow" if shadow else ""


def _build_table(rows: list[Lineage]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("version", "alias", "created", "data version"):
        table.add_column(heading, no_wrap=True)
    for heading in ("NDCG@10", "Recall@10"):
        table.add_column(heading, justify="right")
    table.add_column("gate")
    for row in rows:
        figures = [row.find_metric(name) for name in ("ndcg@10", "recall@10")]
        table.add_row(
            row.version,
            row.alias and f"{row.alias}{_format_alias(row)}",
            _format_moment(row.created) or _format_time(row.stored),
            row.data_version[:_LONG],
            *("" if figure is None else f"{figure.value:.4f}" for figure in figures),
            Text(row.fault, style="red") if row.fault else _format_verdict(row),
        )
    return table


def _format_alias(row: Lineage) -> str:
    return "" if row.challenger is None else f" {row.challenger.share:.0%}{_describe_shadow(row.challenger.shadow)}"


def _format_verdict(row: Lineage) -> str:
    return "" if row.decision is None else "fit" if row.decision.fit else "not fit"


def _build_description(found: Lineage) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def add(label: str, *lines: str) -> None:
        kept = [line for line in lines if line]
        if kept:
            table.add_row(label, Text("\n".join(kept)))

    add("Model", f"{found.model}:{found.version}")
    add("Alias", f"{found.alias or 'none'}{_format_alias(found)}")
    add("Whole", f"NO: {found.fault}" if found.fault else "yes, every file is as it was written")
    add("Stored", _format_time(found.stored))
    add("Made by", f"run {found.run_id}, {_format_moment(found.created)}" if found.run_id else "")
    add("Data", found.data_version, found.split)
    add("Encoder", found.encoder_fingerprint)
    add("Code", found.code_revision or "not under version control")
    add("Parent", found.parent or "none: trained from nothing")
    add("Seed", "" if found.seed is None else str(found.seed))
    add("Settings", *(f"{each.setting} = {each.value} (default {each.default})" for each in found.settings))
    add("On test", *(_format_metric(metric) for metric in found.metrics))
    add("Gate", _format_verdict(found), *(() if found.decision is None else found.decision.reasons))
    add("Weights", found.weights_sha256)
    add("History", *(f"{_format_time(change.time)}  {_describe_change(change)}" for change in found.changes))
    return table


def _format_metric(metric: Metric) -> str:
    interval = "" if metric.low is None else f" [{metric.low:.4f}, {metric.high:.4f}]"
    return f"{metric.name} {metric.value:.4f}{interval}"


def _format_moment(text: str) -> str:
    return _format_time(datetime.fromisoformat(text)) if text else ""


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _show(table: Table) -> None:
    # A pipe or a log has no width, so no line may be cut.
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=_PIPE_CHARACTERS)).print(table)
