"""The paper's alignment ablation: what the towers add to the frozen vectors, and what each way of aligning adds.

The rows differ in what makes an item's vector. Row (a) has an item tower that reads sequences of targets, so it is
trained under the one loss with such sequences. The last row is the project's defaults on the same content vectors. The
result is a table for people and figures for machines.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from learn.config import Settings, TowerSettings, TrainingSettings
from learn.data import Part, SplitSummary, summarise_split
from learn.errors import SettingsError
from learn.evaluation.baselines import ContentNeighbours
from learn.evaluation.evaluator import evaluate_models
from learn.evaluation.metrics import Difference, compare_paired_metrics, list_metric_names
from learn.evaluation.prepare import Say, prepare_folder
from learn.evaluation.ranking import Scorer
from learn.evaluation.results import MASKINGS, Evaluation, Masking, select_ranks
from learn.evaluation.selection import train_selected
from learn.model import TowerScorer, TrainingSummary, compute_id_rows, load_towers
from learn.storage import atomic_files

PART: Part = "test"
"""The part whose figures are in the tables; epochs are chosen on validation."""

NONE, DEFAULT = "none", "default"
ROWS = {
    NONE: "none: frozen vectors alone",
    "frozen": "(c) frozen item vectors",
    "shared": "(b) shared tower, items alone",
    "shared_sequence": "(a) shared tower, target sequences",
    DEFAULT: "default settings",
}
"""Name of each row -> what it is, with the paper's letter; those between the outer two are of ``towers.item_tower``."""

TRAINED = tuple(name for name in ROWS if name != NONE)
"""The rows that train towers."""

STEPS = (
    (NONE, "frozen"),
    ("frozen", "shared"),
    ("frozen", "shared_sequence"),
    ("shared", "shared_sequence"),
    ("shared", DEFAULT),
)
"""The rows that are compared by a paired test."""

# The paper's towers at a size that a laptop trains; `configs/paper.toml` has the paper's own size and loss.
_PAPER = {
    # As in the published tables.
    "split": {"method": "leave_one_out"},
    "towers": {
        # 768 numbers, 4 blocks and 12 heads in the paper's Amazon code.
        "dimension": 128,
        "blocks": 2,
        "heads": 4,
        "max_history": 40,
        "dropout": 0.1,
        "input_dropout": 0.0,
        # None of these is in the paper's Amazon code.
        "positions": False,
        "recent_items": 0,
        "id_embeddings": False,
        "whitening": False,
        "cooccurrence_rank": 0,
        "text_channel": False,
    },
    "training": {
        # A softmax over the catalogue, as the paper's Amazon code trains. Under the dense loss (a) stayed below the
        # untrained vectors on a shop of 4,000 items; five short trainings, none of them tuned.
        "loss": "auto",
        "temperature": 0.05,
        "mask_seen": False,
        "weight_decay": 0.0,
        "learning_rate": 1e-3,
        "epochs": 30,
        "patience": 3,
        # A step encodes every candidate by the whole tower, which costs far more than the batch's own histories.
        "batch_positions": 1_024,
    },
}
# The only loss that reads a user's targets as a sequence; under any other (a) is (b).
_SEQUENCE_LOSS = "dense_all_action"
# What `default` takes over from the settings file: where and how it is computed, not what.
_OF_THE_MACHINE = {"device", "precision", "reuse"}


@dataclass(frozen=True)
class Ablation:
    """The results of an ablation.

    Attributes:
        split: The data it was measured on.
        settings: Settings of the paper's rows; each row sets its own ``item_tower``.
        trainings: Row -> its training; the row that trains nothing is not among them.
        evaluation: Every row on test, under the names of :data:`ROWS`.
        differences: (from, to) -> masking -> metric -> the second row minus the first, paired.
    """

    split: SplitSummary
    settings: Settings
    trainings: dict[str, TrainingSummary]
    evaluation: Evaluation
    differences: dict[tuple[str, str], dict[Masking, dict[str, Difference]]]


def read_ablation_settings(file: Path | None = None, *, split: str = "", seed: int | None = None) -> Settings:
    """Return the settings of the paper's rows.

    Args:
        file: TOML file whose values win over the paper's at a laptop's size; None: only the paper's.
        split: Wins over the file if it is given.
        seed: The same.

    Raises:
        SettingsError: The file cannot be read, a name is unknown, or a value is out of range.
    """
    given = {} if file is None else _read(file)
    values = given | {section: ours | given.get(section, {}) for section, ours in _PAPER.items()}
    settings = Settings.from_mapping(values, where="settings" if file is None else str(file))
    return settings.override(split__method=split, seed=seed)


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise SettingsError(
            f"The settings file cannot be read: {reason}.", where=file, fix="give a TOML file with --config"
        ) from fault
    Settings.from_toml(text, where=str(file))
    return tomllib.loads(text)


def choose_row_settings(name: str, settings: Settings) -> Settings:
    """Return the settings that a row of :data:`ROWS` is trained with.

    Raises:
        SettingsError: The settings do not fit the row's item tower.
    """
    if name == DEFAULT:
        machine = settings.training.model_dump(include=_OF_THE_MACHINE)
        own = {"towers": TowerSettings(), "training": TrainingSettings(**machine)}
        return settings.model_copy(update=own)
    values = settings.model_dump(mode="python")
    values["towers"]["item_tower"] = name
    if name == "shared_sequence":
        values["training"]["loss"] = _SEQUENCE_LOSS
    return Settings.from_mapping(values, where=f"settings, as row `{name}` would be trained")


def run_ablation(data: Path, *, settings: Settings, say: Say) -> Ablation:
    """Prepare a data folder as a run does, train the rows that are not trained yet, and measure every row.

    Tables, content vectors and trainings are kept in the settings' workspace and reused.

    Args:
        data: Folder of ``items`` and ``interactions``.
        settings: Settings from :func:`read_ablation_settings`.
        say: Receives a line about each step.

    Raises:
        LearnError: The data cannot be read, split or encoded, or the towers not be trained; see those rooms.
    """
    chosen = {name: choose_row_settings(name, settings) for name in TRAINED}
    prepared = prepare_folder(data, settings=settings, say=say)
    histories, vectors = prepared.open_histories(), prepared.open_content()
    scorers: list[Scorer] = [dataclasses.replace(ContentNeighbours.fit(vectors), name=NONE)]
    trainings = {}
    for name in TRAINED:
        say(f"Row {ROWS[name]}:")
        training = train_selected(dataclasses.replace(prepared, settings=chosen[name]))
        say(_name_training(training))
        trainings[name] = training
        scorers.append(
            TowerScorer(load_towers(training.folder), content=vectors, ids=compute_id_rows(histories), name=name)
        )
    found = evaluate_models(
        scorers, histories, parts=(PART,), settings=settings.evaluation, seed=settings.seed, content=vectors
    )
    return Ablation(summarise_split(histories), settings, trainings, found, _compare_rows(found, settings))


def _name_training(training: TrainingSummary) -> str:
    how = "taken from an earlier training" if training.reused else "trained"
    return f"Epoch {training.chosen_epoch} of {training.epochs}, {how}."


def _compare_rows(found: Evaluation, settings: Settings) -> dict[tuple[str, str], dict[Masking, dict[str, Difference]]]:
    ranks, chosen = found.parts[PART].ranks, settings.evaluation
    return {
        (before, after): {
            masking: compare_paired_metrics(
                select_ranks(ranks[after], masking),
                select_ranks(ranks[before], masking),
                list_metric_names(chosen.cutoffs),
                samples=chosen.bootstrap_samples,
                seed=settings.seed,
            )
            for masking in MASKINGS
        }
        for before, after in STEPS
    }


FIGURES, PAGE = "ablation.json", "ablation.md"

_SHOWN = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10"}
_TITLES: dict[Masking, str] = {
    "unmasked": "History not masked (the paper's protocol)",
    "masked": "History masked (as it is served)",
}
# More digits would only record the order in which a processor adds.
_DIGITS = 6


def format_ablation(ablation: Ablation) -> str:
    """Return the tables: figures and differences under both protocols, and what was trained."""
    split = ablation.split
    parts = [
        "# Alignment ablation",
        f"{split.users:,} users, {split.items:,} items, {split.interactions:,} interactions; {split.described}. "
        f"Test: {split.test_examples:,} users, every item ranked, 95 % intervals over users, seed "
        f"{ablation.settings.seed}.",
    ]
    for masking, title in _TITLES.items():
        parts += [f"## {title}", _format_figures(ablation, masking), _format_steps(ablation, masking)]
    parts += ["## What was trained", _format_trainings(ablation), _write_remark(ablation)]
    return "\n\n".join(parts) + "\n"


def write_ablation(ablation: Ablation, folder: Path) -> None:
    """Write ``ablation.json`` and ``ablation.md`` atomically; the same ablation gives the same bytes.

    Raises:
        StorageError: The disk is full or not writable.
    """
    with atomic_files(folder, names=(FIGURES, PAGE)) as stage:
        text = json.dumps(_to_plain(ablation), indent=1, sort_keys=True, allow_nan=False)
        (stage / FIGURES).write_text(text + "\n", encoding="utf-8")
        (stage / PAGE).write_text(format_ablation(ablation), encoding="utf-8")


def _format_figures(ablation: Ablation, masking: Masking) -> str:
    found = ablation.evaluation.parts[PART]
    lines = []
    for name, label in ROWS.items():
        cells = []
        for metric in _SHOWN:
            interval = found.intervals[name][masking][metric]
            cells.append(f"{found.metrics[name][masking][metric]:.4f} ({interval.low:.4f} to {interval.high:.4f})")
        lines.append([label, *cells])
    return _format_table(["test", *_SHOWN.values()], lines)


def _format_steps(ablation: Ablation, masking: Masking) -> str:
    lines = []
    for (before, after), found in ablation.differences.items():
        cells = [cell for metric in _SHOWN for cell in _format_difference(found[masking][metric])]
        lines.append([f"{_shorten_name(before)} → {_shorten_name(after)}", *cells])
    return _format_table(["paired", *(head for name in _SHOWN.values() for head in (name, "p"))], lines)


def _format_difference(found: Difference) -> tuple[str, str]:
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})", f"{found.p_value:.3f}"


def _format_trainings(ablation: Ablation) -> str:
    lines = []
    for name, training in ablation.trainings.items():
        lines.append(
            [
                ROWS[name],
                f"`{choose_row_settings(name, ablation.settings).training.loss}`",
                f"{training.chosen_epoch} of {training.epochs}",
                f"{training.validation_ndcg:.4f}",
                _read_masking(ablation, name),
                f"{training.parameters:,}",
            ]
        )
    return _format_table(["row", "loss", "epoch kept", "validation NDCG@10", "history", "trained numbers"], lines)


def _write_remark(ablation: Ablation) -> str:
    towers, training = ablation.settings.towers, ablation.settings.training
    blocks = f"{towers.blocks} block{'s' if towers.blocks > 1 else ''}"
    return (
        "LEARN is a shared tower: (a) under the paper's dense loss, (b) under a softmax as in its Amazon code. The "
        f"paper's rows have towers of width {towers.dimension} and {blocks}, learning rate {training.learning_rate:g} "
        f"and at most {training.epochs} epochs. Each row's epoch is chosen on validation as the row is trained, with "
        "the history masked or in the ranking (`training.mask_seen`); under the other protocol it is judged, but was "
        "not chosen for it."
    )


def _read_masking(ablation: Ablation, name: str) -> Masking:
    return "masked" if choose_row_settings(name, ablation.settings).training.mask_seen else "unmasked"


def _shorten_name(name: str) -> str:
    label = ROWS[name]
    return label[:3] if label.startswith("(") else name


def _format_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are under each other, so that a terminal shows it well."""
    rows = [list(heads), *(list(line) for line in lines)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def _to_plain(ablation: Ablation) -> dict[str, Any]:
    """Return what ``ablation.json`` holds: laid out as ``metrics.json``, with the rows for models."""
    found = ablation.evaluation.to_dict()
    # None is next to them.
    del found["production"]
    gaps: dict[str, dict[str, Any]] = {}
    for (before, after), each in ablation.differences.items():
        gaps.setdefault(after, {})[before] = {
            masking: {
                metric: {key: round(value, _DIGITS) for key, value in asdict(gap).items()}
                for metric, gap in metrics.items()
            }
            for masking, metrics in each.items()
        }
    data = asdict(ablation.split)
    del data["folder"]
    return found | {
        "differences": {PART: gaps},
        "data": data,
        "seed": ablation.settings.seed,
        "rows": {name: _to_row(ablation, name) for name in ROWS},
    }


def _to_row(ablation: Ablation, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"label": ROWS[name]}
    if name not in ablation.trainings:
        return row
    training, settings = ablation.trainings[name], choose_row_settings(name, ablation.settings)
    return row | {
        "chosen_epoch": training.chosen_epoch,
        "epochs": training.epochs,
        "validation_ndcg": round(training.validation_ndcg, _DIGITS),
        "chosen_by": _read_masking(ablation, name),
        "parameters": training.parameters,
        "weights_sha256": training.weights_sha256,
        "towers": settings.towers.model_dump(mode="json"),
        "training": settings.training.model_dump(mode="json"),
    }
