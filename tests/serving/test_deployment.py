from __future__ import annotations

from pathlib import Path

import pytest

from learn.config import ServingSettings
from learn.errors import SettingsError
from learn.serving.deployment import deployed, state_folder


def test_the_environment_wins_over_the_bundle() -> None:
    bundled = ServingSettings(max_k=50, max_batch=7)
    found = deployed(bundled, {"LEARN_SERVING_MAX_K": "20", "LEARN_SERVING_STATE": "/there", "PATH": "/bin"})
    assert (found.max_k, found.max_batch, found.state) == (20, 7, Path("/there"))
    assert deployed(bundled, {}) == bundled


@pytest.mark.parametrize(
    ("name", "value", "said"), [("MAX_KK", "1", "max_kk"), ("MAX_K", "many", "max_k"), ("MAX_K", "0", "max_k")]
)
def test_a_wrong_variable_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        deployed(ServingSettings(), {f"LEARN_SERVING_{name}": value})
    assert "LEARN_SERVING_" in str(refused.value)


def test_state_lies_beside_the_models_unless_told_otherwise(tmp_path: Path) -> None:
    assert state_folder(ServingSettings(), {"BENTOML_HOME": str(tmp_path)}) == tmp_path / "learn"
    assert state_folder(ServingSettings(), {}) == Path.home() / "bentoml" / "learn"
    assert state_folder(ServingSettings(state=tmp_path / "own"), {}) == tmp_path / "own"
