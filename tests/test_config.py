"""Settings: checked, named when wrong, overridden by what the command line gives, the same bytes everywhere."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from learn.config.base import read_choice
from learn.config.environment import (
    read_deployment_settings,
    read_operations_settings,
    read_serving_settings,
    read_traffic_settings,
)
from learn.config.serving import ServingSettings
from learn.config.settings import Settings
from learn.errors import SettingsError

SECTIONS: dict[str, type[BaseModel]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}


def test_every_setting_says_what_it_is_and_why() -> None:
    models: list[type[BaseModel]] = [Settings, *SECTIONS.values()]
    silent = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if name not in SECTIONS and len(field.description or "") < 10
    ]
    assert silent == []


def test_a_file_of_settings_is_read() -> None:
    settings = Settings.from_toml('seed = 3\n[split]\nmethod = "leave_one_out"\n[data.item_columns]\ntitle = "name"\n')
    assert (settings.seed, settings.split.method) == (3, "leave_one_out")
    assert settings.data.item_columns == {"title": "name"}
    assert settings.towers == Settings().towers


@pytest.mark.parametrize(
    ("values", "what", "fix"),
    [
        ({"training": {"epoch": 3}}, "There is no setting `training.epoch`.", "did you mean `epochs`?"),
        ({"trainig": {}}, "There is no setting `trainig`.", "did you mean `training`?"),
        ({"split": {"zzz": 1}}, "There is no setting `split.zzz`.", "the settings here are: method,"),
        ({"split": {"method": "by_day"}}, "not `by_day`", "did you mean `by_date`?"),
        ({"evaluation": {"baselines": ["eas"]}}, "`evaluation.baselines.0`", "did you mean `ease`?"),
        ({"training": {"epochs": 0}}, "`training.epochs`: Input should be greater than or equal to 1, not `0`", ""),
        ({"towers": {"dimension": 10, "heads": 3}}, "`towers`: dimension 10 cannot be divided by 3 heads", ""),
        ({"evaluation": {"cutoffs": [5, 20]}}, "`evaluation.cutoffs`", ""),
        ({"split": 3}, "`split`", ""),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_may_be(values: dict[str, Any], what: str, fix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping(values, where="here")
    assert what in caught.value.what
    assert caught.value.where == "here"
    assert caught.value.fix.startswith(fix)
    assert caught.value.fix


def test_a_text_that_is_not_toml_is_one_clear_error() -> None:
    with pytest.raises(SettingsError, match="This file is not valid TOML"):
        Settings.from_toml("[training\n")


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_NAMES = st.sampled_from([*Settings.model_fields, "epochs", "method", "unheard"])


@given(values=st.dictionaries(_NAMES, _PLAIN | st.dictionaries(_NAMES, _PLAIN, max_size=3), max_size=4))
def test_whatever_a_file_holds_is_read_or_refused_in_words(values: dict[str, Any]) -> None:
    try:
        read: Settings | SettingsError = Settings.from_mapping(values)
    except SettingsError as error:
        read = error
    assert isinstance(read, Settings) or (read.what and read.fix)


def test_the_command_line_wins_where_it_says_something() -> None:
    settings = Settings.from_mapping({"seed": 5, "split": {"method": "by_date"}})
    assert settings.override(seed=None, split__method="", drift__on_drift="") == settings
    changed = settings.override(seed=0, split__method="leave_one_out")
    assert (changed.seed, changed.split.method) == (0, "leave_one_out")
    assert settings.seed == 5


def test_a_wrong_word_on_the_command_line_is_said_to_stand_there() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings().override(drift__on_drift="fial")
    assert caught.value.where == "command line"
    assert caught.value.fix == "did you mean `fail`?"


@pytest.mark.parametrize(
    ("word", "fix"),
    [("alway", "give one of never, always; did you mean `always`?"), ("", "give one of never, always")],
)
def test_a_wrong_choice_lists_the_words_that_are_right(word: str, fix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_choice(word, choices=Literal["never", "always"], option="--promote")
    assert caught.value.what == f"There is no `--promote {word}`."
    assert caught.value.where == "command line"
    assert caught.value.fix == fix


def test_a_right_choice_is_returned() -> None:
    assert read_choice("always", choices=Literal["never", "always"], option="--promote") == "always"


def test_pickled_settings_come_back() -> None:
    settings = Settings().override(seed=3, workspace=Path("elsewhere"))
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - made in the line itself


def test_every_process_pickles_settings_to_the_same_bytes() -> None:
    # Branches of a flow that join are compared by these bytes.
    code = (
        "import pickle; from learn.config import Settings;"
        "once = pickle.dumps(Settings().override(seed=3)); again = pickle.dumps(pickle.loads(once));"
        "assert once == again; print(once.hex())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_a_running_service_reads_its_environment() -> None:
    environment = {"LEARN_TRAFFIC_FOLDER": "/var/log/shop", "LEARN_TRAFFIC_KEEP_DAYS": "7", "LEARN_TRAFFIC_KEY": "s"}
    traffic = read_traffic_settings(environment | {"LEARN_DEPLOYMENT_SERVE": "packed"})
    assert (traffic.folder, traffic.keep_days, traffic.rotate_seconds) == (Path("/var/log/shop"), 7, 3_600)
    assert read_deployment_settings({"LEARN_DEPLOYMENT_SERVE": "packed"}).serve == "packed"
    assert read_deployment_settings({}).serve == "champion"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("LEARN_TRAFFIC_KEEP_DAY", "7", "did you mean `keep_days`"), ("LEARN_TRAFFIC_KEEP_DAYS", "-1", "greater than 0")],
)
def test_a_wrong_variable_of_a_service_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_traffic_settings({name: value})


def test_the_environment_of_a_service_wins_over_the_bundle() -> None:
    bundled = ServingSettings(max_k=50, max_batch=7)
    environment = {"LEARN_SERVING_MAX_K": "20", "LEARN_SERVING_STATE": "/there", "LEARN_SERVING_KEYS": "a,b"}
    found = read_serving_settings(bundled, environment)
    assert (found.max_k, found.max_batch, found.state) == (20, 7, Path("/there"))
    assert read_serving_settings(bundled, {"PATH": "/bin"}) == bundled
    assert read_operations_settings({"LEARN_OPERATIONS_MAX_REQUESTS": "9"}).max_requests == 9


@pytest.mark.parametrize(
    ("name", "value", "said"), [("MAX_KK", "1", "max_kk"), ("MAX_K", "many", "max_k"), ("MAX_K", "0", "max_k")]
)
def test_a_wrong_variable_over_the_bundle_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        read_serving_settings(ServingSettings(), {f"LEARN_SERVING_{name}": value})
    assert "LEARN_SERVING_" in str(refused.value)
