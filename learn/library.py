"""LEARN from Python: prepare, train, evaluate, pack.

    import learn

    shop = learn.prepare("data")
    towers = learn.train(shop)
    print(learn.evaluate(towers).find_figure("test", "towers", "masked", "ndcg@10"))
    print(learn.Recommender(learn.pack(towers, "bundle")).recommend(["I-0001"], k=10).items)

Each function is what a step of the flow does. The flow adds data versions, drift, the gate, the bento and the reports.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from learn.config import Settings
from learn.data import Part
from learn.environment import configure_process
from learn.evaluation import Evaluation, Scorer, evaluate_models, fit_baselines, prepare_folder, train_selected
from learn.model import RunInputs, encode_catalogue
from learn.registry import Bundle, Manifest
from learn.serving import write_tower_bundle

_PathLike = str | os.PathLike[str]


def prepare(data: _PathLike, *, settings: Settings | None = None, say: Callable[[str], object] = print) -> RunInputs:
    """Load, validate, split and encode a data folder; results of an earlier call are reused.

    Args:
        data: Folder of ``items`` and ``interactions``; it is only read.
        settings: All settings; the defaults if not given. Results are written to their workspace.
        say: Receives a line about each step.

    Returns:
        The files and settings that models are fitted on.

    Raises:
        LearnError: A table, the split or the encoder has a fault; the message says what to do.
    """
    configure_process()
    return prepare_folder(Path(data), settings=settings or Settings(), say=say)


def train(inputs: RunInputs) -> RunInputs:
    """Train both towers, keep the epoch that is best on validation, and encode the catalogue once.

    Returns:
        ``inputs`` with ``training`` and ``catalogue``.

    Raises:
        TrainingError: There is nothing to train on, or the loss stopped being a number.
        StorageError: The disk is full or not writable.
    """
    trained = replace(inputs, training=train_selected(inputs))
    return encode_catalogue(trained, destination=trained.require_training().folder / "catalogue")


def evaluate(
    inputs: RunInputs,
    models: Sequence[Scorer] = (),
    *,
    parts: Sequence[Part] = ("validation", "test"),
    baselines: bool = True,
) -> Evaluation:
    """Measure models on the same examples by the same code: the towers, your own models, and the baselines.

    Args:
        inputs: With trained towers, which then come first; or without, to measure only other models.
        models: Any objects that implement :class:`Scorer`.
        parts: The parts of the split to measure on.
        baselines: Whether to fit and measure the baselines that the settings name.
    """
    histories, content, chosen = inputs.open_histories(), inputs.open_content(), inputs.settings.evaluation
    towers: list[Scorer] = [] if inputs.training is None else [inputs.open_scorer()]
    titles = inputs.read_items()["title"].to_list()
    fitted: Sequence[Scorer] = ()
    if baselines:
        fitted = fit_baselines(
            histories, titles=titles, content=content, settings=chosen, seed=inputs.settings.seed
        ).scorers
    return evaluate_models(
        [*towers, *models, *fitted], histories, parts=parts, settings=chosen, seed=inputs.settings.seed, content=content
    )


def pack(inputs: RunInputs, folder: _PathLike) -> Bundle:
    """Write trained towers and their catalogue as a bundle, which :class:`Recommender` and the service read.

    Args:
        inputs: With trained towers.
        folder: The bundle's folder; a bundle that is there is replaced.

    Raises:
        BundleError: The folder is not empty and not a bundle.
        TrainingError: Nothing is trained yet.
        StorageError: The disk is full or not writable.
    """
    training, histories = inputs.require_training(), inputs.open_histories()
    manifest = Manifest(
        # No version is recorded here: the flow does that.
        data_version="",
        encoder_fingerprint=inputs.encoder_fingerprint,
        settings=inputs.settings,
        split=histories.split,
        temperature=training.temperature,
        created=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )
    return write_tower_bundle(
        inputs.open_scorer(),
        histories=histories,
        items=inputs.read_items(),
        manifest=manifest,
        destination=Path(folder),
        seed=inputs.settings.seed,
    )
