"""RecBole's SASRec, as shipped and timed. Runs inside RecBole's environment, as a separate process.

RecBole ranks sequential models over the whole catalogue with nothing masked: its loader hands the trainer no history
to take out (``FullSortEvalDataLoader.collate_fn``). Every figure here is therefore of that protocol.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recbole.config import Config  # type: ignore[import-not-found]
from recbole.data import create_dataset, data_preparation  # type: ignore[import-not-found]
from recbole.trainer import Trainer  # type: ignore[import-not-found]
from recbole.utils import get_model, init_logger, init_seed  # type: ignore[import-not-found]

from benchmarks.harness.provenance import read_peak_memory_bytes
from benchmarks.recbole.records import PARTS, Epoch, Side

_METRICS = ("recall@10", "ndcg@10", "mrr@10")


def read_sasrec_settings(*, data: Path, epochs: int, hidden_size: int, max_history: int, seed: int) -> dict[str, Any]:
    """Return RecBole's settings: its defaults, written out where they matter, and the data as exported.

    Args:
        data: Folder that holds the data set's folder.
        epochs: At most; RecBole's default is 300.
        hidden_size: Width; RecBole's default is 64.
        max_history: Newest items read; RecBole's default is 50.
        seed: Of weights, dropout and order.
    """
    return {
        "data_path": str(data),
        "benchmark_filename": list(PARTS),
        "load_col": {"inter": ["user_id", "item_id_list", "item_id"], "item": ["item_id"]},
        "alias_of_item_id": ["item_id_list"],
        "eval_args": {"group_by": "user", "order": "TO", "split": {"LS": "valid_and_test"}, "mode": "full"},
        "MAX_ITEM_LIST_LENGTH": max_history,
        "hidden_size": hidden_size,
        "inner_size": 4 * hidden_size,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dropout_prob": 0.5,
        "attn_dropout_prob": 0.5,
        "loss_type": "CE",
        # The cross-entropy is over the catalogue; negatives are for RecBole's BPR loss.
        "train_neg_sample_args": None,
        "learning_rate": 1e-3,
        "train_batch_size": 2048,
        "eval_batch_size": 4096,
        "epochs": epochs,
        "stopping_step": 10,
        "valid_metric": "NDCG@10",
        "use_gpu": False,
        "seed": seed,
    }


class TimedTrainer(Trainer):  # type: ignore[misc]
    """RecBole's trainer, with a clock around what it does."""

    def __init__(self, config: Config, model: Any) -> None:
        super().__init__(config, model)
        self.curve: list[Epoch] = []

    def fit(self, *args: Any, **options: Any) -> Any:
        """See RecBole."""
        self._began = self._measured = time.monotonic()
        return super().fit(*args, **options)

    def _valid_epoch(self, *args: Any, **options: Any) -> Any:
        trained = time.monotonic()
        score, result = super()._valid_epoch(*args, **options)
        now = time.monotonic()
        number = len(self.curve) + 1
        self.curve.append(Epoch(number, trained - self._measured, now - trained, now - self._began, float(score)))
        self._measured = now
        return score, result


def measure_sasrec(name: str, settings: dict[str, Any]) -> Side:
    """Train SASRec as ``recbole.quick_start.run_recbole`` does, then rank the test part twice.

    Args:
        name: Of the data set.
        settings: As :func:`sasrec_settings` gives.
    """
    config = Config(model="SASRec", dataset=name, config_dict=settings)
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    train, valid, test = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, train._dataset).to(config["device"])
    trainer = TimedTrainer(config, model)
    trainer.fit(train, valid, show_progress=config["show_progress"])
    figures = trainer.evaluate(test, load_best_model=True)
    began = time.monotonic()
    trainer.evaluate(test, load_best_model=False)
    return Side(
        name="recbole_sasrec",
        curve=tuple(trainer.curve),
        test={"unmasked": {metric: float(figures[metric]) for metric in _METRICS}},
        test_users=len(test._dataset),
        test_seconds=time.monotonic() - began,
        catalogue_seconds=0.0,
        peak_memory_bytes=read_peak_memory_bytes(),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        # The place of the data does not affect the figures.
        settings={each: value for each, value in settings.items() if each != "data_path"},
        versions={library: version(library) for library in ("recbole", "torch", "numpy", "pandas")},
    )


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the data set")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the data set's folder")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--hidden-size", type=int, required=True)
    parser.add_argument("--max-history", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True, help="JSON file to write")
    return parser.parse_args()


def main() -> None:
    """Measure, and write the figures."""
    options = _parse_options()
    # RecBole's Config reads the command line as its own settings.
    del sys.argv[1:]
    settings = read_sasrec_settings(
        data=options.data,
        epochs=options.epochs,
        hidden_size=options.hidden_size,
        max_history=options.max_history,
        seed=options.seed,
    )
    measure_sasrec(options.name, settings).write(options.result)


if __name__ == "__main__":
    main()
