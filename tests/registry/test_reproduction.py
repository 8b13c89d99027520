"""Repeating a training: the same settings in stores of its own, and one clear error where something is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from learn.config.settings import Settings
from learn.registry.cli import models
from learn.registry.reproduction import Repetition, write_settings_text
from learn.registry.store import store_bundle
from tests.registry.test_start_bundle import SETTINGS, written
from tests.serving.synthetic_model import BundleParts, made_up_parts

NAME = "repeated"


@pytest.fixture(scope="module")
def small() -> BundleParts:
    return made_up_parts(SETTINGS.towers, item_count=8)


def reproduced(small: BundleParts, folder: Path, monkeypatch: pytest.MonkeyPatch, **manifest: object) -> Result:
    version = store_bundle(written(small, folder / "bundle", **manifest), name=NAME).partition(":")[2]
    monkeypatch.chdir(folder)
    return CliRunner().invoke(models, ["--name", NAME, "reproduce", version])


def test_the_settings_are_those_of_the_manifest_but_for_where_things_lie(tmp_path: Path) -> None:
    settings = Settings().override(
        seed=7, workspace="far/away", drift__on_drift="fail", monitoring__recent_days=5, training__epochs=3
    )
    read = Settings.from_toml(write_settings_text(settings, scratch=tmp_path))
    assert (read.workspace, read.reports) == (tmp_path / "workspace", tmp_path / "reports")
    back = read.override(workspace="far/away", reports="reports", drift__on_drift="fail", data__push=True)
    assert back == settings


def test_a_repetition_says_whether_the_weights_are_the_same() -> None:
    assert Repetition("v", "aa", "aa").sentence.startswith("SAME: training v again gave the weights aa")
    other = Repetition("v", "aa", "bb")
    assert not other.same
    assert other.sentence.startswith("DIFFERENT: training v again gave the weights bb instead of aa")


def test_an_unknown_model_could_not_be_repeated() -> None:
    done = CliRunner().invoke(models, ["--name", "nobody-repeats", "reproduce", "latest"])
    assert done.exit_code == 2
    assert "has no model `nobody-repeats`" in done.output


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"parent": "0123456789abcdef"}, "started from the weights of 0123456789abcdef, which are no longer available"),
        ({"encoder_fingerprint": "another"}, "The model's encoder has changed"),
        ({"data_version": "0" * 32 + ".dir"}, "The data version is not available"),
    ],
)
def test_what_is_gone_is_said_before_any_work(
    small: BundleParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: dict[str, str], said: str
) -> None:
    done = reproduced(small, tmp_path, monkeypatch, **manifest)
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "reports").exists()
