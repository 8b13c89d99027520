"""The page and the figures of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path
from statistics import mean

from pydantic import ValidationError

from benchmarks.daily_retrain.records import Morning, Page, Run, Setup, Training
from benchmarks.quality.provenance import short_commit
from benchmarks.quality.tables import markdown
from learn.data.staging import staged
from learn.errors import DataError

_PAGE, _FIGURES = "daily_retrain.md", "daily_retrain.json"
_WANTED = 1 / 3


def figures(found: Sequence[Morning]) -> dict[str, float]:
    """Return the figures by name.

    ``time_ratio`` is the warm trainings' time to the fresh ones' best validation NDCG@10 over the fresh ones' own,
    summed over the days on which the warm one got there; ``reached`` is their share.
    """
    reached = [(morning, at) for morning in found if (at := morning.seconds_to_fresh) is not None]
    fresh = sum(morning.fresh.seconds_to(morning.fresh.best) or 0.0 for morning, _ in reached)
    return {
        "time_ratio": sum(at for _, at in reached) / fresh if fresh else inf,
        "reached": len(reached) / len(found),
        "whole_time_ratio": sum(morning.warm.cpu_seconds[-1] for morning in found)
        / sum(morning.fresh.cpu_seconds[-1] for morning in found),
        "fresh_validation_ndcg10": mean(morning.fresh.best for morning in found),
        "warm_validation_ndcg10": mean(morning.warm.best for morning in found),
        "fresh_test_ndcg10": mean(morning.fresh.ndcg10 for morning in found),
        "warm_test_ndcg10": mean(morning.warm.ndcg10 for morning in found),
        "fresh_test_recall10": mean(morning.fresh.recall10 for morning in found),
        "warm_test_recall10": mean(morning.warm.recall10 for morning in found),
    }


def read_page(folder: Path) -> Page:
    """Read what an earlier call measured; a page without anything where there was none.

    Raises:
        DataError: It cannot be read.
    """
    path = folder / _FIGURES
    if not path.exists():
        return Page()
    try:
        return Page.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as fault:
        raise DataError(f"The earlier figures cannot be read: {fault}.", where=path, fix="remove the file") from fault


def write_page(page: Page, *, folder: Path) -> Path:
    """Write ``daily_retrain.md`` for people and ``daily_retrain.json`` for machines; return the first.

    Raises:
        StorageError: The disk is full or closed.
    """
    runs = dict(sorted(page.runs.items()))
    named = {name: figures(run.mornings) for name, run in runs.items()}
    # A ratio of no day at all is no number.
    flat = {f"{name}_{each}": value for name, found in named.items() for each, value in found.items() if value < inf}
    parts = [_HEAD, _bars(named), *(_part(run, named[name]) for name, run in runs.items())]
    with staged(folder, names=(_FIGURES, _PAGE)) as stage:
        written = Page(figures=flat, runs=runs).model_dump_json(indent=1)
        (stage / _FIGURES).write_text(written + "\n", encoding="utf-8")
        (stage / _PAGE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return folder / _PAGE


_HEAD = """# A daily retraining, fresh and warm

Each day both sides see the same data. *Fresh* begins with random weights, *warm* with yesterday's warm ones (on day 1
with those of a fresh training on day 0), as [`--init-from`](../warm_start.md) does. A warm training is to come to the
fresh one's best validation NDCG@10 in at most a third of the time that the fresh one took to it, on every day. To
repeat: `make bench-daily-retrain`."""


def _bars(named: dict[str, dict[str, float]]) -> str:
    heads = ["", "time to the fresh one's best, warm / fresh", "came to it", "time to the end, warm / fresh", ""]
    lines = [
        [
            f"`{name}`",
            f"{found['time_ratio']:.3f}" if found["time_ratio"] < inf else "–",
            f"on {found['reached']:.0%} of the days",
            f"{found['whole_time_ratio']:.2f}",
            "met" if found["time_ratio"] <= _WANTED and found["reached"] == 1 else "**missed**",
        ]
        for name, found in named.items()
    ]
    return markdown(heads, lines)


def _part(run: Run, named: dict[str, float]) -> str:
    settings = run.setup.settings.strip()
    lines = [line for line in settings.splitlines() if line and not line.startswith("#")]
    said = "\n".join(lines) if lines else "# the defaults"
    about = run.machine
    return f"""## `{run.setup.shop}`

{_asked(run.setup)}

{_means(named)}

{_table(run.mornings)}

Seconds are processor seconds of one thread, measuring on validation included, from the first step on: loading and the
closed forms are the same on both sides. Settings:

```toml
{said}
```

{about["processor"]}, {about["cores"]} cores, {about["memory_gb"]} GB, 1 thread; commit {short_commit(run.commit)}."""


def _asked(setup: Setup) -> str:
    window = f"the newest {setup.window_days:g} days" if setup.window_days else "everything"
    until = f", until {setup.until:%Y-%m-%d}" if setup.until else ""
    seeds = ", ".join(map(str, setup.seeds))
    days = "a day" if setup.every == 1 else f"{setup.every:g} days"
    return (
        f"Split by date{until}: {setup.days} retrainings, {days} apart, each on {window} up to that day; seeds {seeds}."
    )


def _means(named: dict[str, float]) -> str:
    columns = {
        "validation NDCG@10": "validation_ndcg10",
        "test NDCG@10": "test_ndcg10",
        "test Recall@10": "test_recall10",
    }
    lines = [[side, *(f"{named[f'{side}_{name}']:.4f}" for name in columns.values())] for side in ("fresh", "warm")]
    return markdown(["mean of all days and seeds", *columns], lines)


def _table(found: Sequence[Morning]) -> str:
    heads = ["day", "seed", "", "seconds to the fresh one's best", "seconds in all", "epoch kept"]
    heads += ["validation NDCG@10", "test NDCG@10", "test Recall@10"]
    lines = [
        [str(morning.day), str(morning.seed), name, *_cells(training, aim=morning.fresh.best)]
        for morning in found
        for name, training in (("fresh", morning.fresh), ("warm", morning.warm))
    ]
    return markdown(heads, lines)


def _cells(training: Training, *, aim: float) -> list[str]:
    at = training.seconds_to(aim)
    return [
        "never" if at is None else f"{at:.1f}",
        f"{training.cpu_seconds[-1]:.1f}",
        f"{training.chosen} of {training.epochs[-1]}",
        f"{training.best:.4f}",
        f"{training.ndcg10:.4f}",
        f"{training.recall10:.4f}",
    ]
