"""Pictures of an evaluation: every model with its figure, the model in production apart, and no masking mixed."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from learn.report import evaluation_figures as evaluation_pictures
from tests.report.test_figures import words
from tests.synthetic_run import MODELS, made_up_metrics


def heights(line: Line2D) -> list[float]:
    drawn: list[float] = np.asarray(line.get_ydata()).tolist()
    return drawn


def rows(axis: Axes) -> list[str]:
    return [label.get_text() for label in axis.get_yticklabels()]


def test_every_model_is_drawn_with_its_figure() -> None:
    said = words(evaluation_pictures.draw_metrics(made_up_metrics()))
    for model, value in MODELS.items():
        assert model.replace("_", " ") in said
        assert f"{value:.3f}" in said


@pytest.mark.parametrize("narrow", [False, True])
def test_every_other_model_is_subtracted_and_production_has_a_scale_of_its_own(narrow: bool) -> None:
    figure = evaluation_pictures.draw_differences(made_up_metrics(), narrow=narrow)
    said = words(figure)
    for model, value in MODELS.items():
        assert model == "towers" or f"{MODELS['towers'] - value:+.4f}" in said
    production, baselines = (figure.axes[place] for place in ((0, 1) if narrow else (0, 2)))
    assert rows(production) == ["production"]
    assert rows(baselines) == ["ease", "tfidf neighbours", "content neighbours", "popularity"]
    assert production.get_xlim()[1] < baselines.get_xlim()[1]


def test_a_difference_is_coloured_by_what_its_interval_says() -> None:
    metrics = made_up_metrics()
    gaps = metrics["differences"]["test"]["towers"]
    for model, low, high in (("ease", 0.01, 0.03), ("popularity", -0.01, 0.01), ("tfidf_neighbours", -0.03, -0.01)):
        for metric in gaps[model]["masked"]:
            gaps[model]["masked"][metric] = {"mean": (low + high) / 2, "low": low, "high": high, "p_value": 0.5}
    axis = evaluation_pictures.draw_differences(metrics).axes[2]
    colours = {heights(line)[0]: line.get_color() for line in axis.lines if len(set(heights(line))) == 1}
    named = {name: colours[row] for row, name in enumerate(rows(axis))}
    assert len({named["ease"], named["popularity"], named["tfidf neighbours"]}) == 3
    assert named["ease"] == named["content neighbours"]


def test_without_other_models_the_differences_say_so() -> None:
    metrics = made_up_metrics()
    metrics["differences"]["test"]["towers"] = {}
    assert "No other model" in words(evaluation_pictures.draw_differences(metrics))


def test_an_empty_slice_is_left_out_and_popularity_never() -> None:
    said = words(evaluation_pictures.draw_slices(made_up_metrics()))
    assert "new users" not in said
    assert "cold items, 7 users" in said
    assert "short histories, 1 user" in said
    assert "popularity" in said


@pytest.mark.parametrize("production", [False, True])
def test_slices_show_the_best_baseline_and_the_model_in_production_where_there_is_one(production: bool) -> None:
    (axis,) = evaluation_pictures.draw_slices(made_up_metrics(production=production), best=1).axes
    shown = rows(axis)[1 : 5 if production else 4]
    assert shown == ["towers", *["production"] * production, "ease", "popularity"]


def test_every_model_has_its_curve() -> None:
    figure = evaluation_pictures.draw_recall_curves(made_up_metrics())
    drawn = {line.get_label(): heights(line) for line in figure.axes[0].lines}
    assert drawn == {model.replace("_", " "): [at / 10, at, 2 * at] for model, at in MODELS.items()}


def test_lists_say_where_there_is_no_figure() -> None:
    figure = evaluation_pictures.draw_lists(made_up_metrics())
    assert len(figure.axes) == 4
    said = words(figure)
    assert said.count("none") == 2  # ease has neither a popularity nor a diversity
    assert "× 13.50" in said
    assert "× 0.00" in said


@pytest.mark.parametrize("masking", ["masked", "unmasked"])
def test_every_picture_says_which_masking_it_shows(masking: str) -> None:
    for draw in evaluation_pictures.BY_MASKING:
        assert f"history {masking}" in draw(made_up_metrics(), masking=masking).get_suptitle().replace("\n", " ")
