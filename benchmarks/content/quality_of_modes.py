"""What each arithmetic costs in quality: cosines, and Recall@10 of the neighbours by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.harness.page import Part
from benchmarks.quality.datasets import SOURCES, Prepared, prepare
from learn.config import Arithmetic, ContentSettings, EvaluationSettings
from learn.evaluation import ContentNeighbours, evaluate_models


def measure(*, data: Path, workspace: Path) -> Part:
    """Encode the titles of `scientific` in each arithmetic and rank by their neighbours.

    Raises:
        DataError: The public data set is not there.
    """
    plain = _prepare_set("float32", data=data, workspace=workspace)
    found = {"float32": plain, "int8": _prepare_set("int8", data=data, workspace=workspace)}
    recalls = {name: _measure_recall(prepared) for name, prepared in found.items()}
    cosines = {name: (prepared.content * plain.content).sum(axis=1) for name, prepared in found.items()}
    rows = tuple(
        (
            name,
            f"{recalls[name]:.4f}",
            f"{recalls[name] / recalls['float32'] - 1:+.1%}",
            f"{cosines[name].min():.5f}",
            f"{np.mean(cosines[name]):.5f}",
        )
        for name in found
    )
    return Part(
        "Quality of each arithmetic",
        {
            "int8_recall10": recalls["int8"],
            "float32_recall10": recalls["float32"],
            "int8_mean_cosine": float(np.mean(cosines["int8"])),
            "int8_catalogue_min_cosine": float(cosines["int8"].min()),
        },
        ("", "Recall@10", "to float32", "least cosine", "mean cosine"),
        rows,
        ("Neighbours by content on `scientific`, test users, history masked; titles alone are encoded.",),
    )


def _prepare_set(arithmetic: Arithmetic, *, data: Path, workspace: Path) -> Prepared:
    settings = ContentSettings(arithmetic=arithmetic, fields=("title",))
    return prepare(SOURCES["scientific"], data=data, workspace=workspace, content=settings)


def _measure_recall(prepared: Prepared) -> float:
    model = ContentNeighbours.fit(np.asarray(prepared.content))
    found = evaluate_models([model], prepared.histories, parts=("test",), settings=EvaluationSettings(), seed=0)
    return found.find_figure("test", model.name, "masked", "recall@10")
