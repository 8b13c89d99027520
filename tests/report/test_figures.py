"""Pictures: every number of the result is in them, whatever is missing, and nothing of the data becomes markup."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from learn.report import drawing
from learn.report import drift_figures as drift_pictures
from learn.report import evaluation_figures as evaluation_pictures
from learn.report import run_figures as pictures
from tests.synthetic_run import (
    made_up_drift,
    made_up_map,
    made_up_metrics,
    made_up_table,
    made_up_training,
    made_up_trend,
)

SPITEFUL = "folder $x^{$ <script>alert(1)</script> \"quoted\" & 'more'"
DRAWINGS: dict[str, Callable[[bool], Figure]] = {
    "curve": lambda narrow: pictures.draw_training_curve(made_up_training(Path()), narrow=narrow),
    "metrics": lambda narrow: evaluation_pictures.draw_metrics(made_up_metrics(), narrow=narrow),
    "differences": lambda narrow: evaluation_pictures.draw_differences(made_up_metrics(), narrow=narrow),
    "curves": lambda narrow: evaluation_pictures.draw_recall_curves(made_up_metrics(), narrow=narrow),
    "slices": lambda narrow: evaluation_pictures.draw_slices(made_up_metrics(), narrow=narrow),
    "lists": lambda narrow: evaluation_pictures.draw_lists(made_up_metrics(), narrow=narrow),
    "quarantine": lambda narrow: pictures.draw_quarantine((made_up_table("items"),), narrow=narrow),
    "trend": lambda narrow: drift_pictures.draw_drift_trend(made_up_trend(), floor=0.1, narrow=narrow),
    "map": lambda narrow: drift_pictures.draw_embedding_map(made_up_map(), narrow=narrow),
    "drift": lambda narrow: pictures.draw_drift(made_up_drift(Path(), name=SPITEFUL), floor=0.1, narrow=narrow),
}


def words(figure: Figure) -> str:
    """All text of a picture; letters are text in it, not outlines."""
    return " ".join(ET.fromstring(drawing.render_svg(figure)).itertext())  # noqa: S314 - drawn here


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_is_sound_inline_svg_and_the_same_bytes_again(name: str, narrow: bool) -> None:
    text = drawing.render_svg(DRAWINGS[name](narrow))
    assert text.startswith("<svg ")
    root = ET.fromstring(text)  # noqa: S314 - drawn here
    assert not [element for element in root.iter() if element.tag.endswith(("script", "image"))]
    assert text == drawing.render_svg(DRAWINGS[name](narrow))


def test_a_single_epoch_can_be_drawn() -> None:
    assert "epoch 1" in words(pictures.draw_training_curve(made_up_training(Path(), epochs=1)))


def test_tables_without_a_fault_have_a_picture_that_says_so() -> None:
    said = words(
        pictures.draw_quarantine((made_up_table("items", failing=0), made_up_table("interactions", failing=0)))
    )
    assert "Every row passed every check" in said


def test_what_was_not_tested_for_drift_is_not_drawn() -> None:
    said = words(pictures.draw_drift(made_up_drift(Path()), floor=0.1))
    assert "title words" in said
    assert "price" not in said
