"""What a run does with the gate's word: only a fit model follows the champion it was compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bentoml
import pytest

from flows.models import find_opponents, read_promote_rule, require_opponent
from learn.config.settings import Settings
from learn.errors import BundleError, SettingsError
from learn.evaluation.gate import Decision, Rule
from learn.registry.aliases import read_aliases
from learn.registry.promotion import promote, promote_run
from learn.registry.store import store_bundle
from learn.registry.summary import Champion
from tests.registry.test_start_bundle import SETTINGS, written
from tests.serving.synthetic_model import BundleParts, made_up_parts

FIT = Decision.from_rules([Rule("overall", True, "It is not worse.")])
UNFIT = Decision.from_rules([Rule("overall", False, "It may be worse."), Rule("slice_cold_items", False, "A loss.")])
BY = "TrainFlow/17"


@pytest.fixture(scope="module")
def small() -> BundleParts:
    return made_up_parts(SETTINGS.towers, item_count=8)


@pytest.fixture
def shop(request: pytest.FixtureRequest) -> str:
    """A model name of this test alone."""
    return f"gate-{abs(hash(request.node.name)):x}"


def stored(small: BundleParts, folder: Path, name: str, data_version: str) -> str:
    return store_bundle(written(small, folder / data_version, data_version=data_version), name=name)


def version_of(tag: str) -> str:
    return tag.partition(":")[2]


def named(name: str) -> Settings:
    return SETTINGS.override(serving__model_name=name)


# --- Promotion --------------------------------------------------------------------------------------------


def test_never_changes_nothing(shop: str, small: BundleParts, tmp_path: Path) -> None:
    done = promote_run(stored(small, tmp_path, shop, "a"), FIT, rule="never", champion=Champion(None), by=BY)
    assert not done.promoted
    assert read_aliases(shop).champion is None


def test_the_first_model_becomes_the_champion_and_a_fit_one_follows_it(
    shop: str, small: BundleParts, tmp_path: Path
) -> None:
    tags = [stored(small, tmp_path, shop, each) for each in "ab"]
    first = promote_run(tags[0], FIT, rule="if-better", champion=Champion(None), by=BY)
    assert (first.promoted, first.before) == (True, None)
    assert "the first champion" in first.said
    second = promote_run(tags[1], FIT, rule="if-better", champion=Champion(version_of(tags[0])), by=BY)
    assert (second.promoted, second.before) == (True, version_of(tags[0]))
    last = read_aliases(shop).history[-1]
    assert (last.by, last.after) == (BY, version_of(tags[1]))
    again = promote_run(tags[1], FIT, rule="if-better", champion=Champion(version_of(tags[0])), by=BY)
    assert not again.promoted
    assert "is already the champion" in again.said


@pytest.mark.parametrize("champion", [None, "earlier"])
def test_what_the_gate_refuses_is_promoted_by_always_alone_with_the_failed_rules(
    shop: str, small: BundleParts, tmp_path: Path, champion: str | None
) -> None:
    tag = stored(small, tmp_path, shop, "a")
    refused = promote_run(tag, UNFIT, rule="if-better", champion=Champion(champion), by=BY)
    assert not refused.promoted
    assert "overall, slice cold items" in refused.said
    assert read_aliases(shop).champion is None
    forced = promote_run(tag, UNFIT, rule="always", champion=Champion(champion), by=BY)
    assert forced.promoted
    assert "overall, slice cold items" in read_aliases(shop).history[-1].reason


def test_a_champion_that_changed_meanwhile_is_not_replaced(shop: str, small: BundleParts, tmp_path: Path) -> None:
    tags = [stored(small, tmp_path, shop, each) for each in "abc"]
    promote(shop, version_of(tags[1]), reason="by hand, while the run went on", by="someone")
    done = promote_run(tags[2], FIT, rule="if-better", champion=Champion(version_of(tags[0])), by=BY)
    assert not done.promoted
    assert f"The champion is now {version_of(tags[1])}" in done.said
    assert read_aliases(shop).champion == version_of(tags[1])


# --- Whom it is compared with, before any work -------------------------------------------------------------


@pytest.mark.parametrize(("word", "near"), [("if-beter", "`if-better`"), ("yes", "never, if-better, always")])
def test_a_wrong_word_is_told_the_right_ones(word: str, near: str) -> None:
    with pytest.raises(SettingsError, match=f"no `--promote {word}`") as caught:
        read_promote_rule(word)
    assert near in caught.value.fix


def test_without_a_champion_there_is_nothing_to_be_held_against(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    champion, beside = find_opponents("", promote="if-better", settings=named(shop))
    assert (champion, beside) == (Champion(None), None)
    assert "nobody has promoted" in capsys.readouterr().out
    rule = require_opponent(champion)
    assert rule is not None
    assert rule.passed


def test_the_champion_stands_beside_unless_another_is_named(shop: str, small: BundleParts, tmp_path: Path) -> None:
    tags = [stored(small, tmp_path, shop, each) for each in "ab"]
    promote(shop, version_of(tags[0]), reason="first", by=BY)
    champion, beside = find_opponents("", promote="if-better", settings=named(shop))
    assert champion.version == version_of(tags[0])
    assert beside is not None
    assert beside == champion.bundle
    assert require_opponent(champion) is None
    assert find_opponents(tags[0], promote="if-better", settings=named(shop))[0].bundle is not None
    for other in ("none", tags[1]):
        champion, _ = find_opponents(other, promote="never", settings=named(shop))
        rule = require_opponent(champion)
        assert rule is not None
        assert not rule.passed
        with pytest.raises(BundleError, match="names another opponent"):
            find_opponents(other, promote="if-better", settings=named(shop))


def test_a_champion_that_cannot_be_compared_with_stops_if_better_alone(
    shop: str, small: BundleParts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(small, tmp_path / "other", encoder_fingerprint="another")
    promote(shop, version_of(store_bundle(folder, name=shop)), reason="first", by=BY)
    with pytest.raises(BundleError, match="needs the champion to compare with"):
        find_opponents("", promote="if-better", settings=named(shop))
    champion, beside = find_opponents("", promote="always", settings=named(shop))
    assert beside is None
    assert "is not compared with" in capsys.readouterr().out
    rule = require_opponent(champion)
    assert rule is not None
    assert "trained on other content vectors" in rule.said


def test_a_champion_that_the_store_lost_is_said(shop: str, small: BundleParts, tmp_path: Path) -> None:
    tags = [stored(small, tmp_path, shop, each) for each in "ab"]
    promote(shop, version_of(tags[0]), reason="first", by=BY)
    bentoml.models.delete(tags[0])
    champion, _ = find_opponents("", promote="never", settings=named(shop))
    assert champion == replace(champion, version=version_of(tags[0]), bundle=None)
    assert "has no model" in champion.fault
