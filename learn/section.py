"""The base of every table of settings: frozen, without unknown names, the same bytes in every process."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pydantic would pickle the set of given names, whose order is another in every process; Metaflow tells by the
        # bytes whether branches that join hold the same.
        return type(self).model_validate, (self.model_dump(),)
