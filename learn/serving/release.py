"""Turn trained towers into a checked service: bundle, model store, bento, parity, footprint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from learn.config import GateSettings, ServingSettings
from learn.content import ItemPrompt
from learn.data import DataVersion, Examples, Histories
from learn.errors import ServingError
from learn.evaluation import Decision, Rule
from learn.model import RunInputs, TowerScorer
from learn.registry import (
    Bundle,
    GateDecision,
    Manifest,
    ReleaseSummary,
    read_bundle,
    record_decision,
    store_bundle,
    write_bundle,
)
from learn.retrieval import select_top_k
from learn.serving.catalogue import is_prose
from learn.serving.package import build_bento, serve_command
from learn.serving.parity import ParityResult, check_parity
from learn.serving.recommender import Recommender

_TRIES = 3
_PERCENTILE = 95


@dataclass(frozen=True)
class Footprint:
    """The cost of serving a bundle.

    Attributes:
        size_bytes: Size of all its files.
        latency_milliseconds: Time that 95 of 100 answers take at most, in one process and without the network.
    """

    size_bytes: int
    latency_milliseconds: float


def measure_footprint(bundle: Bundle, *, histories: Sequence[Sequence[str]], k: int) -> Footprint:
    """Measure a bundle as the service would answer from it.

    Args:
        bundle: The bundle.
        histories: Item ids of some users, oldest first; each is requested a few times, and the fastest counts, because
            a busy machine would distort the result.
        k: Length of each list.
    """
    recommender = Recommender(bundle)
    recommender.warm_up()
    fastest = [min(_time_answer(recommender, history, k=k) for _ in range(_TRIES)) for history in histories]
    return Footprint(
        size_bytes=sum(file.stat().st_size for file in bundle.folder.iterdir() if file.is_file()),
        latency_milliseconds=round(1_000 * float(np.percentile(fastest, _PERCENTILE)), 3) if fastest else 0.0,
    )


def judge_footprint(found: Footprint, *, settings: GateSettings) -> Iterator[Rule]:
    """Compare a bundle with the budgets."""
    yield _judge_budget(
        "size",
        f"The bundle takes {found.size_bytes / 2**20:,.1f} MiB, {{}} {settings.max_bundle_bytes / 2**20:,.1f} MiB.",
        passed=found.size_bytes <= settings.max_bundle_bytes,
    )
    yield _judge_budget(
        "latency",
        f"{_PERCENTILE} of 100 answers take at most {found.latency_milliseconds:.1f} ms, {{}} "
        f"{settings.max_latency_milliseconds:g} ms.",
        passed=found.latency_milliseconds <= settings.max_latency_milliseconds,
    )


def _judge_budget(name: str, said: str, *, passed: bool) -> Rule:
    return Rule(name, passed, said.format("within the budget of" if passed else "above the budget of"))


def _time_answer(recommender: Recommender, history: Sequence[str], *, k: int) -> float:
    begun = time.perf_counter()
    recommender.recommend(history, k=k)
    return time.perf_counter() - begun


_K = 10
_QUERIES = 200


def release_run(
    inputs: RunInputs,
    *,
    version: DataVersion,
    metrics: dict[str, Any],
    run_id: str,
    destination: Path,
    rules: Sequence[Rule] = (),
    champion: str | None = None,
    profile: Path | None = None,
) -> tuple[ReleaseSummary, Decision]:
    """Pack the towers of a run; the arguments come from earlier steps, errors are those of :func:`release_towers`.

    Nothing is promoted here: that is decided by a person, or by a rule that the person has set.

    Args:
        rules: Rules of other packages on the towers; the budgets of a bundle and parity are added.
        champion: Version of the model that they were compared with.
        profile: Folder of the reference profile, which is copied into the bundle.

    Returns:
        What was packed, and the gate's decision. The bundle's manifest has it without parity, which only the built
        service can show; where that fails, the run does.
    """
    settings, training, histories = inputs.settings, inputs.require_training(), inputs.open_histories()

    def decide(footprint: Footprint) -> Decision:
        return Decision.from_rules((*rules, *judge_footprint(footprint, settings=settings.gate)), champion=champion)

    release = release_towers(
        inputs.open_scorer(),
        histories=histories,
        items=inputs.read_items(),
        manifest=Manifest(
            data_version=version.version,
            encoder_fingerprint=inputs.encoder_fingerprint,
            settings=settings,
            code_revision=version.git_revision,
            metrics=metrics["test"]["towers"],
            intervals=metrics["intervals"]["test"]["towers"],
            parent=training.parent,
            split=histories.split,
            temperature=training.temperature,
            created=datetime.now(tz=UTC).isoformat(timespec="seconds"),
            run_id=run_id,
        ),
        destination=destination,
        settings=settings.serving,
        seed=settings.seed,
        decide=decide,
        profile=profile,
    )
    packed = decide(Footprint(release.size_bytes, release.latency_milliseconds))
    return release, Decision.from_rules((*packed.rules, _judge_parity(release)), champion=champion)


def release_towers(
    scorer: TowerScorer,
    *,
    histories: Histories,
    items: pl.DataFrame,
    manifest: Manifest,
    destination: Path,
    settings: ServingSettings,
    seed: int,
    decide: Callable[[Footprint], Decision],
    profile: Path | None = None,
) -> ReleaseSummary:
    """Pack the towers, build the service, start it, and compare its answers with the offline ranking.

    Args:
        scorer: The trained towers with their catalogue encoded.
        histories: Histories of the run; all of each user's interactions make the compared histories.
        items: The valid items in item-index order.
        manifest: The origin of the model.
        destination: Folder of the bundle.
        settings: Name of the model and number of users to compare.
        seed: Seed of the draw of users.
        decide: The gate, given the cost of the bundle; its decision is written into the manifest.
        profile: Folder of the reference profile; None: the bundle has none.

    Raises:
        BundleError: The bundle cannot be written or does not read back.
        ServingError: The service does not start, or its answers differ from the offline ranking.
        StorageError: The disk is full or not writable.
    """
    bundle = write_tower_bundle(
        scorer, histories=histories, items=items, manifest=manifest, destination=destination, seed=seed, profile=profile
    )
    users, expected = _rank_compared_users(scorer, histories, count=settings.parity_users, seed=seed)
    footprint = measure_footprint(bundle, histories=users, k=_K)
    record_decision(destination, _to_gate_decision(decide(footprint)))
    model_tag = store_bundle(destination, name=settings.model_name)
    bento_tag = build_bento(model_tag=model_tag)
    parity = check_parity(bento_tag, destination, users=users, k=_K, expected=expected)
    _refuse_difference(parity, bento_tag)
    return ReleaseSummary(
        bundle=destination,
        version=bundle.version,
        weights_sha256=bundle.manifest.weights_sha256,
        model_tag=model_tag,
        bento_tag=bento_tag,
        command=serve_command(bento_tag),
        parity_users=parity.users,
        parity_identical=parity.identical,
        parity_tied=parity.tied,
        size_bytes=footprint.size_bytes,
        latency_milliseconds=footprint.latency_milliseconds,
    )


def write_tower_bundle(
    scorer: TowerScorer,
    *,
    histories: Histories,
    items: pl.DataFrame,
    manifest: Manifest,
    destination: Path,
    seed: int,
    profile: Path | None = None,
) -> Bundle:
    """Write the bundle of trained towers, and read it back.

    Arguments and errors are those of :func:`release_towers`.
    """
    write_bundle(
        destination,
        towers=scorer.towers.cpu(),
        items=_build_catalogue(items, histories, prompt=ItemPrompt(manifest.settings.content)),
        item_inputs=scorer.item_inputs.cpu().numpy(),
        item_vectors=scorer.item_vectors.cpu().numpy(),
        manifest=manifest,
        queries=_draw_queries(scorer, histories, count=_QUERIES, seed=seed),
        profile=profile,
    )
    return read_bundle(destination)


def _to_gate_decision(decision: Decision) -> GateDecision:
    return GateDecision(fit=decision.fit, reasons=decision.reasons, champion=decision.champion, failed=decision.failed)


def _judge_parity(release: ReleaseSummary) -> Rule:
    same = release.parity_identical + release.parity_tied
    said = f"The built service answered {same} of {release.parity_users} users as the offline ranking does."
    return Rule("parity", same == release.parity_users, said)


def select_packed_columns(items: pl.DataFrame, *, prompt: ItemPrompt) -> pl.DataFrame:
    """Return the items' columns; long texts are cut to what the encoder reads, so changed items can be encoded
    again."""
    prose = [series.name for series in items if series.name not in ("item_id", "title") and is_prose(series)]
    return items.drop(name for name in prose if name not in prompt.fields).with_columns(
        prompt.shorten(items[name]) for name in prose if name in prompt.fields
    )


def _build_catalogue(items: pl.DataFrame, histories: Histories, *, prompt: ItemPrompt) -> pl.DataFrame:
    training = histories.count_popularity()
    # The fallback for users without a history ranks by this: the interactions after the training window.
    newest = np.asarray(histories.items)[~histories.mark_training()]
    recent = np.bincount(newest, minlength=histories.item_count).astype(np.int64)
    return select_packed_columns(items.drop("row", strict=False), prompt=prompt).with_columns(
        training_interactions=pl.Series(training), recent_interactions=pl.Series(recent)
    )


def _draw_queries(scorer: TowerScorer, histories: Histories, *, count: int, seed: int) -> NDArray[np.float32]:
    users = _choose_active_users(histories, count=count, seed=seed)
    found = scorer.encode_runs(histories.items, histories.offsets[:-1][users], histories.offsets[1:][users])
    vectors: NDArray[np.float32] = found.cpu().numpy()  # (q, d)
    return vectors


def _choose_active_users(histories: Histories, *, count: int, seed: int) -> NDArray[np.int64]:
    active = np.flatnonzero(np.diff(histories.offsets) > 0)
    return np.sort(np.random.default_rng(seed).permutation(active)[:count])


def _rank_compared_users(
    scorer: TowerScorer, histories: Histories, *, count: int, seed: int
) -> tuple[list[list[str]], list[list[str]]]:
    users = _choose_active_users(histories, count=count, seed=seed)
    starts, stops = histories.offsets[:-1][users], histories.offsets[1:][users]
    # Only the scores of these examples are used, so their target is arbitrary.
    examples = Examples("parity", users, starts, stops, np.zeros(len(users), np.int32))
    scores = scorer.score(histories, examples, slice(0, len(users))).numpy()  # (B, n)
    ids = histories.item_ids
    asked, expected = [], []
    for row, start, stop in zip(scores, starts, stops, strict=True):
        history = histories.items[start:stop]
        row[history] = -np.inf
        asked.append([ids[item] for item in history])
        expected.append([ids[item] for item in select_top_k(row, _K)])
    return asked, expected


def _refuse_difference(parity: ParityResult, bento_tag: str) -> None:
    if not parity.different:
        return
    first = parity.examples[0]
    raise ServingError(
        f"For {parity.different} of {parity.users} users the service's answer differs from the offline ranking: "
        f"{_format_items(first.served)} instead of {_format_items(first.expected)}.",
        where=bento_tag,
        fix="do not serve this bento; report it with the run's data version and settings",
    )


def _format_items(items: Sequence[str]) -> str:
    return ", ".join(items[:5])
