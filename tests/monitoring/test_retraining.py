"""Retraining: never two at once, not soon after a failed one, not over what is known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from learn.config.monitoring import MonitoringSettings
from learn.errors import TrainingError
from learn.monitoring.retraining import (
    LOCK,
    STATE,
    Retraining,
    RetrainState,
    Trained,
    compute_backoff,
    read_state,
    retrain,
    write_state,
)

NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)
SETTINGS = MonitoringSettings(retrain_backoff_hours=2, retrain_backoff_most_hours=5)


def well() -> Trained:
    return Trained("17", succeeded=True, said="Run 17 trained a model.")


def badly() -> Trained:
    return Trained("18", succeeded=False, said="Run 18 failed.")


def elsewhere() -> Trained:
    return Trained("", succeeded=None, said="The event asks for it.")


def never() -> Trained:
    raise AssertionError("nothing may be trained")


def tried(folder: Path, train: Callable[[], Trained], *, hours: float = 0, known: str = "") -> Retraining:
    moment = NOON + timedelta(hours=hours)
    return retrain(folder, settings=SETTINGS, known=lambda: known, train=train, now=lambda: moment)


def test_a_training_that_ends_well_leaves_nothing_behind(tmp_path: Path) -> None:
    done = tried(tmp_path / "new", well)
    assert (done.action, done.run_id) == ("trained", "17")
    assert read_state(tmp_path / "new" / STATE) == RetrainState()


def test_what_is_known_is_not_trained_again(tmp_path: Path) -> None:
    assert tried(tmp_path, never, known="Run 3 did.") == Retraining("skipped", "Run 3 did.")


def test_while_one_runs_no_other_starts(tmp_path: Path) -> None:
    with FileLock(tmp_path / LOCK):
        assert tried(tmp_path, never) == Retraining("skipped", "Another retraining is running.")

    def within() -> Trained:
        assert read_state(tmp_path / STATE).running_since == NOON
        assert tried(tmp_path, never).action == "skipped"
        return well()

    assert tried(tmp_path, within).action == "trained"


def test_after_failures_it_waits_longer_and_longer_until_one_succeeds(tmp_path: Path) -> None:
    assert tried(tmp_path, badly).action == "failed"
    waiting = tried(tmp_path, never, hours=1.9)
    assert waiting.said == "The last retraining failed; the next one may start from 2031-05-06 14:00 UTC on."
    assert tried(tmp_path, badly, hours=2).action == "failed"
    assert "failed (2 in a row); the next one may start from 2031-05-06 18:00" in tried(tmp_path, never, hours=5.9).said
    assert tried(tmp_path, well, hours=6).action == "trained"
    assert tried(tmp_path, well, hours=6).action == "trained"


def test_one_that_runs_elsewhere_is_not_asked_for_again_until_its_model_is_there_or_it_has_had_its_time(
    tmp_path: Path,
) -> None:
    assert tried(tmp_path, elsewhere).action == "asked"
    waiting = tried(tmp_path, never, hours=1.9)
    assert waiting.said == (
        "The last retraining was requested, and its model is not there yet; "
        "the next one may start from 2031-05-06 14:00 UTC on."
    )
    assert tried(tmp_path, elsewhere, hours=2).action == "asked"
    assert tried(tmp_path, never, hours=5.9).action == "skipped"
    # Its model is there: nothing waits any longer, and newer data is trained on at once.
    assert tried(tmp_path, never, hours=5.9, known="Run 3 did.") == Retraining("skipped", "Run 3 did.")
    assert tried(tmp_path, well, hours=5.9).action == "trained"


def test_a_training_that_raised_or_was_killed_has_failed(tmp_path: Path) -> None:
    def broken() -> Trained:
        raise RuntimeError("no such flow")

    with pytest.raises(RuntimeError):
        tried(tmp_path, broken)
    assert read_state(tmp_path / STATE) == RetrainState(failures=1, last_failed=NOON)
    write_state(tmp_path / STATE, RetrainState(failures=1, last_failed=NOON, running_since=NOON + timedelta(hours=3)))
    assert tried(tmp_path, never, hours=6.9).action == "skipped"
    assert tried(tmp_path, well, hours=7).action == "trained"


@pytest.mark.parametrize("text", ["", "{", '{"failures": -1}', '{"unheard": 1}'])
def test_a_damaged_state_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE).write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match="state of the retrainings cannot be read") as caught:
        tried(tmp_path, never)
    assert caught.value.where == str(tmp_path / STATE)


@given(st.integers(0, 10_000), st.floats(0, 1_000), st.floats(0, 1_000))
def test_the_wait_grows_with_failures_up_to_its_bound(failures: int, hours: float, most: float) -> None:
    settings = MonitoringSettings(retrain_backoff_hours=hours, retrain_backoff_most_hours=most)
    waits = [compute_backoff(count, settings) for count in (0, failures, failures + 1)]
    assert waits == sorted(waits)
    assert waits[0] == timedelta(0)
    assert waits[-1] <= timedelta(hours=most)


def test_the_state_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_state(tmp_path / STATE, RetrainState(failures=3, last_failed=NOON))
    assert [path.name for path in tmp_path.iterdir()] == [STATE]
    assert read_state(tmp_path / STATE).failures == 3
