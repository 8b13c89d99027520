"""Settings of one service: those of the bundle's run, and over them what its environment says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from learn.config import ServingSettings
from learn.errors import SettingsError
from learn.setting_faults import settings_error

PREFIX = "LEARN_SERVING_"


def deployed(settings: ServingSettings, environment: Mapping[str, str] = os.environ) -> ServingSettings:
    """Return the settings with every variable ``LEARN_SERVING_…`` put in, so that one bundle serves anywhere.

    Raises:
        SettingsError: A variable names no setting, or its value is out of range.
    """
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    if unknown := sorted(given.keys() - ServingSettings.model_fields.keys()):
        raise SettingsError(
            f"There is no setting `serving.{unknown[0]}`.",
            where=f"environment variable {PREFIX}{unknown[0].upper()}",
            fix="see docs/settings.md for the settings of `serving`",
        )
    try:
        return ServingSettings.model_validate({**settings.model_dump(), **given})
    except ValidationError as fault:
        raise settings_error(fault, ServingSettings, where=f"environment variables {PREFIX}…") from fault


def state_folder(settings: ServingSettings, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for what the service keeps itself."""
    if settings.state is not None:
        return settings.state
    home = environment.get("BENTOML_HOME")
    return (Path(home) if home else Path.home() / "bentoml") / "learn"
