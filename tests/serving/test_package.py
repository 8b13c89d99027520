from __future__ import annotations

from pathlib import Path

import bentoml
import pytest

from learn.errors import ServingError
from learn.registry.store import store_bundle
from learn.serving.package import build_bento, serve_command
from learn.serving.parity import run_service

RECIPE = "learn.serving.package._RECIPE"


def test_a_missing_recipe_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RECIPE, tmp_path / "bentofile.yaml")
    with pytest.raises(ServingError, match="recipe is missing") as caught:
        build_bento(model_tag="learn_user_tower:x")
    assert caught.value.where == str(tmp_path / "bentofile.yaml")


@pytest.mark.parametrize("text", ["", "models: []", "models: [{tag: a}]", "{", "models: 3"])
def test_a_wrong_recipe_is_named(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RECIPE, tmp_path / "bentofile.yaml")
    (tmp_path / "bentofile.yaml").write_text(text)
    with pytest.raises(ServingError, match="recipe is damaged"):
        build_bento(model_tag="learn_user_tower:x")


def test_the_command_binds_to_this_machine_alone() -> None:
    assert serve_command("learn_user_tower:latest") == "bentoml serve learn_user_tower:latest --host 127.0.0.1"


@pytest.mark.slow
def test_a_model_that_is_not_stored_cannot_be_built() -> None:
    with pytest.raises(ServingError, match="could not build"):
        build_bento(model_tag="learn_user_tower:nothing")


@pytest.mark.slow
def test_a_temporary_folder_may_lie_in_a_hidden_one(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / ".hidden"
    hidden.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(hidden))
    tag = build_bento(model_tag=store_bundle(bundle_folder, name="learn_user_tower"))
    built = Path(bentoml.get(tag).path)
    assert (built / "src" / "learn" / "serving" / "service.py").is_file()
    assert not list(hidden.iterdir())


@pytest.mark.slow
def test_a_service_that_does_not_start_says_why() -> None:
    with pytest.raises(ServingError, match="ended before it was ready") as caught, run_service("nobody:latest"):
        pass
    assert "nobody" in caught.value.what
