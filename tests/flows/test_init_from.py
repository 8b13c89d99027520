"""`--init-from` with names that lead nowhere: one clear error before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.synthetic_tables import write_tables
from tests.flows.test_bad_input import assert_no_trace, assert_stopped
from tests.flows.workplace import Workplace


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path)
    write_tables(place.folder / "data")
    return place


@pytest.mark.parametrize(
    ("name", "what", "where"),
    [
        ("TrainFlow/17", "There is no train run `17`.", "--init-from TrainFlow/17"),
        # Each starts the flow; one of them is enough for every change.
        pytest.param(
            *("1700000000000000", "There is no train run `1700000000000000`.", "--init-from 1700000000000000"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("bundles/yesterday", "There is no bundle in this folder.", "--init-from bundles/yesterday"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_name_that_leads_nowhere(place: Workplace, name: str, what: str, where: str) -> None:
    done = place.flow("run", "--init-from", name)
    assert_stopped(
        done, headline="The bundle cannot be used", what=what, where=where, fix="give the id of a finished train run"
    )
    assert_no_trace(place)


@pytest.mark.slow
def test_a_model_that_the_store_does_not_hold(place: Workplace) -> None:
    done = place.flow("run", "--init-from", "learn_user_tower:latest")
    assert_stopped(
        done,
        headline="The bundle cannot be used",
        what="BentoML's model store has no model `learn_user_tower:latest`.",
        where="learn_user_tower:latest",
        fix="`bentoml models list`",
    )
    assert not (place.folder / ".learn").exists()
    assert not (place.folder / "reports").exists()


def test_a_folder_that_is_no_bundle(place: Workplace) -> None:
    done = place.flow("run", "--init-from", "data")
    assert_stopped(
        done,
        headline="The bundle cannot be used",
        what="This is not a bundle: a file is missing.",
        where="data/checksums.json",
        fix="give the folder of a bundle",
    )
    assert_no_trace(place)


@pytest.mark.slow
def test_a_run_that_never_came_to_its_end(place: Workplace) -> None:
    failed = place.flow("run", "--data", "nowhere")
    assert failed.code != 0
    (run,) = [path.name for path in (place.folder / ".metaflow" / "TrainFlow").iterdir() if path.name.isdigit()]
    done = place.flow("run", "--init-from", run)
    assert_stopped(
        done,
        headline="The bundle cannot be used",
        what=f"Run {run} has no bundle: it has not finished.",
        where=f"--init-from {run}",
        fix="finish it with `python flows/train_flow.py resume`",
    )
    assert_no_trace(place)
