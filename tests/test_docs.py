"""The settings page and the settings files that come along say what the code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from learn.config.serving import DeploymentSettings, OperationsSettings, TrafficSettings
from learn.config.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))


def test_the_settings_page_is_up_to_date() -> None:
    script = ROOT / "scripts" / "write_settings_page"
    done = subprocess.run([sys.executable, script, "--check"], check=False)
    assert done.returncode == 0, "docs/settings.md is older than learn/config/: run scripts/write_settings_page"


def test_every_setting_of_a_service_has_its_docstring() -> None:
    for section in (DeploymentSettings, OperationsSettings, TrafficSettings):
        assert not [name for name, setting in section.model_fields.items() if not setting.description]


def test_every_setting_has_its_docstring() -> None:
    for name, field in Settings.model_fields.items():
        section = field.annotation
        fields = getattr(section, "model_fields", {name: field})
        bare = [f"{name}.{each}" for each, setting in fields.items() if not setting.description]
        assert not bare, f"without a reason: {bare}"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_settings_file_that_comes_along_is_read(path: Path) -> None:
    assert Settings.from_toml(path.read_text(encoding="utf-8"), where=path.name) != Settings()


def test_the_papers_settings_are_among_them() -> None:
    paper = Settings.from_toml((ROOT / "configs" / "paper.toml").read_text(encoding="utf-8"))
    assert paper.training.loss == "dense_all_action"
    assert paper.towers.item_tower == "shared_sequence"
    assert not paper.towers.positions
    assert CONFIGS
