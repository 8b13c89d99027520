"""The whole settings file."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from learn.config.base import Section, SettingsFile
from learn.config.content import ContentSettings
from learn.config.data import DataSettings, SplitSettings, ValidationSettings
from learn.config.evaluation import EvaluationSettings, GateSettings
from learn.config.model import ProcessSettings, TowerSettings, TrainingSettings
from learn.config.monitoring import DriftSettings, MonitoringSettings
from learn.config.serving import ServingSettings


class PlaceSettings(Section):
    """Where a run keeps what must outlive the machine of a step."""

    run_files: str = Field(default="", pattern=r"^$|^[a-z0-9]+://.+|^/.+")
    """Place, such as ``s3://bucket/run-files``, through which steps pass their files on. Empty: all steps reach the
    same ``workspace`` and ``reports``, as on one machine, or on a cluster with a volume, and nothing is copied."""

    data_remote: str = Field(default="", pattern=r"^$|^[a-z0-9]+://.+|^/.+")
    """DVC remote of the data, for a working directory outside a DVC repository, as in a pod: ``--data-version`` is
    fetched from it. Empty: the repository's own remotes."""


class Settings(SettingsFile):
    """The whole settings file."""

    workspace: Path = Path(".learn")
    """Folder for everything a run keeps next to its reports: tables, content store, checkpoints, bundles."""

    reports: Path = Path("reports")
    """Folder of the reports, with one sub-folder per run."""

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

    @field_validator("workspace", "reports")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        try:
            return value.expanduser()
        except RuntimeError as fault:
            raise ValueError(f"the home folder of {value} is not known") from fault

    @property
    def content_store(self) -> str:
        """Path or URL of the content store: ``content.store``, or ``content`` in the workspace."""
        return self.content.store or str(self.workspace.absolute() / "content")

    def override(self, **options: object) -> Settings:
        """Return these settings with the given options of the command line; options that are None or empty are ignored.

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
