"""Every setting of LEARN: typed, checked, one docstring a field with the reason for its default.

A run reads them from one TOML file (``--config settings FILE``); each section below is one table of
that file. What a person changes from run to run (data, split, encoder, seed …) is an option of the
command line instead and wins over the file.
"""

from __future__ import annotations

from learn.config.alignment import TowerSettings, TrainingSettings
from learn.config.content import ContentSettings
from learn.config.data import DataSettings, SplitSettings, ValidationSettings
from learn.config.evaluation import EvaluationSettings
from learn.config.gate import GateSettings
from learn.config.operations import (
    DeploymentSettings,
    DriftSettings,
    MonitoringSettings,
    OperationsSettings,
    ServingSettings,
    TrafficSettings,
)
from learn.config.places import PlaceSettings
from learn.config.processes import ProcessSettings
from learn.config.settings import Settings

__all__ = [
    "ContentSettings",
    "DataSettings",
    "DeploymentSettings",
    "DriftSettings",
    "EvaluationSettings",
    "GateSettings",
    "MonitoringSettings",
    "OperationsSettings",
    "PlaceSettings",
    "ProcessSettings",
    "ServingSettings",
    "Settings",
    "SplitSettings",
    "TowerSettings",
    "TrafficSettings",
    "TrainingSettings",
    "ValidationSettings",
]
