"""A synthetic shop with a model, its reference profile, and the traffic its service would log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import torch

from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.data.splits import build_histories
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.towers import Towers
from learn.monitoring.profile import Profile, make_profile
from learn.monitoring.requests import KnownHistories, MonitoredModel, rank_known
from learn.traffic.records import AnswerRecord, FeedbackRecord

ITEMS, USERS, EACH, DAY = 150, 900, 12, 86_400.0
START = 1_700_000_000.0
NOW = datetime(2026, 3, 1, tzinfo=UTC)
_WORDS = ("red", "blue", "steel", "mug", "lamp", "garden", "chair", "soft", "toy", "kit", "large", "travel", "oak")

SETTINGS = Settings.from_mapping(
    {
        "towers": {"dimension": 16, "max_history": 20, "cooccurrence_rank": 0},
        "drift": {"sample_rows": 800, "sample_vectors": 300, "permutations": 2_000},
        "monitoring": {"k": 5},
        "split": {"method": "by_date"},
    }
)


@dataclass(frozen=True)
class Shop:
    """What a training run leaves."""

    histories: Histories
    model: MonitoredModel
    profile: Profile
    interactions: pl.DataFrame
    items: pl.DataFrame


def make_shop(folder: Path) -> Shop:
    """Make the shop's tables, split them, and write the profile of a model with fresh weights."""
    rng = np.random.default_rng(3)
    titles = [" ".join(rng.choice(_WORDS, rng.integers(3, 7))) + f" {number}" for number in range(ITEMS)]
    items = pl.DataFrame(
        {
            "item_id": [f"i{number}" for number in range(ITEMS)],
            "title": titles,
            "category": [f"C{number % 8}" for number in range(ITEMS)],
        }
    )
    interactions = draw_interactions(rng, users=USERS, first_day=0, name="u")
    folder.mkdir(parents=True, exist_ok=True)
    items.with_row_index("row").write_parquet(folder / "items.parquet")
    interactions.with_row_index("row").write_parquet(folder / "interactions.parquet")
    split = build_histories(folder, folder / "histories", settings=SETTINGS.split)
    histories = Histories.open(split.folder)
    torch.manual_seed(0)
    content = rng.normal(size=(ITEMS, 24)).astype(np.float32)
    ids = compute_id_rows(histories)
    towers = Towers(SETTINGS.towers, content_dimension=24, id_count=int((ids >= 0).sum()))
    model = MonitoredModel("v1", "0" * 64, items, TowerScorer(towers, content=content, ids=ids))
    return Shop(histories, model, make_profile(histories, model, settings=SETTINGS), interactions, items)


def draw_interactions(rng: np.random.Generator, *, users: int, first_day: float, name: str) -> pl.DataFrame:
    """Draw the interactions of some users, the popular items far more often."""
    popularity = 1 / (np.arange(ITEMS) + 5.0)
    rows = users * EACH
    return pl.DataFrame(
        {
            "user_id": [f"{name}{row // EACH}" for row in range(rows)],
            "item_id": [f"i{item}" for item in rng.choice(ITEMS, rows, p=popularity / popularity.sum())],
            "timestamp": START + DAY * (first_day + np.sort(rng.random((users, EACH)) * 20, axis=1).ravel()),
        }
    )


def requests_of(shop: Shop, *, seed: int, count: int = 800) -> list[AnswerRecord]:
    """Answer users drawn from the shop's own newest window, as its service would, over a week."""
    rng = np.random.default_rng(seed)
    histories = shop.histories
    starts, windows, stops = histories.offsets[:-1], histories.train_stops, histories.offsets[1:]
    users = rng.permutation(np.flatnonzero(np.asarray(stops > windows)))[:count]
    at = rng.integers(windows[users], stops[users])
    lengths = at - starts[users]
    flat = np.concatenate([histories.items[start:stop] for start, stop in zip(starts[users], at, strict=True)])
    lists, scores = rank_known(KnownHistories.from_flat(flat.astype(np.int32), lengths), shop.model.scorer, k=5)
    ids = np.asarray(histories.item_ids)
    cut = np.cumsum(lengths)
    return [
        AnswerRecord(
            time=NOW + timedelta(seconds=float(row) * 600_000 / count),
            recommendation_id=f"r{seed}-{row}",
            user=f"u{user}",
            model_version="v1",
            history=tuple(ids[flat[cut[row] - lengths[row] : cut[row]]]),
            history_length=int(lengths[row]),
            items=tuple(ids[lists[row]]) if lengths[row] else ("i0", "i1", "i2", "i3", "i4"),
            scores=tuple(scores[row].tolist()) if lengths[row] else (5.0, 4.0, 3.0, 2.0, 1.0),
            k=5,
            fallback=None if lengths[row] else "empty_history",
            latency_milliseconds=2.5,
        )
        for row, user in enumerate(users.tolist())
    ]


def clicks(
    answers: list[AnswerRecord], *, chance: Callable[[AnswerRecord], float], seed: int = 0
) -> Iterator[FeedbackRecord]:
    """Let people click an item of their list with a chance of its own for each answer."""
    rng = np.random.default_rng(seed)
    for answer in answers:
        if rng.random() < chance(answer):
            yield FeedbackRecord(
                time=answer.time + timedelta(seconds=5),
                recommendation_id=answer.recommendation_id,
                user=answer.user,
                item_id=str(rng.choice(answer.items)),
                event="clicked",
            )


def write_log(folder: Path, *records: AnswerRecord | FeedbackRecord, name: str = "traffic-000001.jsonl") -> Path:
    """Write records as a service would."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(record.model_dump_json() + "\n" for record in records)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def changed(answers: list[AnswerRecord], **fields: object) -> list[AnswerRecord]:
    """Return the answers with other values in some fields."""
    return [answer.model_copy(update=fields) for answer in answers]
