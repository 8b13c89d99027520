"""The page, the figures and the estimate for the paper's size, put together from what each part found last."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.content.page import PartResult, format_section
from benchmarks.content.parts import Part
from benchmarks.quality.provenance import describe_machine, list_versions, read_commit
from benchmarks.scale import growth
from benchmarks.scale.chart import draw_growth
from benchmarks.scale.paper import estimate
from learn.storage import write_atomic

PARTS = ("growth", "kills", "overhead", "ddp", "remote")
"""Modules of this package, in the page's order, each with ``measure(*, data: Path, workspace: Path) -> Part``."""

_NAMES = {
    "growth": "Growth",
    "kills": "Kills",
    "overhead": "What the engine takes",
    "ddp": "Several processes",
    "remote": "Steps on empty machines",
}
_FIGURES = {
    "interactions_50m_peak_bytes": "Peak memory of any step at 50 million interactions",
    "growth_exponent_time": "Time grows with the interactions to the power of, at most (of the steps)",
    "growth_exponent_memory": "Memory grows with the interactions to the power of, at most (of the steps)",
    "kills": "Runs killed",
    "kills_equal_result": "of them with the result of an undisturbed run",
    "ddp_metric_difference": "Difference in the metric between two processes and one",
    "engine_overhead_seconds_sample_run": "Seconds of the sample run that are the engine's",
    "remote_steps_proved": "Steps proved to run elsewhere",
}


def write_pages(docs: Path, *, workspace: Path) -> Path:
    """Write ``benchmarks/scale.md``, its JSON and picture, and ``scale.md``; return the first.

    Raises:
        StorageError: The disk is full or closed.
    """
    reader = TypeAdapter(PartResult)
    files = {name: workspace / f"{name}.json" for name in PARTS}
    found = {name: reader.validate_json(file.read_bytes()) for name, file in files.items() if file.is_file()}
    sizes = growth.read_measured(workspace / "growth")
    # Sizes are kept one by one: also a part that was stopped in the middle has something to tell.
    parts = {name: kept.part for name, kept in found.items()} | ({"growth": growth.build_part(sizes)} if sizes else {})
    figures = {name: figure for part in parts.values() for name, figure in part.figures.items()}
    record = {
        "figures": figures,
        "machine": describe_machine(),
        "versions": list_versions(),
        "commit": read_commit(),
        "commits_of_parts": {name: kept.commit for name, kept in found.items()},
        "commits_of_sizes": {f"{size}m": found.commits for size, found in sizes.items()},
        "seeds": [0],
    }
    folder = docs / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "scale.json", json.dumps(record, indent=2) + "\n")
    if sizes:
        draw_growth(sizes).savefig(folder / "scale-growth.svg", metadata={"Date": None})
    write_atomic(folder / "scale.md", _format_page(parts, figures))
    if sizes:
        write_atomic(docs / "scale.md", estimate(sizes))
    return folder / "scale.md"


def _format_page(parts: dict[str, Part], figures: dict[str, float]) -> str:
    about = describe_machine()
    rows = "\n".join(f"| {words} | {_format_value(name, figures)} |" for name, words in _FIGURES.items())
    sections = "\n\n".join(_format_section(name, parts.get(name)) for name in PARTS)
    return f"""# Scale

What a run takes as the data grows, and what becomes of it when machines fail. Rows that were not measured say so. What
follows for data as large as the LEARN paper's is in [scale.md](../scale.md).

| Figure | |
| --- | --- |
{rows}

{sections}

{about["processor"]}, {about["cores"]} cores, {about["memory_gb"]} GB; commit {read_commit()}.
"""


def _format_section(name: str, part: Part | None) -> str:
    if part is None:
        return f'## {_NAMES[name]}\n\nNot measured yet: `make bench-scale WITH="--only {name}"`.'
    if name != "growth":
        return format_section(part)
    heading, _, rest = format_section(part).partition("\n\n")
    return f"{heading}\n\n![Time and memory of each step by interactions](scale-growth.svg)\n\n{rest}"


def _format_value(name: str, figures: dict[str, float]) -> str:
    figure = figures.get(name)
    if figure is None:
        return "not measured"
    if name.endswith("_bytes"):
        return f"{figure / 2**30:.2f} GiB"
    return f"{figure:,.0f}" if figure == int(figure) else f"{figure:.3g}"
