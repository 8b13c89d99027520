"""A catalogue of 16,859 real titles: encoded once, then unchanged, then with one title in a hundred changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.content.one_pass import Pass, build_command, run_pass
from benchmarks.harness.page import Part
from learn.config import ContentSettings

_CHANGED_SHARE = 0.01


def measure(*, data: Path, workspace: Path, encoder: str = ContentSettings().encoder) -> Part:
    """Time three passes over the titles of ``games``, each in its own process."""
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)
    items = pl.read_ndjson(data / "games" / "items.jsonl.gz").select("item_id", "title")
    first = _pass(items, workspace, encoder)
    unchanged = _pass(items, workspace, encoder)
    changed = _pass(_change_titles(items), workspace, encoder)
    share, whole_share = changed[0].seconds / first[0].seconds, changed[1] / first[1]
    return Part(
        name="A catalogue that hardly changes",
        figures={
            "one_percent_time_share": share,
            "one_percent_process_share": whole_share,
            "unchanged_seconds": unchanged[1],
            "unchanged_torch_loaded": float(unchanged[0].torch_loaded),
        },
        header=(
            "Pass",
            "Texts encoded",
            "Plan",
            "Load and encode",
            "Gather",
            "Pass",
            "Whole process",
            "Torch imported",
        ),
        rows=tuple(
            _format_row(name, *found)
            for name, found in (("first", first), ("unchanged", unchanged), ("1 % of titles changed", changed))
        ),
        notes=(
            f"{len(items):,} titles, {encoder}, a process for each pass. With one in a hundred changed the pass takes "
            f"{share:.1%} of the first one's time, without the import of torch and transformers "
            f"({changed[0].import_seconds:.1f} s, whatever the number of texts); the whole process, imports and start "
            f"of Python included, {whole_share:.1%}. Unchanged, the whole process takes {unchanged[1]:.2f} s.",
        ),
    )


def _pass(items: pl.DataFrame, workspace: Path, encoder: str) -> tuple[Pass, float]:
    items.write_parquet(workspace / "items.parquet")
    return run_pass(build_command(workspace / "items.parquet", workspace / "store", workspace / "out", encoder=encoder))


def _change_titles(items: pl.DataFrame) -> pl.DataFrame:
    rows = np.random.default_rng(0).choice(len(items), round(_CHANGED_SHARE * len(items)), replace=False)
    edited = pl.int_range(len(items)).is_in(rows.tolist())
    return items.with_columns(
        pl.when(edited).then(pl.col("title") + " (new edition)").otherwise("title").alias("title")
    )


def _format_row(name: str, found: Pass, seconds: float) -> tuple[str, ...]:
    stages = (found.plan_seconds, found.encode_seconds, found.collect_seconds, found.seconds, seconds)
    loaded = "yes" if found.torch_loaded else "no"
    return name, f"{found.encoded:,}", *(f"{stage:,.2f} s" for stage in stages), loaded
