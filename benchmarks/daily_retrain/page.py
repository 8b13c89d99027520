"""The page and the figures of the benchmark."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import inf, sqrt
from pathlib import Path
from statistics import mean, stdev

from pydantic import ValidationError

from benchmarks.daily_retrain.records import Morning, Page, Run, Setup, Training
from benchmarks.harness.provenance import shorten_commit
from benchmarks.quality.tables import format_markdown
from learn.errors import DataError
from learn.storage import atomic_files

PAGE, _FIGURES = "daily_retrain.md", "daily_retrain.json"
_WANTED = 1 / 3
_GAP = ("test_ndcg10_difference", "test_ndcg10_difference_error")


def collect_figures(found: Sequence[Morning]) -> dict[str, float]:
    """Return the figures by name.

    ``time_ratio`` is the warm trainings' time to the fresh ones' best validation NDCG@10 over the fresh ones' own,
    summed over the days on which the warm one got there; ``reached`` is their share. ``test_ndcg10_difference`` is warm
    less fresh, its error the standard error of the mean over days and seeds.
    """
    reached = [(morning, at) for morning in found if (at := morning.seconds_to_fresh) is not None]
    gaps = [morning.warm.ndcg10 - morning.fresh.ndcg10 for morning in found]
    fresh = sum(morning.fresh.find_seconds_to(morning.fresh.best) or 0.0 for morning, _ in reached)
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
        "test_ndcg10_difference": mean(gaps),
        "test_ndcg10_difference_error": stdev(gaps) / sqrt(len(gaps)) if len(gaps) > 1 else inf,
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


def write_page(page: Page, *, planned: Collection[str], folder: Path) -> Path:
    """Write ``daily_retrain.md`` for people and ``daily_retrain.json`` for machines; return the first.

    Args:
        page: What was measured.
        planned: Every shop of the benchmark; one that is not on the page is named as not measured.
        folder: Where to write.

    Raises:
        StorageError: The disk is full or not writable.
    """
    runs = dict(sorted(page.runs.items()))
    named = {name: collect_figures(run.mornings) for name, run in runs.items()}
    # A ratio of no day at all is no number.
    flat = {f"{name}_{each}": value for name, found in named.items() for each, value in found.items() if value < inf}
    parts = [_HEAD, _format_bars(named), *(_format_shop(run, named[name]) for name, run in runs.items())]
    missing = [f"`{name}`" for name in planned if name not in runs]
    parts += [f"Not measured: {', '.join(missing)}."] if missing else []
    with atomic_files(folder, names=(_FIGURES, PAGE)) as stage:
        written = Page(figures=flat, runs=runs).model_dump_json(indent=1)
        (stage / _FIGURES).write_text(written + "\n", encoding="utf-8")
        (stage / PAGE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return folder / PAGE


_HEAD = """# A daily retraining, fresh and warm

Each day both sides see the same data. *Fresh* begins with random weights, *warm* with yesterday's warm ones (on day 1
with those of a fresh training on day 0), as [`--init-from`](../warm_start.md) does, and ends at the first epoch that is
no better. To repeat: `make bench-daily-retrain`.

The quality of a fresh training is to be there in at most a third of its time. The first bar asks for the fresh one's
best epoch to be reached on validation. That is the highest of several figures that scatter from epoch to epoch, and a
warm training has fewer to choose from. The second asks for the whole time, and for the quality of what was kept."""


def _format_bars(named: Mapping[str, Mapping[str, float]]) -> str:
    lines = [
        line
        for name, found in named.items()
        for line in (_format_earliest_end(name, found), _format_total_time(name, found))
    ]
    return format_markdown(["", "wanted", "measured", ""], lines)


def _format_earliest_end(name: str, found: Mapping[str, float]) -> list[str]:
    ratio, reached = found["time_ratio"], found["reached"]
    what = f"`{name}`: time to the fresh one's best epoch on validation, warm / fresh"
    said = f"{ratio:.3f}, on {reached:.0%} of the days" if reached else "never"
    return [what, "at most a third, on every day", said, _write_verdict(ratio <= _WANTED and reached == 1)]


def _format_total_time(name: str, found: Mapping[str, float]) -> list[str]:
    ratio, gap, error = (found[key] for key in ("whole_time_ratio", *_GAP))
    what = f"`{name}`: time of the whole training, warm / fresh, and test NDCG@10, warm less fresh"
    wanted = "at most a third, and not below 0 by more than two standard errors"
    if error == inf:
        return [what, wanted, f"{ratio:.2f}, {gap:+.4f} ± –", "open"]
    return [
        what,
        wanted,
        f"{ratio:.2f}, {gap:+.4f} ± {error:.4f}",
        _write_verdict(ratio <= _WANTED and gap + 2 * error >= 0),
    ]


def _write_verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _format_shop(run: Run, named: dict[str, float]) -> str:
    settings = run.setup.settings.strip()
    lines = [line for line in settings.splitlines() if line and not line.startswith("#")]
    said = "\n".join(lines) if lines else "# the defaults"
    about = run.machine
    return f"""## `{run.setup.shop}`

{_format_setup(run.setup)}

{_format_means(named)}

{_format_table(run.mornings)}

Seconds are processor seconds of one thread, measuring on validation included, from the first step on: loading and the
closed forms are the same on both sides. Settings:

```toml
{said}
```

{about["processor"]}, {about["cores"]} cores, {about["memory_gb"]} GB, 1 thread; commit {shorten_commit(run.commit)}."""


def _format_setup(setup: Setup) -> str:
    window = f"the newest {setup.window_days:g} days" if setup.window_days else "everything"
    until = f", until {setup.until:%Y-%m-%d}" if setup.until else ""
    seeds = ", ".join(map(str, setup.seeds))
    days = "a day" if setup.every == 1 else f"{setup.every:g} days"
    return (
        f"Split by date{until}: {setup.days} retrainings, {days} apart, each on {window} up to that day; seeds {seeds}."
    )


def _format_means(named: dict[str, float]) -> str:
    columns = {
        "validation NDCG@10": "validation_ndcg10",
        "test NDCG@10": "test_ndcg10",
        "test Recall@10": "test_recall10",
    }
    lines = [[side, *(f"{named[f'{side}_{name}']:.4f}" for name in columns.values())] for side in ("fresh", "warm")]
    return format_markdown(["mean of all days and seeds", *columns], lines)


def _format_table(found: Sequence[Morning]) -> str:
    heads = ["day", "seed", "", "seconds to the fresh one's best", "seconds in all", "epoch kept"]
    heads += ["validation NDCG@10", "test NDCG@10", "test Recall@10"]
    lines = [
        [str(morning.day), str(morning.seed), name, *_format_cells(training, aim=morning.fresh.best)]
        for morning in found
        for name, training in (("fresh", morning.fresh), ("warm", morning.warm))
    ]
    return format_markdown(heads, lines)


def _format_cells(training: Training, *, aim: float) -> list[str]:
    at = training.find_seconds_to(aim)
    return [
        "never" if at is None else f"{at:.1f}",
        f"{training.cpu_seconds[-1]:.1f}",
        f"{training.chosen} of {training.epochs[-1]}",
        f"{training.best:.4f}",
        f"{training.ndcg10:.4f}",
        f"{training.recall10:.4f}",
    ]
