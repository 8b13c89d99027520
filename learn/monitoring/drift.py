"""Drift of a training run: the training window against the newest one, or against a second folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.config import DriftSettings, GateSettings, Settings
from learn.content import collect_vectors, encode_shard, plan_extraction
from learn.data import Histories, Timestamps, TimestampScale, load_tables, read_timestamp_scale
from learn.errors import DriftError
from learn.evaluation import Rule
from learn.model import RunInputs, TowerScorer, compute_id_rows
from learn.monitoring.evidently import run_report
from learn.monitoring.profile import make_profile, write_profile
from learn.monitoring.requests import MonitoredModel
from learn.monitoring.samples import (
    Window,
    build_history_window,
    build_table_window,
    draw_column_samples,
    find_positions,
)
from learn.monitoring.summary import DriftSummary
from learn.storage import atomic_files


def measure_drift(
    reference: Window, current: Window, *, report: Path, settings: DriftSettings, seed: int
) -> DriftSummary:
    """Compare two windows column by column and write Evidently's report.

    Time, memory and the page are bounded by the settings' sample sizes, whatever the traffic.

    Args:
        reference: What the towers were trained on.
        current: What comes in now.
        report: The HTML file to write.
        settings: Sample sizes, significance and the floor of the effect.
        seed: Same windows and seed, same numbers and same page.

    Raises:
        DriftError: A window is empty, or its vectors cannot be compared with the other's.
        StorageError: The report cannot be written.
    """
    for window in (reference, current):
        if window.interactions.is_empty():
            raise DriftError(
                "There are no interactions to compare.",
                where=f"window `{window.name}`",
                fix="move the cut dates, or give another folder with `--current`",
            )
    samples = draw_column_samples(reference, current, settings=settings, seed=seed)
    columns, page = run_report(samples, names=(reference.name, current.name), settings=settings, seed=seed)
    with atomic_files(report.parent, names=(report.name,)) as stage:
        (stage / report.name).write_text(page, encoding="utf-8")
    tested = [column for column in columns if column.status == "tested"]
    drifted = [column for column in tested if column.drifted]
    return DriftSummary(
        drifted=bool(drifted),
        drifted_share=len(drifted) / max(1, len(tested)),
        columns=columns,
        reference_name=reference.name,
        current_name=current.name,
        reference_rows=reference.interactions.height,
        current_rows=current.interactions.height,
        report=report,
    )


_Long = NDArray[np.int64]


def run_drift(inputs: RunInputs, *, current: Path | None, scratch: Path, report: Path) -> DriftSummary:
    """Hold the newest traffic of a run against its training window.

    Args:
        inputs: The trained run.
        current: Folder of newer traffic; None: the newest window of the split.
        scratch: Folder for what is made of ``current``.
        report: The HTML file to write.

    Raises:
        DriftError: Drift was found and ``on_drift`` is ``fail``, or a window is empty.
        DataError: The tables of ``current`` cannot be read.
    """
    settings, histories, scorer = inputs.settings, inputs.open_histories(), inputs.open_scorer()
    items = inputs.read_items().drop("row")
    reference = build_training_window(histories, items, scorer, settings=settings)
    newest = (
        build_newest_window(histories, items, scorer, settings=settings)
        if current is None
        else build_folder_window(current, histories=histories, scorer=scorer, scratch=scratch, settings=settings)
    )
    found = measure_drift(reference, newest, report=report, settings=settings.drift, seed=settings.seed)
    if found.drifted and settings.drift.on_drift == "fail":
        raise DriftError(found.sentence, where=report, fix="look at the report; `--on-drift warn` lets the run go on")
    return found


def write_run_profile(inputs: RunInputs, *, destination: Path) -> Path:
    """Write the reference profile of the towers of a run, which later traffic is compared with.

    Args:
        inputs: The trained run.
        destination: Folder of the profile.

    Returns:
        ``destination``.

    Raises:
        StorageError: The disk is full or not writable.
    """
    # The bundle's version is made of more than the towers; anyone who reads the profile knows it by the weights.
    weights = inputs.require_training().weights_sha256
    model = MonitoredModel("", weights, inputs.read_items().drop("row"), inputs.open_scorer())
    return write_profile(destination, make_profile(inputs.open_histories(), model, settings=inputs.settings))


def build_training_window(
    histories: Histories, items: pl.DataFrame, scorer: TowerScorer, *, settings: Settings
) -> Window:
    """Return the window the towers were trained on, with each user as they was at its end."""
    starts, stops = histories.offsets[:-1], histories.train_stops
    return _build_window("training window", histories, items, scorer, starts=starts, stops=stops, settings=settings)


def build_newest_window(
    histories: Histories, items: pl.DataFrame, scorer: TowerScorer, *, settings: Settings
) -> Window:
    """Return the test window of a split by date, or everybody's held-out items, with users as they are now."""
    test_from = histories.split.get("test_from")
    starts = (
        histories.train_stops
        if test_from is None
        else find_positions(test_from, offsets=histories.offsets, timestamps=histories.timestamps)
    )
    stops = histories.offsets[1:]
    # Held-out items are the same few of everybody: how many a person has there says nothing of activity.
    timed = test_from is not None
    return _build_window(
        "newest window", histories, items, scorer, starts=starts, stops=stops, settings=settings, timed=timed
    )


def build_folder_window(
    folder: Path, *, histories: Histories, scorer: TowerScorer, scratch: Path, settings: Settings
) -> Window:
    """Return the traffic in a second data folder; its new items are encoded and read by their text alone.

    Raises:
        DataError: The folder's tables cannot be read.
        DriftError: None of its interactions is with one of its items.
    """
    prepared = scratch / "current"
    load_tables(folder, prepared, settings=settings.data, timestamps=settings.validation.timestamps)
    plan = plan_extraction(prepared / "items.parquet", store=settings.content_store, settings=settings.content)
    results = [encode_shard(plan, shard) for shard in plan.shards]
    content = np.load(collect_vectors(plan, results, destination=prepared).path, mmap_mode="r")
    items = pl.read_parquet(prepared / "items.parquet").drop("row")
    known = dict(zip(histories.item_ids, compute_id_rows(histories).tolist(), strict=True))
    ids = np.array([known.get(item, -1) for item in items["item_id"].to_list()], dtype=np.int64)
    current = TowerScorer(scorer.towers, content=content, ids=ids)
    table = prepared / "interactions.parquet"
    interactions = pl.read_parquet(table).sort("user_id", "timestamp", "row")
    own, wanted = read_timestamp_scale(table), histories.scale
    return build_table_window(
        f"folder {folder.name}",
        interactions=_convert_times(interactions, own, wanted),
        items=items,
        has_times=own.is_clock and wanted.is_clock,
        item_vectors=current.item_vectors.cpu().numpy(),
        user_vectors=_encode_users(interactions, items, current, settings=settings),
    )


def _convert_times(interactions: pl.DataFrame, own: TimestampScale, wanted: TimestampScale) -> pl.DataFrame:
    # Both windows are cut into equally long stretches, so they must be in one unit; a stretch needs no exact ticks.
    if own.per_second == wanted.per_second:
        return interactions
    return interactions.with_columns(pl.col("timestamp").cast(pl.Float64) * (wanted.per_second / own.per_second))


def _encode_users(
    interactions: pl.DataFrame, items: pl.DataFrame, scorer: TowerScorer, *, settings: Settings
) -> NDArray[np.float32]:
    numbers = items.select("item_id").with_row_index("item")
    known = interactions.join(numbers, on="item_id", how="inner", maintain_order="left")
    lengths = known.group_by("user_id", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
    stops = np.cumsum(lengths)
    return _sample_users(scorer, known["item"].to_numpy().astype(np.int32), stops - lengths, stops, settings=settings)


def _build_window(
    name: str,
    histories: Histories,
    items: pl.DataFrame,
    scorer: TowerScorer,
    *,
    starts: _Long,
    stops: _Long,
    settings: Settings,
    timed: bool = True,
) -> Window:
    active = np.flatnonzero(stops > starts)
    timestamps: Timestamps = np.asarray(histories.timestamps)
    return build_history_window(
        name,
        starts=np.asarray(starts),
        stops=np.asarray(stops),
        item_indices=np.asarray(histories.items),
        timestamps=timestamps if timed and histories.scale.is_clock else None,
        items=items,
        item_vectors=scorer.item_vectors.cpu().numpy(),
        # A user is all that is known of them at the window's end, not the window's interactions alone.
        user_vectors=_sample_users(
            scorer, histories.items, histories.offsets[:-1][active], stops[active], settings=settings
        ),
    )


def _sample_users(
    scorer: TowerScorer, items: NDArray[np.int32], starts: _Long, stops: _Long, *, settings: Settings
) -> NDArray[np.float32]:
    # No more users than the test will draw: encoding millions to look at a thousand is waste.
    draw = np.random.default_rng(settings.seed)
    chosen = np.sort(draw.permutation(len(starts))[: settings.drift.sample_vectors])
    vectors: NDArray[np.float32] = scorer.encode_runs(items, starts[chosen], stops[chosen]).cpu().numpy()
    return vectors


def judge_drift(summary: DriftSummary, *, settings: GateSettings) -> Rule:
    """Refuse what was trained on data of which something broke; drift that a new model is made for is none."""
    broken = sorted(
        (column for column in summary.columns if column.drifted and (column.effect or 0) >= settings.max_drift_effect),
        key=lambda column: -(column.effect or 0),
    )
    if broken:
        named = ", ".join(f"{column.name.replace('_', ' ')} ({column.effect:.2f})" for column in broken)
        said = (
            f"{summary.current_name[:1].upper()}{summary.current_name[1:]} looks broken rather than drifted, with an "
            f"effect of {settings.max_drift_effect:g} or more: {named}."
        )
        return Rule("drift", False, said)
    return Rule("drift", True, f"No column of {summary.current_name} has an effect of {settings.max_drift_effect:g}.")
