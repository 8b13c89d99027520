"""Settings of a running service, read from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from learn.config.base import Section, explain_settings_error
from learn.config.serving import DeploymentSettings, OperationsSettings, ServingSettings, TrafficSettings

SERVING_PREFIX = "LEARN_SERVING_"
DEPLOYMENT_PREFIX = "LEARN_DEPLOYMENT_"
OPERATIONS_PREFIX = "LEARN_OPERATIONS_"
TRAFFIC_PREFIX = "LEARN_TRAFFIC_"
TRAFFIC_KEY = "LEARN_TRAFFIC_KEY"
"""Key that user ids of the traffic log are hashed with; without it they are kept unchanged."""
API_KEYS = "LEARN_SERVING_KEYS"
"""Keys that requests may have, separated by commas."""
API_KEYS_FILE = "LEARN_SERVING_KEYS_FILE"
"""A file of such keys, one per line."""

# Secrets are not settings, because settings are written into bundles and reports.
_SECRETS = frozenset({TRAFFIC_KEY, API_KEYS, API_KEYS_FILE})

AnySection = TypeVar("AnySection", bound=Section)


def read_serving_settings(bundled: ServingSettings, environment: Mapping[str, str]) -> ServingSettings:
    """Return a bundle's settings with every variable ``LEARN_SERVING_…`` put in, so that one bundle serves anywhere.

    Raises:
        SettingsError: A variable names no setting, or its value is out of range.
    """
    return _read(ServingSettings, environment, prefix=SERVING_PREFIX, over=bundled.model_dump())


def read_deployment_settings(environment: Mapping[str, str]) -> DeploymentSettings:
    """Read the variables ``LEARN_DEPLOYMENT_…``.

    Raises:
        SettingsError: A variable names no setting, or its value is out of range.
    """
    return _read(DeploymentSettings, environment, prefix=DEPLOYMENT_PREFIX)


def read_operations_settings(environment: Mapping[str, str]) -> OperationsSettings:
    """Read the variables ``LEARN_OPERATIONS_…``.

    Raises:
        SettingsError: As :func:`read_deployment_settings` raises it.
    """
    return _read(OperationsSettings, environment, prefix=OPERATIONS_PREFIX)


def read_traffic_settings(environment: Mapping[str, str]) -> TrafficSettings:
    """Read the variables ``LEARN_TRAFFIC_…``, except the key.

    Raises:
        SettingsError: As :func:`read_deployment_settings` raises it.
    """
    return _read(TrafficSettings, environment, prefix=TRAFFIC_PREFIX)


def _read(
    section: type[AnySection], environment: Mapping[str, str], *, prefix: str, over: Mapping[str, Any] | None = None
) -> AnySection:
    given = {
        name.removeprefix(prefix).lower(): value
        for name, value in environment.items()
        if name.startswith(prefix) and name not in _SECRETS
    }
    try:
        return section.model_validate({**(over or {}), **given})
    except ValidationError as fault:
        raise explain_settings_error(fault, section, where=f"environment, variables {prefix}…") from fault
