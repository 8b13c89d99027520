"""The monitor's way to a new model, as far as it goes without training one."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.retraining import find_known_model, read_retrain_rule, retrain_on_verdict
from learn.config.data import DataSettings
from learn.config.settings import Settings
from learn.data.versions.snapshot import record_version
from learn.errors import DataError, SettingsError
from learn.registry.store import store_bundle
from tests.flows.synthetic_tables import write_tables
from tests.serving.synthetic_model import made_up_parts


@pytest.mark.parametrize("verdict", ["ok", "watch", "alarm"])
def test_no_other_verdict_trains(tmp_path: Path, verdict: str) -> None:
    done = retrain_on_verdict(
        verdict, rule="on-verdict", data=tmp_path / "nowhere", promote="never", values={}, scratch=tmp_path
    )
    assert done.action == "not_wanted"
    assert verdict in done.said


def test_nothing_is_trained_unasked(tmp_path: Path) -> None:
    done = retrain_on_verdict(
        "retrain", rule="never", data=tmp_path / "nowhere", promote="never", values={}, scratch=tmp_path
    )
    assert done.action == "not_wanted"
    assert "was not requested" in done.said


def test_a_wrong_word_is_told_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no `--retrain on-verdikt`") as caught:
        read_retrain_rule("on-verdikt", data=tmp_path)
    assert "`on-verdict`" in caught.value.fix


def test_a_folder_that_is_not_there_is_told_before_it_is_wanted(tmp_path: Path) -> None:
    assert read_retrain_rule("never", data=tmp_path / "data") == "never"
    with pytest.raises(DataError, match="no such data folder"):
        read_retrain_rule("on-verdict", data=tmp_path / "data")
    (tmp_path / "data.dvc").touch()
    assert read_retrain_rule("on-verdict", data=tmp_path / "data") == "on-verdict"


def test_data_and_settings_that_a_stored_model_was_made_of_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_tables(tmp_path / "data")
    settings = Settings().override(serving__model_name="retrained", seed=3)
    assert find_known_model(data, settings=settings) == ""
    version = record_version(data, root=tmp_path, settings=DataSettings()).version
    parts = made_up_parts(item_count=8)
    manifest = parts.manifest.model_copy(
        update={"data_version": version, "settings": settings.override(workspace="elsewhere"), "run_id": "17"}
    )
    store_bundle(type(parts)(**(vars(parts) | {"manifest": manifest})).write(tmp_path / "bundle"), name="retrained")
    assert "Run 17 has trained" in find_known_model(data, settings=settings)
    assert find_known_model(data, settings=settings.override(seed=4)) == ""
    with (data / "interactions.csv").open("a", encoding="utf-8") as file:
        file.write("u0,i0,2024-09-01\n")
    assert find_known_model(data, settings=settings) == ""
