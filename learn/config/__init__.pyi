from .base import Section, read_choice
from .content import Arithmetic, ContentSettings
from .data import DataSettings, SplitSettings, ValidationSettings
from .environment import (
    API_KEYS,
    API_KEYS_FILE,
    DEPLOYMENT_PREFIX,
    OPERATIONS_PREFIX,
    SERVING_PREFIX,
    TRAFFIC_KEY,
    TRAFFIC_PREFIX,
    read_deployment_settings,
    read_operations_settings,
    read_serving_settings,
    read_traffic_settings,
)
from .evaluation import EvaluationSettings, GateSettings
from .machines import MachineSettings, Work
from .model import ProcessSettings, TowerSettings, TrainingSettings
from .monitoring import DriftSettings, MonitoringSettings
from .serving import DeploymentSettings, OperationsSettings, ServingSettings, TrafficSettings
from .settings import PlaceSettings, Settings
from .sources import PRESETS, add_settings_options, merge_settings_text, read_settings

__all__ = [
    "API_KEYS",
    "API_KEYS_FILE",
    "DEPLOYMENT_PREFIX",
    "OPERATIONS_PREFIX",
    "PRESETS",
    "SERVING_PREFIX",
    "TRAFFIC_KEY",
    "TRAFFIC_PREFIX",
    "Arithmetic",
    "ContentSettings",
    "DataSettings",
    "DeploymentSettings",
    "DriftSettings",
    "EvaluationSettings",
    "GateSettings",
    "MachineSettings",
    "MonitoringSettings",
    "OperationsSettings",
    "PlaceSettings",
    "ProcessSettings",
    "Section",
    "ServingSettings",
    "Settings",
    "SplitSettings",
    "TowerSettings",
    "TrafficSettings",
    "TrainingSettings",
    "ValidationSettings",
    "Work",
    "add_settings_options",
    "merge_settings_text",
    "read_choice",
    "read_deployment_settings",
    "read_operations_settings",
    "read_serving_settings",
    "read_settings",
    "read_traffic_settings",
]
