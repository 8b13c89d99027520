"""Settings of a running service, from the environment that it was started in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from learn.config.operations import DeploymentSettings, TrafficSettings
from learn.section import Section
from learn.setting_faults import settings_error

DEPLOYMENT_PREFIX = "LEARN_DEPLOYMENT_"
TRAFFIC_PREFIX = "LEARN_TRAFFIC_"
TRAFFIC_KEY = "LEARN_TRAFFIC_KEY"
"""Key that user ids of the traffic log are hashed with; they are kept as they come where it is not set."""

AnySection = TypeVar("AnySection", bound=Section)


def deployment_settings(environment: Mapping[str, str]) -> DeploymentSettings:
    """Read the variables ``LEARN_DEPLOYMENT_…``.

    Raises:
        SettingsError: A variable names no setting, or its value is out of range.
    """
    return _read(DeploymentSettings, environment, prefix=DEPLOYMENT_PREFIX)


def traffic_settings(environment: Mapping[str, str]) -> TrafficSettings:
    """Read the variables ``LEARN_TRAFFIC_…``, the key aside.

    Raises:
        SettingsError: As :func:`deployment_settings` raises it.
    """
    others = {name: value for name, value in environment.items() if name != TRAFFIC_KEY}
    return _read(TrafficSettings, others, prefix=TRAFFIC_PREFIX)


def _read(section: type[AnySection], environment: Mapping[str, str], *, prefix: str) -> AnySection:
    given = {name.removeprefix(prefix).lower(): value for name, value in environment.items() if name.startswith(prefix)}
    try:
        return section.model_validate(given)
    except ValidationError as fault:
        raise settings_error(fault, section, where=f"environment, variables {prefix}…") from fault
