"""The shop whose traffic is watched, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitoring.synthetic_traffic import Shop, make_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"
