"""Which stored model is the champion and which the challenger: one small file next to BentoML's store.

BentoML's store has tags and ``latest``, but no aliases. The file is replaced atomically, so a reader never sees half of
it; only :mod:`learn.registry.promotion` writes it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from bentoml._internal.configuration.containers import BentoMLContainer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from learn.errors import ServingError

Alias = Literal["champion", "challenger"]
Action = Literal["promote", "rollback", "withdraw"]

# The service looks versions up in the store by name, so a version with path separators is refused.
Version = Annotated[str, Field(pattern=r"^[0-9a-z]{1,64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Challenger(_Part):
    """A model that is served next to the champion."""

    version: Version
    """Of the bundle."""

    share: float = Field(gt=0, le=1)
    """Share of the users who get it."""

    shadow: bool = False
    """Whether its answers are only logged, never shown."""

    experiment: str
    """Salts the draw of users: another experiment draws others, a changed share only adds or takes away some."""


class Change(_Part):
    """One line of the history."""

    time: datetime
    """When, in UTC."""

    by: str
    """Who made the change: a person at a machine, or a run of a flow."""

    action: Action
    """What was done."""

    alias: Alias
    """To which alias."""

    before: str | None
    """The version that had the alias before."""

    after: str | None
    """The version that has the alias since."""

    reason: str
    """The reason, in the author's words."""

    share: float | None = None
    """Of a challenger."""

    shadow: bool = False
    """Of a challenger."""


class ModelAliases(_Part):
    """The aliases of one model name."""

    champion: Version | None = None
    """Version that is served; None if nobody has promoted any."""

    earlier_champions: tuple[Version, ...] = ()
    """Earlier champions that a rollback returns to, the newest last."""

    challenger: Challenger | None = None
    """The challenger next to it, if there is one."""

    history: tuple[Change, ...] = ()
    """Every change, the oldest first."""

    def find_alias(self, version: str) -> Alias | None:
        """Return the alias that a version has."""
        if version == self.champion:
            return "champion"
        return "challenger" if self.challenger is not None and version == self.challenger.version else None


class AliasFile(_Part):
    """The whole file."""

    format: Literal[1] = 1
    models: dict[str, ModelAliases] = Field(default_factory=dict)


def find_aliases_path() -> Path:
    """Return the path of the file: ``learn/aliases.json`` in BentoML's home."""
    return Path(BentoMLContainer.bentoml_home.get()) / "learn" / "aliases.json"


def read_alias_file(path: Path) -> AliasFile:
    """Read the whole file; an empty one if there is none.

    Raises:
        ServingError: It is damaged, or of another version of LEARN.
    """
    try:
        return AliasFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return AliasFile()
    except (OSError, ValidationError) as fault:
        said = fault.errors(include_url=False)[0]["msg"] if isinstance(fault, ValidationError) else str(fault)
        raise ServingError(
            f"The file of the aliases cannot be read: {said}.",
            where=path,
            fix="restore the file from a copy, or move it away and promote a model again",
        ) from fault


def read_aliases(name: str, *, path: Path | None = None) -> ModelAliases:
    """Read the aliases of one model name; empty ones if nobody has promoted anything.

    Raises:
        ServingError: As :func:`read_alias_file` raises it.
    """
    return read_alias_file(path or find_aliases_path()).models.get(name, ModelAliases())
