"""Measure models: ranks, metrics, intervals, slices, lists and differences, by the same code for each.

:func:`evaluate_run` measures the towers of a run next to the baselines and the model in production, and states the
rules on quality.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learn.config import EvaluationSettings, Settings
from learn.data import Examples, Histories, Part
from learn.evaluation.baselines import fit_baselines
from learn.evaluation.gate import Rule, judge_baselines, judge_champion
from learn.evaluation.lists import ListFigures, list_figures, rank_lists, sample_examples
from learn.evaluation.metrics import (
    Difference,
    Interval,
    average_metrics,
    bootstrap_intervals,
    compare_paired_metrics,
    compute_metric,
    list_metric_names,
)
from learn.evaluation.production import NAME, ProductionModel
from learn.evaluation.ranking import Ranks, Scorer, rank_targets
from learn.evaluation.results import (
    MASKINGS,
    Evaluation,
    Figures,
    Masking,
    PartEvaluation,
    SliceEvaluation,
    select_ranks,
)
from learn.evaluation.slices import mark_slices
from learn.model import RunInputs


def sample_for_ranking(histories: Histories, part: Part, *, settings: EvaluationSettings, seed: int) -> Examples:
    """Return the examples of a part that :func:`evaluate` ranks: all, or a sample drawn by the seed if ranking all
    would cost too much.
    """
    examples = histories.open_examples(part)
    count = count_ranked(len(examples), items=histories.item_count, settings=settings)
    return sample_examples(examples, count=count, seed=seed)


def count_ranked(examples: int, *, items: int, settings: EvaluationSettings) -> int:
    """Return how many of the examples are ranked, given the number of items."""
    return min(examples, max(settings.ranked_users, settings.ranked_scores // max(items, 1)))


def evaluate_models(
    scorers: Sequence[Scorer],
    histories: Histories,
    *,
    parts: Sequence[Part] = ("validation", "test"),
    settings: EvaluationSettings,
    seed: int,
    content: NDArray[np.float32] | None = None,
) -> Evaluation:
    """Measure models on the same examples with the same code: those of :func:`sample_for_ranking`.

    Args:
        scorers: The models; the first is compared with each of the others by a paired test.
        histories: The histories that they score.
        parts: Which examples.
        settings: Cutoffs, resamples, slices, block size.
        seed: Seed of the resamples and of the draw of lists.
        content: (N, c) content vectors by item index, for the diversity of the lists.

    Raises:
        ValueError: There is no model, or two have one name.
    """
    names = [scorer.name for scorer in scorers]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"each model needs a different name: {names}")
    return Evaluation(
        {
            part: _evaluate_part(
                scorers,
                histories,
                sample_for_ranking(histories, part, settings=settings, seed=seed),
                settings,
                seed=seed,
                content=content,
            )
            for part in parts
        }
    )


def _evaluate_part(
    scorers: Sequence[Scorer],
    histories: Histories,
    examples: Examples,
    settings: EvaluationSettings,
    *,
    seed: int,
    content: NDArray[np.float32] | None,
) -> PartEvaluation:
    ranks = {
        scorer.name: rank_targets(scorer, histories, examples, block_users=settings.block_users) for scorer in scorers
    }
    first, *others = ranks
    return PartEvaluation(
        examples=len(examples),
        users=np.asarray(examples.users),
        targets=np.asarray(examples.targets),
        ranks=ranks,
        metrics=_compute_metrics(ranks, settings.cutoffs),
        intervals=_compute_intervals(ranks, settings, seed=seed),
        slices={
            name: _evaluate_slice(ranks, chosen, settings, seed=seed)
            for name, chosen in mark_slices(histories, examples, settings=settings).items()
        },
        lists=_measure_lists(scorers, histories, examples, settings, seed=seed, content=content),
        differences={other: _compare_models(ranks[first], ranks[other], settings, seed=seed) for other in others},
    )


def _compute_metrics(ranks: dict[str, Ranks], cutoffs: Sequence[int]) -> Figures[float]:
    return {
        model: {masking: average_metrics(select_ranks(each, masking), cutoffs) for masking in MASKINGS}
        for model, each in ranks.items()
    }


def _compute_intervals(ranks: dict[str, Ranks], settings: EvaluationSettings, *, seed: int) -> Figures[Interval]:
    names = list_metric_names(settings.cutoffs)
    places = [(model, masking, name) for model in ranks for masking in MASKINGS for name in names]
    columns = [compute_metric(select_ranks(ranks[model], masking), name) for model, masking, name in places]
    found = bootstrap_intervals(np.stack(columns, axis=1), samples=settings.bootstrap_samples, seed=seed)
    intervals: Figures[Interval] = {model: {masking: {} for masking in MASKINGS} for model in ranks}
    for (model, masking, name), interval in zip(places, found, strict=True):
        intervals[model][masking][name] = interval
    return intervals


def _evaluate_slice(
    ranks: dict[str, Ranks], chosen: NDArray[np.bool_], settings: EvaluationSettings, *, seed: int
) -> SliceEvaluation:
    inside = {model: Ranks(each.masked[chosen], each.unmasked[chosen]) for model, each in ranks.items()}
    return SliceEvaluation(
        count=int(chosen.sum()),
        metrics=_compute_metrics(inside, settings.cutoffs),
        intervals=_compute_intervals(inside, settings, seed=seed),
    )


def _measure_lists(
    scorers: Sequence[Scorer],
    histories: Histories,
    examples: Examples,
    settings: EvaluationSettings,
    *,
    seed: int,
    content: NDArray[np.float32] | None,
) -> dict[str, ListFigures]:
    sample = sample_examples(examples, count=settings.list_users, seed=seed)
    found = {}
    for scorer in scorers:
        lists = rank_lists(
            scorer, histories, sample, length=min(settings.cutoffs), block_users=settings.block_users
        )  # (L, k)
        found[scorer.name] = list_figures(lists, histories, sample, settings=settings, content=content)
    return found


def _compare_models(
    first: Ranks, other: Ranks, settings: EvaluationSettings, *, seed: int
) -> dict[Masking, dict[str, Difference]]:
    return {
        masking: compare_paired_metrics(
            select_ranks(first, masking),
            select_ranks(other, masking),
            list_metric_names(settings.cutoffs),
            samples=settings.bootstrap_samples,
            seed=seed,
        )
        for masking in MASKINGS
    }


def evaluate_run(
    inputs: RunInputs,
    *,
    report: Path,
    production: ProductionModel | None = None,
    champion: str | None = None,
) -> tuple[dict[str, Any], tuple[Rule, ...]]:
    """Measure the towers of a run and the baselines on validation and test, and write ``metrics.json``.

    Args:
        inputs: The trained run; sections ``evaluation`` and ``gate`` of its settings and the seed are read.
        report: ``metrics.json`` to write; every model's ranks go next to it as ``ranks.parquet``.
        production: The model in production, which is measured too.
        champion: Version of the champion: the towers are compared with ``production`` if that is the champion.

    Returns:
        The contents of ``metrics.json``, and the gate's rules on quality.

    Raises:
        BundleError: The towers cannot be read, or those in production read other content vectors.
        StorageError: The disk is full or not writable.
    """
    settings, histories, vectors = inputs.settings, inputs.open_histories(), inputs.open_content()
    titles = inputs.read_items()["title"].to_list()
    scorers = [inputs.open_scorer()]
    if production is not None:
        scorers.append(production.build_scorer(vectors, item_ids=histories.item_ids))
    chosen = settings.evaluation
    baselines = fit_baselines(histories, titles=titles, content=vectors, settings=chosen, seed=settings.seed)
    for name, reason in baselines.left_out.items():
        print(f"Baseline {name} is left out: {reason}")  # noqa: T201  # the flow's log is standard output
    models = [*scorers, *baselines.scorers]
    for whole in (histories.open_examples("validation"), histories.open_examples("test")):
        count = count_ranked(len(whole), items=histories.item_count, settings=chosen)
        if count < len(whole):
            print(f"Of the {len(whole):,} examples of {whole.name}, {count:,} are drawn and ranked.")  # noqa: T201
    found = evaluate_models(models, histories, settings=chosen, seed=settings.seed, content=vectors)
    if production is not None:
        found = replace(found, production=production.record(item_ids=histories.item_ids))
    found.write(report)
    found.write_ranks(report.with_name("ranks.parquet"))
    rules = [*judge_baselines(found, settings=settings.gate)]
    if production is not None and production.version == champion:
        # First, so that a run's last lines compare it with the model that people get now.
        rules = [*_iterate_champion_rules(found, histories, production=production, settings=settings), *rules]
    return found.to_dict(), tuple(rules)


def _iterate_champion_rules(
    found: Evaluation, histories: Histories, *, production: ProductionModel, settings: Settings
) -> Iterator[Rule]:
    ranks = found.parts["test"].ranks
    return judge_champion(
        ranks["towers"].masked,
        ranks[NAME].masked,
        slices=mark_slices(
            histories,
            sample_for_ranking(histories, "test", settings=settings.evaluation, seed=settings.seed),
            settings=settings.evaluation,
        ),
        production=production,
        settings=settings.gate,
    )
