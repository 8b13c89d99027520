"""The evaluation of a run: the towers beside the baselines and the model in production, and the rules on quality.

from learn.evaluation.run import evaluate_run
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from learn.alignment.scoring import TowerScorer, id_rows
from learn.alignment.weights import load_towers
from learn.config import Settings
from learn.data.histories import Histories
from learn.evaluation.baseline_set import fit_baselines
from learn.evaluation.challenge import champion_rules
from learn.evaluation.evaluate import asked, evaluate, ranked
from learn.evaluation.evaluation import Evaluation
from learn.evaluation.gate import Rule, baseline_rules
from learn.evaluation.production import NAME, ProductionModel
from learn.evaluation.slices import slice_masks


def evaluate_run(
    histories_folder: Path,
    *,
    tables: Path,
    content: Path,
    towers: Path,
    report: Path,
    settings: Settings,
    production: ProductionModel | None = None,
    champion: str | None = None,
) -> tuple[dict[str, Any], tuple[Rule, ...]]:
    """Measure the towers of a run and the baselines on validation and test, and write ``metrics.json``.

    Args:
        histories_folder: What the split wrote.
        tables: Folder of the valid tables.
        content: ``vectors.npy`` in item order.
        towers: Folder of the trained weights.
        report: ``metrics.json`` to write; every model's ranks go beside it as ``ranks.parquet``.
        settings: Sections ``evaluation`` and ``gate`` and the seed are read.
        production: The model in production, to be measured beside them.
        champion: Version of the champion: the towers are held against ``production`` where that is the champion.

    Returns:
        What ``metrics.json`` holds, and the gate's rules on quality.

    Raises:
        BundleError: The towers cannot be read, or those in production read other content vectors.
        StorageError: The disk is full or closed.
    """
    histories = Histories.open(histories_folder)
    vectors = np.load(content, mmap_mode="r")
    titles = pl.read_parquet(tables / "items.parquet", columns=["title"])["title"].to_list()
    scorers = [TowerScorer(load_towers(towers), content=vectors, ids=id_rows(histories))]
    if production is not None:
        scorers.append(production.scorer(vectors, item_ids=histories.item_ids))
    chosen = settings.evaluation
    baselines = fit_baselines(histories, titles=titles, content=vectors, settings=chosen, seed=settings.seed)
    for name, reason in baselines.left_out.items():
        print(f"Baseline {name} is left out: {reason}")  # noqa: T201  # the flow's log is standard output
    models = [*scorers, *baselines.scorers]
    for whole in (histories.examples("validation"), histories.examples("test")):
        count = ranked(len(whole), items=histories.item_count, settings=chosen)
        if count < len(whole):
            print(f"Of the {len(whole):,} examples of {whole.name}, {count:,} are drawn and ranked.")  # noqa: T201
    found = evaluate(models, histories, settings=chosen, seed=settings.seed, content=vectors)
    if production is not None:
        found = replace(found, production=production.record(item_ids=histories.item_ids))
    found.write(report)
    found.write_ranks(report.with_name("ranks.parquet"))
    rules = [*baseline_rules(found, settings=settings.gate)]
    if production is not None and production.version == champion:
        # First, so that a run's last lines say how it stands against what people get now.
        rules = [*_champion_rules(found, histories, production=production, settings=settings), *rules]
    return found.to_dict(), tuple(rules)


def _champion_rules(
    found: Evaluation, histories: Histories, *, production: ProductionModel, settings: Settings
) -> Iterator[Rule]:
    ranks = found.parts["test"].ranks
    return champion_rules(
        ranks["towers"].masked,
        ranks[NAME].masked,
        slices=slice_masks(
            histories,
            asked(histories, "test", settings=settings.evaluation, seed=settings.seed),
            settings=settings.evaluation,
        ),
        production=production,
        settings=settings.gate,
    )
