"""The command `learn`: what it loads, what it hands to the flows, and where its settings come from."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from learn.cli import find_flow, learn
from learn.config import PRESETS, Settings, merge_settings_text, read_settings
from learn.errors import SettingsError

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("content", "data", "evaluate", "export", "models", "monitor", "runs", "serve", "train")
HEAVY = {"torch", "polars", "pyarrow", "numpy", "pandas", "metaflow", "bentoml", "evidently", "dvc", "transformers"}


def run(*words: str) -> Result:
    return CliRunner().invoke(learn, list(words))


def parameters_of(flow: str) -> set[str]:
    """Names of a flow's parameters, read from its text: nothing of Metaflow is loaded."""
    tree = ast.parse(find_flow(flow).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Parameter"]
    return {str(call.args[0].value) for call in named if isinstance(call.args[0], ast.Constant)}


def test_the_help_names_every_command_and_loads_no_library() -> None:
    code = f"""
import sys
from learn.cli import main
try:
    main()
except SystemExit:
    pass
sys.exit(",".join({HEAVY!r} & {{*sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = run(name, "--help")
    assert done.exit_code == 0
    assert f"learn {name}" in done.output


@pytest.mark.parametrize(("command", "flow"), [("train", "train_flow.py"), ("monitor", "monitor_flow.py")])
def test_a_command_has_every_parameter_of_its_flow(command: str, flow: str) -> None:
    found = learn.get_command(click.Context(learn), command)
    assert found is not None
    own = {option.removeprefix("--") for each in found.params if isinstance(each, click.Option) for option in each.opts}
    assert own - {"config", "set", "machines"} == parameters_of(flow)


def handed_on(tmp_path: Path, *words: str) -> list[str]:
    """Words of the process that `learn` becomes, with Python put aside for one that prints them."""
    code = "import sys, json, learn.cli as c; c._become = lambda words: print(json.dumps(words)); c.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [str(word) for word in json.loads(done.stdout)]


def test_train_hands_options_settings_and_words_to_the_flow(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text("seed = 3\n[training]\nepochs = 2\n", encoding="utf-8")
    words = handed_on(
        tmp_path, "train", "--data", "shop", "--data-version", "v1", "--config", "shop.toml",
        "--set", "training.epochs=5", "--", "--max-workers", "2",
    )  # fmt: skip
    assert words[:3] == [sys.executable, str(find_flow("train_flow.py")), "--no-pylint"]
    place = words.index("--config-value")
    assert words[place + 1] == "settings"
    assert tomllib.loads(words[place + 2]) == {"seed": 3, "training": {"epochs": 5}}
    assert words[place + 3 :] == ["run", "--data", "shop", "--data-version", "v1", "--max-workers", "2"]


def test_without_settings_the_flow_gets_none(tmp_path: Path) -> None:
    assert handed_on(tmp_path, "monitor", "--traffic", "log")[3:] == ["run", "--traffic", "log"]


def test_a_mistake_in_the_settings_is_told_before_anything_starts(tmp_path: Path) -> None:
    done = run("train", "--set", "training.epoch=5")
    assert done.exit_code == 1
    assert "There is no setting `training.epoch`." in done.output
    assert "did you mean `epochs`" in done.output
    (tmp_path / "latin.toml").write_bytes("# Größe\nseed = 1\n".encode("latin-1"))
    done = run("train", "--config", str(tmp_path / "latin.toml"))
    assert done.exit_code == 1
    assert "not UTF-8" in done.output


def test_files_presets_and_assignments_are_merged_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_bytes(b"\xef\xbb\xbf[training]\nepochs = 2\nbatch_positions = 64\n")
    found = read_settings([Path("sasrec"), tmp_path / "shop.toml"], ["training.epochs=7", "split.method=leave_one_out"])
    preset = Settings.from_toml((PRESETS / "sasrec.toml").read_text(encoding="utf-8"))
    assert found.towers == preset.towers
    assert (found.training.epochs, found.training.batch_positions, found.split.method) == (7, 64, "leave_one_out")


@pytest.mark.parametrize(
    ("files", "assignments", "said"),
    [
        ([Path("no_such")], [], "no such settings file"),
        ([], ["seed"], "is no assignment"),
        ([], ["=3"], "is no assignment"),
        ([], ["training..epochs=3"], "is no assignment"),
        ([], ["training.epochs=-3"], "training.epochs"),
        ([], ["seed=many"], "seed"),
    ],
)
def test_a_source_that_cannot_be_read_is_named(files: list[Path], assignments: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings(files, assignments)


@given(seed=st.integers(0, 2**40), epochs=st.integers(1, 500), model=st.text("abcXYZ_-", min_size=1))
def test_what_is_assigned_is_read_back(seed: int, epochs: int, model: str) -> None:
    text = merge_settings_text((), [f"seed={seed}", f"training.epochs = {epochs}", f"serving.model_name={model}"])
    assert tomllib.loads(text) == {
        "seed": seed, "training": {"epochs": epochs}, "serving": {"model_name": model},
    }  # fmt: skip


def test_serving_what_was_never_built_is_one_message(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "learn", "serve", "nothing:latest"], cwd=tmp_path, capture_output=True, text=True,
        check=False, env=os.environ | {"BENTOML_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "has no bento `nothing:latest`" in done.stderr
    assert "Traceback" not in done.stderr
