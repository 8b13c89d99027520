"""One process of a training, for tests; a module of its own, so that it can be imported where the process starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.errors import LearnError
from learn.evaluation.selection import make_validation_measure
from learn.model.distributed import Group, Rendezvous, join_group
from learn.model.trainer import train_towers
from tests.synthetic_shop import content_vectors

Curve = list[tuple[float | None, float]]


def train(shop: Histories, place: Path, ways: dict[str, Any], group: Group) -> dict[str, tuple[str, Curve]]:
    """Train with each of the settings into a folder of its name.

    Returns:
        By name: the weights' hash, and loss and validation NDCG@10 of each epoch.
    """
    done = {}
    for name, values in ways.items():
        settings = Settings.from_mapping(values)
        summary = train_towers(
            shop,
            content_vectors(),
            destination=place / name,
            settings=settings,
            seed=0,
            measure=make_validation_measure(shop, settings=settings.evaluation),
            group=group,
            say=_say,
        )
        done[name] = summary.weights_sha256, [(epoch.loss, epoch.validation_ndcg) for epoch in summary.curve]
    return done


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def run(folder: Path, place: Path, ways: dict[str, Any], meeting: Rendezvous) -> None:
    """Train in a group; the result of it, or why nothing did, goes to files next to the folder of the weights."""
    torch.set_num_threads(1)
    said = (place.parent / f"{place.name}.log").open("w", encoding="utf-8", buffering=1)
    sys.stdout = said
    try:
        with join_group(meeting) as group:
            done = train(Histories.open(folder), place, ways, group)
    except LearnError as error:
        _say(str(error))
        sys.exit(1)
    (place.parent / f"{place.name}.json").write_text(json.dumps(done), encoding="utf-8")
