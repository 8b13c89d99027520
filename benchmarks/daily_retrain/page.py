"""The page and the figures of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean

from benchmarks.daily_retrain.measure import Morning, Training
from benchmarks.quality.provenance import commit, machine, versions
from learn.errors import storage_faults

_NAME = "daily_retrain"
_WANTED = 1 / 3


@dataclass(frozen=True)
class Setup:
    """What was asked for.

    Attributes:
        shop: Data set.
        until: Date from which on it is not looked at.
        days: Retrainings after the first training.
        every: Days between two of them.
        window_days: How far back interactions are kept; 0: all.
        seeds: A chain of days each.
        settings: Text of the settings file.
    """

    shop: str
    until: datetime | None
    days: int
    every: float
    window_days: float
    seeds: Sequence[int]
    settings: str


def figures(found: Sequence[Morning]) -> dict[str, float]:
    """Return the figures by name.

    ``daily_retrain_time_ratio`` is the warm trainings' time to the fresh ones' best validation NDCG@10 over the fresh
    ones' own, summed over the days on which the warm one got there; ``daily_retrain_reached`` is their share.
    """
    reached = [(morning, at) for morning in found if (at := morning.seconds_to_fresh) is not None]
    fresh = sum(morning.fresh.seconds_to(morning.fresh.best) or 0.0 for morning, _ in reached)
    return {
        "daily_retrain_time_ratio": sum(at for _, at in reached) / fresh if fresh else float("inf"),
        "daily_retrain_reached": len(reached) / len(found),
        "daily_retrain_whole_time_ratio": sum(morning.warm.cpu_seconds[-1] for morning in found)
        / sum(morning.fresh.cpu_seconds[-1] for morning in found),
        "daily_retrain_fresh_validation_ndcg10": mean(morning.fresh.best for morning in found),
        "daily_retrain_warm_validation_ndcg10": mean(morning.warm.best for morning in found),
        "daily_retrain_fresh_test_ndcg10": mean(morning.fresh.ndcg10 for morning in found),
        "daily_retrain_warm_test_ndcg10": mean(morning.warm.ndcg10 for morning in found),
        "daily_retrain_fresh_test_recall10": mean(morning.fresh.recall10 for morning in found),
        "daily_retrain_warm_test_recall10": mean(morning.warm.recall10 for morning in found),
    }


def write_page(found: Sequence[Morning], setup: Setup, *, folder: Path) -> Path:
    """Write ``daily_retrain.md`` for people and ``daily_retrain.json`` for machines; return the page.

    Raises:
        StorageError: The disk is full or closed.
    """
    named = figures(found)
    record = {
        "figures": named,
        "machine": machine() | {"threads": 1},
        "versions": versions(),
        "commit": commit(),
        "seeds": list(setup.seeds),
        "setup": asdict(setup) | {"until": setup.until and setup.until.isoformat()},
        "rows": [asdict(morning) for morning in found],
    }
    page = folder / f"{_NAME}.md"
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        page.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        page.write_text(_page(found, setup, named), encoding="utf-8")
    return page


def _page(found: Sequence[Morning], setup: Setup, named: dict[str, float]) -> str:
    ratio, reached = named["daily_retrain_time_ratio"], named["daily_retrain_reached"]
    verdict = "met" if ratio <= _WANTED and reached == 1 else "**missed**"
    window = f"the newest {setup.window_days:g} days" if setup.window_days else "everything"
    until = f" until {setup.until:%Y-%m-%d}" if setup.until else ""
    seeds = ", ".join(map(str, setup.seeds))
    about = machine()
    return f"""# A daily retraining, fresh and warm

`{setup.shop}`{until}, split by date, {setup.days} retrainings {setup.every:g} day(s) apart, each on {window} up to that
day, seeds {seeds}. Each day both sides see the same data. *Fresh* begins with random weights, *warm* with yesterday's
warm ones (on day 1 with those of a fresh training on day 0), as `--init-from` does.

The warm training's time to the fresh one's best validation NDCG@10, over the fresh one's own time to it, is to be at
most a third: **{ratio:.3f}**, and it got there on {reached:.0%} of the days, {verdict}.

{_means(named)}

Seconds are processor seconds of one thread, measuring on validation included, from the first step on (loading and the
closed forms are the same on both sides). To the end of early stopping the warm trainings took
{named["daily_retrain_whole_time_ratio"]:.2f} of the fresh ones' time.

{_table(found)}

Settings beside the defaults:

```toml
{setup.settings.strip() or "# none"}
```

{about["processor"]}, {about["cores"]} cores, {about["memory_gb"]} GB; commit {commit()}.
"""


def _means(named: dict[str, float]) -> str:
    columns = {
        "validation NDCG@10": "validation_ndcg10",
        "test NDCG@10": "test_ndcg10",
        "test Recall@10": "test_recall10",
    }
    lines = [
        " | ".join([side, *(f"{named[f'daily_retrain_{side}_{name}']:.4f}" for name in columns.values())])
        for side in ("fresh", "warm")
    ]
    return _markdown(f"mean of all days and seeds | {' | '.join(columns)}", lines)


def _table(found: Sequence[Morning]) -> str:
    heads = (
        "day | seed | | seconds to the fresh one's best | seconds in all | epoch kept | validation NDCG@10 "
        "| test NDCG@10 | test Recall@10"
    )
    lines = [
        f"{morning.day} | {morning.seed} | {name} | {_cells(training, aim=morning.fresh.best)}"
        for morning in found
        for name, training in (("fresh", morning.fresh), ("warm", morning.warm))
    ]
    return _markdown(heads, lines)


def _markdown(heads: str, lines: Sequence[str]) -> str:
    rule = " | ".join("---" for _ in heads.split(" | "))
    return "\n".join(f"| {line} |" for line in (heads, rule, *lines))


def _cells(training: Training, *, aim: float) -> str:
    at = training.seconds_to(aim)
    return " | ".join(
        [
            "never" if at is None else f"{at:.1f}",
            f"{training.cpu_seconds[-1]:.1f}",
            f"{training.chosen} of {training.epochs[-1]}",
            f"{training.best:.4f}",
            f"{training.ndcg10:.4f}",
            f"{training.recall10:.4f}",
        ]
    )
