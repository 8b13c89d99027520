"""One process of a training, for tests: python -m tests.alignment.one_of_many SHOP PLACE RANK SIZE PORT SETTINGS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from learn.alignment.group import ALONE, Group
from learn.alignment.processes import Meeting, meet
from learn.alignment.training import train_towers
from learn.config import Settings
from learn.data.histories import Histories
from learn.errors import LearnError
from learn.evaluation.selection import validation_ndcg
from tests.made_shop import content_vectors

ANSWER_SECONDS = 60


def train(shop: Histories, place: Path, settings: dict[str, Settings], group: Group) -> None:
    """Train with each of the settings into a folder of its name, and print what came of it."""
    for name, chosen in settings.items():
        summary = train_towers(
            shop,
            content_vectors(),
            destination=place / name,
            settings=chosen,
            seed=0,
            measure=validation_ndcg(shop, settings=chosen.evaluation),
            group=group,
            say=lambda line: print(line, flush=True),
        )
        curve = [(epoch.loss, epoch.validation_ndcg) for epoch in summary.curve]
        print(json.dumps({"name": name, "weights": summary.weights_sha256, "curve": curve}), flush=True)


def main() -> int:
    """Train in a group of ``SIZE``, 0 for without one; a fault's message goes to stderr."""
    folder, place, rank, size, port, text = sys.argv[1:]
    torch.set_num_threads(1)
    shop = Histories.open(Path(folder))
    settings = {name: Settings.from_mapping(values) for name, values in json.loads(text).items()}
    if size == "0":
        train(shop, Path(place), settings, ALONE)
        return 0
    try:
        with meet(Meeting("127.0.0.1", int(port), int(rank), int(size), ANSWER_SECONDS)) as group:
            train(shop, Path(place), settings, group)
    except LearnError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
