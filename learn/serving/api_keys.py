"""Keys that requests carry: which there are, which requests need one, and whether one is right."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from learn.config.environment import API_KEYS, API_KEYS_FILE
from learn.errors import SettingsError

# What nobody guesses: 16 letters and digits are some 80 bits.
_SHORTEST = 16


@dataclass(frozen=True)
class ApiKeys:
    """The keys of one service; they are never shown, in errors, logs or by ``repr``.

    Attributes:
        keys: As bytes.
    """

    keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ApiKeys:
        """Read the keys of the environment, and of the file that it names.

        Raises:
            SettingsError: The file cannot be read, or a key is too short.
        """
        given = environment.get(API_KEYS, "").split(",")
        path = environment.get(API_KEYS_FILE)
        if path:
            try:
                given += Path(path).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeError) as fault:
                raise SettingsError(
                    "The file of the API keys cannot be read.",
                    where=f"environment variable {API_KEYS_FILE}, {path}",
                    fix="name a text file of one key a line that the service may read",
                ) from fault
        keys = [key.strip() for key in given if key.strip()]
        if any(len(key) < _SHORTEST for key in keys):
            raise SettingsError(
                f"An API key is shorter than {_SHORTEST} characters.",
                where=f"environment variables {API_KEYS} and {API_KEYS_FILE}",
                fix='make one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`',
            )
        return cls(tuple(key.encode() for key in keys))

    def holds(self, key: bytes) -> bool:
        """Return whether a key is one of them; how long that takes tells nothing of where they differ."""
        found = False
        for each in self.keys:
            found |= hmac.compare_digest(each, key)
        return found
