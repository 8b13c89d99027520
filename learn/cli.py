"""The command ``learn``: train, watch and serve, and a group of commands for each room that people work with.

A package's commands are in its own ``cli`` and are loaded when one of them is called, so ``learn --help`` loads no
library. ``learn train`` and ``learn monitor`` run the flows, like ``python flows/train_flow.py run``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from learn.config import add_settings_options, merge_settings_text
from learn.environment import configure_process
from learn.errors import LearnError, ServingError, explain_storage_faults

_GROUPS = {
    "content": ("learn.content.cli", "content", "Check and clean the store of content vectors."),
    "data": ("learn.data.cli", "data", "Check a folder, import public data sets, or write the sample."),
    "evaluate": ("learn.evaluation.cli", "evaluate", "Compare models on your own data, outside of a run."),
    "export": ("learn.serving.cli", "export_users", "Write vectors and lists of all users to Parquet."),
    "models": ("learn.registry.cli", "models", "See, promote and roll back stored models."),
    "runs": ("flows.runs", "runs", "List, show, resume and fetch training runs."),
}
"""Name -> module, its command, and the line that the help shows without loading the module."""

_FLOWS = Path(__file__).resolve().parents[1] / "flows"
"""The flows are next to the package, in a checkout and where pip installs both."""

_Command = TypeVar("_Command", bound=Callable[..., Any])
_STOPPED = 1


class _Program(click.Group):
    """Loads a room when one of its commands is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_GROUPS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _GROUPS:
            return super().get_command(ctx, cmd_name)
        module, name, _ = _GROUPS[cmd_name]
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with explain_storage_faults(Path.cwd()):
                return super().invoke(ctx)
        except LearnError as error:
            click.echo(f"{error.headline}\n{error}", err=True)
            ctx.exit(_STOPPED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._iterate_help(ctx)))

    def _iterate_help(self, ctx: click.Context) -> Iterator[tuple[str, str]]:
        for name in self.list_commands(ctx):
            own = super().get_command(ctx, name)
            yield name, _GROUPS[name][2] if own is None else own.get_short_help_str(limit=100)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="learn-recsys", prog_name="learn")
def learn() -> None:
    """Turn a folder of items and interactions into a served, watched, reproducible text recommender."""


def _add_flow_options(options: Mapping[str, str], *, numbers: frozenset[str] = frozenset()) -> Callable[..., Any]:
    """Give a command the parameters of a flow, all optional: the flow knows the defaults."""

    def decorate(command: _Command) -> _Command:
        for name, text in reversed(list(options.items())):
            kind = click.INT if name in numbers else click.STRING
            command = click.option(f"--{name}", type=kind, default=None, help=text)(command)
        return command

    return decorate


@learn.command()
@_add_flow_options(
    {
        "data": "Folder of `items` and `interactions`; `data`, the sample of a checkout, if not given.",
        "data-version": "Git revision or hash: train on that version of the data.",
        "split": "by_date | leave_one_out; by default by date if the data has dates.",
        "encoder": "Name or folder of the frozen encoder.",
        "current": "Folder whose traffic is compared with the training window.",
        "on-drift": "warn | fail: what drift does to the run; warn if not given.",
        "init-from": "Earlier bundle whose weights the towers start from: a run's id, a folder or a tag.",
        "production": "Bundle to compare with the new towers: a run's id, a folder, a model tag, `latest` or "
        "`none`; by default the champion.",
        "promote": "never | if-better | always: whether the new model becomes the champion.",
        "seed": "Seed of every random draw; the settings' own if not given.",
    },
    numbers=frozenset({"seed"}),
)
@add_settings_options
@click.option(
    "--machines", type=click.Path(path_type=Path), help="TOML file: the machines that steps need on a cluster."
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- METAFLOW WORDS]")
def train(
    configs: tuple[Path, ...],
    assignments: tuple[str, ...],
    machines: Path | None,
    words: tuple[str, ...],
    **options: str | int | None,
) -> None:
    """Train on a folder, and build the service.

    Options after `--` go to Metaflow's `run`, for example `-- --max-workers 2`.
    """
    _start_flow("train_flow.py", configs, assignments, machines=machines, options=options, words=words)


@learn.command()
@_add_flow_options(
    {
        "traffic": "Folder of a service's traffic log.",
        "current": "Instead of a log: folder with a table of interactions.",
        "bundle": "Monitored model: folder of a bundle, id of a run, or model tag; the champion if not given.",
        "profile": "Folder of the reference profile; that of the bundle if not given.",
        "since": "Start of the window, e.g. 2026-01-31; by default the start of the traffic.",
        "until": "End of the window; by default the end of the traffic.",
        "days": "Instead of --since: the newest days up to now.",
        "retrain": "never | on-verdict: whether the verdict `retrain` starts a training on the folder of --data.",
        "data": "Folder of the newest data, which a retraining is given.",
        "promote": "never | if-better | always: what a retraining does with its model.",
        "seed": "Seed of every random draw; the settings' own if not given.",
    },
    numbers=frozenset({"days", "seed"}),
)
@add_settings_options
@click.option(
    "--machines", type=click.Path(path_type=Path), help="TOML file: the machines that steps need on a cluster."
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- METAFLOW WORDS]")
def monitor(
    configs: tuple[Path, ...],
    assignments: tuple[str, ...],
    machines: Path | None,
    words: tuple[str, ...],
    **options: str | int | None,
) -> None:
    """Compare live traffic with what a model was trained on.

    The exit status is 0 for the verdicts ok and watch, 3 if the model should be trained again, 4 if a person must look,
    and 1 if the monitor itself failed.
    """
    _start_flow("monitor_flow.py", configs, assignments, machines=machines, options=options, words=words)


@learn.command()
@click.argument("tag", default="learn_user_tower:latest")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; the default only accepts this machine.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port to listen on.")
def serve(tag: str, host: str, port: int) -> None:
    """Serve a bento of BentoML's store; the newest one if no TAG is given."""
    import bentoml

    try:
        bentoml.bentos.get(tag)
    except bentoml.exceptions.BentoMLException as fault:
        raise ServingError(
            f"BentoML's store has no bento `{tag}`.",
            where=tag,
            fix="`learn train` builds one; `bentoml list` shows those that exist",
        ) from fault
    _become([sys.executable, "-m", "bentoml", "serve", tag, "--host", host, "--port", str(port)])


def find_flow(name: str) -> Path:
    """Return the file of a flow.

    Raises:
        LearnError: The flows are not installed next to the package.
    """
    path = _FLOWS / name
    if not path.is_file():
        raise LearnError(
            "The flows are not installed next to the package.",
            where=path,
            fix="install the project's wheel, or a checkout",
        )
    return path


def _start_flow(
    name: str,
    configs: tuple[Path, ...],
    assignments: tuple[str, ...],
    *,
    machines: Path | None,
    options: Mapping[str, str | int | None],
    words: tuple[str, ...],
) -> None:
    flow = find_flow(name)
    command = [sys.executable, str(flow), "--no-pylint"]
    if configs or assignments:
        command += ["--config-value", "settings", merge_settings_text(configs, assignments)]
    if machines is not None:
        command += ["--config", "machines", str(machines)]
    command.append("run")
    for option, value in options.items():
        if value is not None:
            command += [f"--{option.replace('_', '-')}", str(value)]
    _become([*command, *words])


def _become(command: list[str]) -> None:
    """Replace this process by a command, so that signals reach it and its exit status is returned."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 - no shell, and a list of words of our own


def main() -> None:
    """Run the command. If LEARN stops on purpose, it prints one plain message, and the exit status is 1."""
    configure_process()
    try:
        with explain_storage_faults("standard output"):
            try:
                learn()
            finally:
                # Flushed here, because at the end of Python a full disk would print a traceback.
                _flush_output()
    except LearnError as error:
        click.echo(f"{error.headline}\n{error}", err=True)
        sys.exit(_STOPPED)


def _flush_output() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as fault:
        # Unwritten output is dropped; otherwise Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(fault, BrokenPipeError):
            raise


if __name__ == "__main__":
    main()
