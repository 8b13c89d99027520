"""The whole settings file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from learn.config.alignment import TowerSettings, TrainingSettings
from learn.config.content import ContentSettings
from learn.config.data import DataSettings, SplitSettings, ValidationSettings
from learn.config.evaluation import EvaluationSettings
from learn.config.gate import GateSettings
from learn.config.operations import DriftSettings, MonitoringSettings, ServingSettings
from learn.errors import SettingsError
from learn.section import Section
from learn.setting_faults import settings_error


class Settings(Section):
    """The whole settings file."""

    workspace: Path = Path(".learn")
    """Folder for everything a run keeps beside its reports: tables, content store, checkpoints, bundles."""

    reports: Path = Path("reports")
    """Folder of the reports, one sub-folder a run."""

    seed: int = Field(default=0, ge=0)
    """Seed of every random draw; ``--seed`` wins over it."""

    data: DataSettings = DataSettings()
    validation: ValidationSettings = ValidationSettings()
    split: SplitSettings = SplitSettings()
    content: ContentSettings = ContentSettings()
    towers: TowerSettings = TowerSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: GateSettings = GateSettings()
    drift: DriftSettings = DriftSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    serving: ServingSettings = ServingSettings()

    @property
    def content_store(self) -> str:
        """Path or URL of the content store: ``content.store``, or ``content`` in the workspace."""
        return self.content.store or str(self.workspace.absolute() / "content")

    def overridden(self, **options: object) -> Settings:
        """Return these settings with options of the command line put in, those not given (None, empty) left out.

        Args:
            options: Dotted names with ``__`` for the dot, e.g. ``split__method="by_date"``.

        Raises:
            SettingsError: A value is out of range.
        """
        values = self.model_dump(mode="python")
        for name, value in options.items():
            if value in (None, ""):
                continue
            *sections, field = name.split("__")
            place = values
            for section in sections:
                place = place[section]
            place[field] = value
        return self.from_mapping(values, where="command line")

    @classmethod
    def from_toml(cls, text: str, *, where: str = "settings file") -> Settings:
        """Read settings from the text of a TOML file.

        Raises:
            SettingsError: The text is not TOML, a name is unknown, or a value is out of range.
        """
        try:
            return cls.from_mapping(tomllib.loads(text), where=where)
        except tomllib.TOMLDecodeError as fault:
            raise SettingsError(f"This is not TOML: {fault}.", where=where, fix="mend the line it names") from fault

    @classmethod
    def from_mapping(cls, values: dict[str, Any], *, where: str = "settings") -> Settings:
        """Check a nested mapping of settings.

        Raises:
            SettingsError: A name is unknown or a value is out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as fault:
            raise settings_error(fault, cls, where=where) from fault
