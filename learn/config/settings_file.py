"""Reading a settings file: every mistake in it is one clear error."""

from __future__ import annotations

import tomllib
from typing import Any, Self

from pydantic import ValidationError

from learn.errors import SettingsError
from learn.section import Section
from learn.setting_faults import settings_error


class SettingsFile(Section):
    """A table of settings that has a file of its own."""

    @classmethod
    def from_toml(cls, text: str, *, where: str = "settings file") -> Self:
        """Read settings from the text of a TOML file.

        Raises:
            SettingsError: The text is not TOML, a name is unknown, or a value is out of range.
        """
        try:
            return cls.from_mapping(tomllib.loads(text), where=where)
        except tomllib.TOMLDecodeError as fault:
            raise SettingsError(f"This is not TOML: {fault}.", where=where, fix="mend the line it names") from fault

    @classmethod
    def from_mapping(cls, values: dict[str, Any], *, where: str = "settings") -> Self:
        """Check a nested mapping of settings.

        Raises:
            SettingsError: A name is unknown or a value is out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as fault:
            raise settings_error(fault, cls, where=where) from fault
