"""The whole settings file."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from learn.config.alignment import TowerSettings, TrainingSettings
from learn.config.content import ContentSettings
from learn.config.data import DataSettings, SplitSettings, ValidationSettings
from learn.config.evaluation import EvaluationSettings
from learn.config.gate import GateSettings
from learn.config.operations import DriftSettings, MonitoringSettings, ServingSettings
from learn.config.places import PlaceSettings
from learn.config.processes import ProcessSettings
from learn.config.settings_file import SettingsFile


class Settings(SettingsFile):
    """The whole settings file."""

    workspace: Path = Path(".learn")
    """Folder for everything a run keeps beside its reports: tables, content store, checkpoints, bundles."""

    reports: Path = Path("reports")
    """Folder of the reports, one sub-folder a run."""

    seed: int = Field(default=0, ge=0)
    """Seed of every random draw; ``--seed`` wins over it."""

    places: PlaceSettings = PlaceSettings()
    data: DataSettings = DataSettings()
    validation: ValidationSettings = ValidationSettings()
    split: SplitSettings = SplitSettings()
    content: ContentSettings = ContentSettings()
    towers: TowerSettings = TowerSettings()
    training: TrainingSettings = TrainingSettings()
    processes: ProcessSettings = ProcessSettings()
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
