"""Lineage of a stored model: its origin, its quality, and who gave it its alias; for people and for machines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from learn.config import Settings
from learn.errors import BundleError
from learn.registry.aliases import Alias, Challenger, Change, ModelAliases
from learn.registry.bundle import GateDecision, Manifest, read_bundle
from learn.registry.store import StoredModel

MAIN_METRICS = ("ndcg@10", "recall@10")
_MASKING = "masked"


class Metric(BaseModel):
    """One figure on test, the user's history left out of the lists."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    low: float | None = None
    high: float | None = None


class Difference(BaseModel):
    """A setting that is not the default."""

    model_config = ConfigDict(frozen=True)

    setting: str
    value: JsonValue
    default: JsonValue


class Lineage(BaseModel):
    """Everything that is known about a stored model.

    Attributes:
        model: Name in the store.
        version: Version of the bundle.
        alias: Its alias.
        challenger: Its share and mode, if it is the challenger.
        fault: What is wrong with it; empty if nothing is. The other fields are empty if the manifest cannot be read.
        stored: When it was put into the store.
        created: When the run made it, in ISO 8601.
        run_id: Id of that run.
        data_version: Version of the data folder.
        split: How training, validation and test were divided.
        encoder_fingerprint: Fingerprint of the frozen encoder.
        code_revision: Git revision of the code.
        parent: Version of the bundle that training started from.
        seed: Seed of every random draw.
        settings: The settings that differ from the defaults.
        metrics: Main figures on test.
        decision: The gate's decision.
        weights_sha256: Hash of the weights.
        changes: Every change of an alias that concerned it, the oldest first.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    version: str
    alias: Alias | None
    challenger: Challenger | None
    fault: str
    stored: datetime
    created: str = ""
    run_id: str = ""
    data_version: str = ""
    split: str = ""
    encoder_fingerprint: str = ""
    code_revision: str | None = None
    parent: str | None = None
    seed: int | None = None
    settings: tuple[Difference, ...] = ()
    metrics: tuple[Metric, ...] = ()
    decision: GateDecision | None = None
    weights_sha256: str = ""
    changes: tuple[Change, ...] = ()

    def find_metric(self, name: str) -> Metric | None:
        """Return one of the figures; None if the manifest does not have it."""
        return next((metric for metric in self.metrics if metric.name == name), None)


Lineages: TypeAdapter[list[Lineage]] = TypeAdapter(list[Lineage])
"""Serialises several lineages as one JSON list."""


def read_lineage(model: StoredModel, aliases: ModelAliases, *, checked: bool = False) -> Lineage:
    """Gather what is known of a stored model.

    Args:
        model: The model, as the registry lists it.
        aliases: The aliases of its name.
        checked: Whether to compare every file with its checksum, which reads all of the bundle.
    """
    version = model.version
    alias = aliases.find_alias(version)
    return Lineage(
        model=model.name,
        version=version,
        alias=alias,
        challenger=aliases.challenger if alias == "challenger" else None,
        fault=model.fault or (_find_fault(model) if checked else ""),
        stored=model.stored,
        changes=tuple(change for change in aliases.history if version in (change.before, change.after)),
        **({} if model.manifest is None else _read_manifest_fields(model.manifest)),
    )


def list_setting_differences(settings: Settings) -> tuple[Difference, ...]:
    """Return the settings that are not the defaults, by their dotted names."""
    given, defaults = (_flatten(each.model_dump(mode="json")) for each in (settings, Settings()))
    return tuple(
        Difference(setting=name, value=value, default=defaults.get(name))
        for name, value in given.items()
        if value != defaults.get(name)
    )


def _read_manifest_fields(manifest: Manifest) -> dict[str, Any]:
    return {
        "created": manifest.created,
        "run_id": manifest.run_id,
        "data_version": manifest.data_version,
        "split": str(manifest.split.get("described", "")),
        "encoder_fingerprint": manifest.encoder_fingerprint,
        "code_revision": manifest.code_revision,
        "parent": manifest.parent,
        "seed": manifest.settings.seed,
        "settings": list_setting_differences(manifest.settings),
        "metrics": _read_metrics(manifest),
        "decision": manifest.decision,
        "weights_sha256": manifest.weights_sha256,
    }


def _read_metrics(manifest: Manifest) -> tuple[Metric, ...]:
    values, intervals = (_require_mapping(each.get(_MASKING)) for each in (manifest.metrics, manifest.intervals))
    found = []
    for name in MAIN_METRICS:
        value, interval = values.get(name), intervals.get(name)
        if isinstance(value, int | float):
            low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
            found.append(Metric(name=name, value=value, low=low, high=high))
    return tuple(found)


def _require_mapping(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _flatten(values: dict[str, Any]) -> dict[str, Any]:
    # There are only two levels; a table within a section, such as mapped columns, is one value.
    return {
        f"{name}.{field}" if isinstance(section, dict) else name: value
        for name, section in values.items()
        for field, value in (section.items() if isinstance(section, dict) else ((name, section),))
    }


def _find_fault(model: StoredModel) -> str:
    try:
        read_bundle(model.folder)
    except BundleError as fault:
        return f"{fault.what} ({fault.where})"
    return ""
