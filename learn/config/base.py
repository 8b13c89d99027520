"""The base of every table of settings, and the error that names a wrong setting.

A section is frozen, refuses unknown names, and pickles to the same bytes in every process.
"""

from __future__ import annotations

import difflib
import tomllib
from typing import TYPE_CHECKING, Any, Self, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from learn.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Section(BaseModel):
    """One table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pydantic would pickle the set of given names, whose order differs in every process, and Metaflow compares the
        # bytes to see whether joining branches have the same value.
        return type(self).model_validate, (self.model_dump(),)


def explain_settings_error(fault: ValidationError, model: type[BaseModel], *, where: str) -> SettingsError:
    """Return the error that names the first wrong setting and the values it may have.

    Args:
        fault: What pydantic found.
        model: The settings it was checked against.
        where: The file or the command line, for the message.
    """
    first = fault.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    name = ".".join(path)
    if first["type"] == "extra_forbidden":
        return SettingsError(f"There is no setting `{name}`.", where=where, fix=_find_nearest_name(path, model))
    said = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    given = "" if isinstance(first["input"], dict) else f", not `{first['input']}`"
    return SettingsError(f"Setting `{name}`: {said}{given}.", where=where, fix=_find_nearest_value(first, name))


def _find_nearest_name(path: list[str], model: type[BaseModel]) -> str:
    section = model
    for part in path[:-1]:
        field = section.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        section = field.annotation
    near = difflib.get_close_matches(path[-1], section.model_fields, n=1)
    return f"did you mean `{near[0]}`?" if near else f"the settings here are: {', '.join(section.model_fields)}"


def _find_nearest_value(first: ErrorDetails, name: str) -> str:
    if first["type"] == "literal_error":
        # Pydantic lists the choices in a sentence: every second piece between its quotation marks is one.
        choices = str(first["ctx"]["expected"]).split("'")[1::2]
        near = difflib.get_close_matches(str(first["input"]), choices, n=1)
        if near:
            return f"did you mean `{near[0]}`?"
    return f"give `{name}` a value of this kind, or leave it out to use its default"


def read_choice(word: str, *, choices: Any, option: str) -> Any:
    """Return a word of the command line that must be one of a ``Literal``.

    Args:
        word: What was given.
        choices: The ``Literal``.
        option: The option's name, for the message.

    Raises:
        SettingsError: It is none of them.
    """
    try:
        return TypeAdapter(choices).validate_python(word)
    except ValidationError as fault:
        words = get_args(choices)
        near = difflib.get_close_matches(word, words, n=1)
        allowed = f"give one of {', '.join(words)}"
        raise SettingsError(
            f"There is no `{option} {word}`.",
            where="command line",
            fix=f"{allowed}; did you mean `{near[0]}`?" if near else allowed,
        ) from fault


class SettingsFile(Section):
    """A table of settings that is read from its own file."""

    @classmethod
    def from_toml(cls, text: str, *, where: str = "settings file") -> Self:
        """Read settings from the text of a TOML file.

        Raises:
            SettingsError: The text is not TOML, a name is unknown, or a value is out of range.
        """
        try:
            return cls.from_mapping(tomllib.loads(text), where=where)
        except tomllib.TOMLDecodeError as fault:
            raise SettingsError(
                f"This file is not valid TOML: {fault}.", where=where, fix="correct the line that the message names"
            ) from fault

    @classmethod
    def from_mapping(cls, values: dict[str, Any], *, where: str = "settings") -> Self:
        """Check a nested mapping of settings.

        Raises:
            SettingsError: A name is unknown or a value is out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as fault:
            raise explain_settings_error(fault, cls, where=where) from fault
