"""``learn models`` on the command line."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import bentoml
import pytest
from click.testing import CliRunner, Result

from learn.config.settings import Settings
from learn.errors import BundleError
from learn.registry.bundle import GateDecision
from learn.registry.cli import models
from learn.registry.promotion import describe_author
from learn.registry.store import load_stored, store_bundle
from tests.serving.synthetic_model import made_up_parts

NAME = "commanded"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    parts = made_up_parts(item_count=8)
    settings = Settings().override(training__epochs=3, seed=7)
    made: list[str] = []
    for n in range(2):
        manifest = parts.manifest.model_copy(
            update={
                "data_version": f"{n}" * 32 + ".dir",
                "settings": settings,
                "code_revision": "c0de" * 10,
                "parent": made[-1] if made else None,
                "created": "2031-05-06T07:08:09+00:00",
                "run_id": f"17{n}",
                "metrics": {"masked": {"ndcg@10": 0.1234, "recall@10": 0.2}, "unmasked": {"ndcg@10": 0.9}},
                "intervals": {"masked": {"ndcg@10": [0.11, 0.13]}},
                "decision": GateDecision(fit=n == 0, reasons=("NDCG@10 0.1234 is above popularity.",)),
            }
        )
        folder = replace(parts, manifest=manifest).write(tmp_path_factory.mktemp("commanded") / "bundle")
        made.append(store_bundle(folder, name=NAME).partition(":")[2])
    return made


def learn(*words: str, name: str = NAME) -> Result:
    done = CliRunner().invoke(models, ["--name", name, *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_model_goes_up_and_back_and_the_list_says_so(versions: list[str]) -> None:
    first, second = versions
    assert f"champion: none -> {first}" in learn("promote", first, "--reason", "the first").output
    assert "nothing changed" in learn("promote", first[:6], "--reason", "again").output
    put = learn("promote", second, "--as", "challenger", "--share", ".2", "--reason", "try").output
    assert f"challenger: none -> {second}, for 20% of the users" in put
    listed = learn("list").output
    assert f"{first}  champion" in listed
    assert f"{second}  challenger 20%" in listed
    assert "0.1234" in listed
    assert "not fit" in listed
    learn("promote", second, "--reason", "better")
    assert f"champion: {second} -> {first}" in learn("rollback", "--reason", "worse", "--by", "TrainFlow/9").output
    shown = learn("show", "champion").output
    assert describe_author() in shown
    assert "rollback by TrainFlow/9: worse" in shown


def test_a_model_is_shown_with_where_it_comes_from(versions: list[str]) -> None:
    shown = learn("show", versions[1][:8]).output
    for said in (
        versions[1],
        "1" * 32 + ".dir",
        "c0de" * 10,
        "made-up/1",
        versions[0],
        "training.epochs = 3 (default",
        "ndcg@10 0.1234 [0.1100, 0.1300]",
        "recall@10 0.2000",
        "NDCG@10 0.1234 is above popularity.",
        "run 171, 2031-05-06 07:08 UTC",
        "every file is as it was written",
    ):
        assert said in shown, said


def test_the_same_stands_there_for_machines(versions: list[str]) -> None:
    found = json.loads(learn("show", versions[1], "--json").output)
    assert found["version"] == versions[1]
    assert found["parent"] == versions[0]
    assert {"setting": "seed", "value": 7, "default": 0} in found["settings"]
    assert found["decision"] == {
        "fit": False,
        "reasons": ["NDCG@10 0.1234 is above popularity."],
        "champion": None,
        "failed": [],
    }
    listed = json.loads(learn("list", "--json").output)
    assert {each["version"] for each in listed} == set(versions)


def test_a_shadow_gets_everyone_unless_told_otherwise(versions: list[str]) -> None:
    first, second = versions
    learn("promote", first, "--reason", "the first")
    said = learn("promote", second, "--as", "challenger", "--shadow", "--reason", "look").output
    assert "for 100% of the users in the shadow" in said
    assert f"challenger: {second} -> none" in learn("withdraw", "--reason", "seen").output


def test_the_commands_of_the_page_do_what_it_says(versions: list[str]) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "models.md"
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("learn models ")]
    assert {shlex.split(line)[2] for line in lines} == set(models.commands)
    store_name = "of_the_page"
    for version in versions:
        store_bundle(load_stored(f"{NAME}:{version}").folder, name=store_name)
    learn("promote", versions[0], "--reason", "an earlier one", name=store_name)
    for line in lines:
        words = shlex.split(line.replace("VERSION", versions[1]), comments=True)[2:]
        if words[0] == "reproduce":  # trains; the whole runs of the gate show it
            continue
        assert learn(*words, name=store_name).exit_code == 0, line
    assert json.loads(learn("show", "champion", "--json", name=store_name).output)["version"] == versions[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["promote", "x"], "Missing option '--reason'"),
        (["promote", "x", "--share", ".5", "--reason", "y"], "add --as challenger"),
        (["promote", "x", "--as", "challenger", "--share", "0", "--reason", "y"], "is not in the range"),
        (["rollback"], "Missing option '--reason'"),
    ],
)
def test_a_wrong_call_is_told_how_it_should_be(words: list[str], said: str) -> None:
    done = learn(*words)
    assert done.exit_code == 2
    assert said in done.output


def test_a_damaged_bundle_is_shown_as_damaged_and_not_promoted(tmp_path: Path) -> None:
    tag = store_bundle(made_up_parts(item_count=8).write(tmp_path / "bundle"), name="hurt")
    items = Path(bentoml.models.get(tag).path_of("items.parquet"))
    items.write_bytes(items.read_bytes() + b"x")
    assert "NO: A file of the bundle was changed" in learn("show", "latest", name="hurt").output
    with pytest.raises(BundleError, match="changed or damaged"):
        learn("promote", "latest", "--reason", "try", name="hurt")


def test_an_empty_store_is_said_and_is_no_error() -> None:
    assert "has no model `nothing_here` yet" in learn("list", name="nothing_here").output
    with pytest.raises(BundleError, match="run `learn train`"):
        learn("show", "champion", name="nothing_here")
