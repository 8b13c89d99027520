"""Where settings come from: files, presets that the package brings, and assignments on the command line.

A later source wins over an earlier one, setting by setting. A run keeps the merged text, so it can be repeated.
"""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import tomli_w

from learn.config.settings import Settings
from learn.errors import SettingsError, explain_storage_faults

PRESETS = Path(__file__).parent / "presets"
"""Folder of the settings files that the package brings; ``--config paper`` names ``presets/paper.toml``."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def read_settings(files: Sequence[Path] = (), assignments: Sequence[str] = ()) -> Settings:
    """Read settings from files and assignments.

    Args:
        files: Settings files (TOML), or names of presets; a later one wins.
        assignments: ``section.name=value`` each; they win over the files.

    Raises:
        SettingsError: A file is missing or is not TOML, a name is unknown, or a value is out of range.
        StorageError: A file cannot be read.
    """
    return Settings.from_mapping(_merge_sources(files, assignments), where="the settings together")


def merge_settings_text(files: Sequence[Path] = (), assignments: Sequence[str] = ()) -> str:
    """Return the sources as the text of one settings file; it names only what the sources name.

    Raises:
        SettingsError: As :func:`read_settings`.
        StorageError: A file cannot be read.
    """
    values = _merge_sources(files, assignments)
    Settings.from_mapping(values, where="the settings together")
    return tomli_w.dumps(values)


def add_settings_options(command: _Command) -> _Command:
    """Give a click command the options ``--config`` and ``--set``, as its arguments ``configs`` and ``assignments``."""
    assignments = click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="SECTION.NAME=VALUE",
        help="Set one setting; it wins over the files. May be repeated.",
    )
    configs = click.option(
        "--config",
        "configs",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Settings file (TOML), or the name of a preset: "
        f"{', '.join(sorted(path.stem for path in PRESETS.glob('*.toml')))}. May be repeated; a later file wins.",
    )
    return configs(assignments(command))


def _merge_sources(files: Sequence[Path], assignments: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for file in files:
        _merge_into(values, _read_file(file))
    for assignment in assignments:
        given = _parse_assignment(assignment)
        # Checked by itself, so that the message names the assignment and not a file.
        Settings.from_mapping(given, where=f"--set {assignment}")
        _merge_into(values, given)
    return values


def _read_file(file: Path) -> dict[str, Any]:
    preset = PRESETS / f"{file}.toml"
    path = preset if not file.exists() and file.name == str(file) and preset.is_file() else file
    if not path.is_file():
        raise SettingsError(
            "There is no such settings file.",
            where=file,
            fix="give the path of a TOML file, or one of the presets "
            f"{', '.join(sorted(each.stem for each in PRESETS.glob('*.toml')))}",
        )
    with explain_storage_faults(path):
        raw = path.read_bytes()
    try:
        # Editors of Windows write a byte order mark first, which TOML does not know.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise SettingsError(
            f"The settings file is {_guess_encoding(raw)}, not UTF-8: byte {fault.start} is {raw[fault.start]:#04x}.",
            where=path,
            fix="save it as UTF-8",
        ) from fault
    if "\0" in text:
        raise SettingsError("The settings file is UTF-16, not UTF-8.", where=path, fix="save it as UTF-8")
    Settings.from_toml(text, where=str(path))
    return tomllib.loads(text)


def _guess_encoding(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in raw:
        return "UTF-16"
    return "latin-1 or of Windows (cp1252)"


def _parse_assignment(assignment: str) -> dict[str, Any]:
    name, equals, text = assignment.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise SettingsError(
            f"`{assignment}` is no assignment.", where="--set", fix="write SECTION.NAME=VALUE, e.g. training.epochs=3"
        )
    value: Any
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        # Text needs no quotation marks on a command line.
        value = text.strip()
    for part in reversed(parts):
        value = {part: value}
    return dict(value)


def _merge_into(values: dict[str, Any], given: dict[str, Any]) -> None:
    for name, value in given.items():
        held = values.get(name)
        if isinstance(held, dict) and isinstance(value, dict):
            _merge_into(held, value)
        else:
            values[name] = value
