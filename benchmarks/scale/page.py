"""From measured rates to data as large as the LEARN paper's: what each step would take, and what must change.

The page, the figures and the estimate for the paper's size, put together from what each part found last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from benchmarks.content.page import PartResult, format_section
from benchmarks.harness.page import Part
from benchmarks.harness.provenance import describe_machine, list_versions, read_commit
from benchmarks.scale import growth
from benchmarks.scale.growth import SHOPS, TITLES, Size, draw_growth
from benchmarks.scale.measured_process import MeasuredProcess
from benchmarks.scale.synthetic_shop import Shop
from benchmarks.scale.work import STEPS
from learn.config import EvaluationSettings
from learn.data import BUCKET_ROWS
from learn.evaluation import count_ranked
from learn.storage import write_atomic

PAPER = Shop(interactions=1_900_000_000, users=12_000_000, items=31_000_000)
"""The industrial data of arXiv 2405.03988: 12 M users, 31 M items, 1.9 B interactions."""

_Basis = Literal["interactions", "items", "users ranked times items"]
_SHOWN_BYTES = 1e9
_NO_MEMORY = "| not measured at two such sizes yet | | | |"


@dataclass(frozen=True)
class _Rule:
    """What a step's cost is in proportion to, and what is known of it.

    Attributes:
        basis: The cost's measure.
        bottleneck: What it spends itself on.
        change: What would be done at the paper's size.
    """

    basis: _Basis
    bottleneck: str
    change: str


_RULES = {
    "version": _Rule(
        "interactions",
        "one thread hashes and copies the files",
        "many files of some gigabytes each, hashed in parallel; a remote in place of a second copy; "
        "only new days are new files",
    ),
    "validate": _Rule(
        "interactions",
        "one thread: Great Expectations over each batch of a million rows as pandas",
        "one task for each day of the log (batches share nothing but the ids of the items and the repeats' buckets)",
    ),
    "histories": _Rule(
        "interactions",
        "joining the ids to their numbers, then sorting buckets",
        "a machine whose memory holds the ids; the buckets are independent and can be sorted by as many tasks",
    ),
    "content": _Rule(
        "items",
        "with a real encoder, only its arithmetic; the figure is that of a tiny one, which is the rest of the work",
        "the shards of `encode` on machines with accelerators, as `docs/remote.md` has it; once, then only new items",
    ),
    "towers": _Rule(
        "interactions",
        "AdamW moves every row of the ID table at every step, and the softmax over its candidates",
        "no ID table (the paper has none) or a sparse optimiser; vectors read by step and not held; several processes",
    ),
    "evaluate": _Rule(
        "users ranked times items",
        "scores of each user who is ranked, 20,000 drawn ones in a large shop, against every item",
        "an accelerator, whose memory holds the items' vectors, or fewer users: the intervals say what that costs",
    ),
    "compare_windows": _Rule(
        "interactions",
        "laying both windows out in memory; what is tested is a sample of fixed size",
        "draw the sample before the windows are laid out",
    ),
}


def estimate(sizes: Mapping[int, Size]) -> str:
    """Write the page ``docs/scale.md`` from what was measured."""
    steps = {step: _find_largest(sizes, step) for step in STEPS}
    known = {step: found for step, found in steps.items() if found is not None}
    times = "\n".join(_format_time_row(step, *found) for step, found in known.items())
    memory = "\n".join(row for step in known if (row := _format_memory_row(sizes, step))) or _NO_MEMORY
    disk = "\n".join(_format_disk_row(step, *found) for step, found in known.items() if found[1].output_bytes)
    changes = "\n".join(f"| {TITLES[step]} | {_RULES[step].bottleneck} | {_RULES[step].change} |" for step in STEPS)
    largest = max(sizes)
    missing = [f"{size} M" for size in SHOPS if size not in sizes]
    unmeasured = f" Sizes not measured yet: {', '.join(missing)}." if missing else ""
    return f"""# Data as large as the paper's

The LEARN paper speaks of 12 million users, 31 million items and 1.9 billion interactions. Nobody ran that here. This
page carries the rates measured on one machine of two cores ([benchmarks/scale.md](benchmarks/scale.md), up to
{largest} million interactions) over to that size, by the arithmetic that each table states; `make bench-scale` writes
it from the same figures.{unmeasured}

## How large a log fits one machine

Interactions and items pass through loading, validation and histories in a stream. What is held in memory:

- loading: blocks of rows;
- validation: a batch of a million rows, the ids of all items, the numbers of failing rows, and one bucket of hashes
  while repeats are looked for;
- histories: the ids of all users and items, and one bucket of some four million rows while it is sorted; from there on
  ids are numbers, and the arrays are read from disk as they are needed;
- training: the content vectors and the ID table of the items with training interactions, four numbers for each window
  of the histories, and a batch. Above four million training interactions the co-occurrence channel never makes its
  matrix of pairs: it reads the products that it needs from the histories.

Scratch files lie beside what is written and are gone when it is done.

## Machine hours

Processor hours = measured seconds × (paper's size / measured size) / 3,600, the size being what the step's cost is in
proportion to.

| Step | Measured | In proportion to | Paper / measured | Processor hours |
| --- | --- | --- | --- | --- |
{times}

{_describe_real_encoder()}

## Memory

The line through the two largest sizes of more than a bucket, carried on: bytes at the larger + (paper's interactions -
larger) × (difference of bytes / difference of interactions). Counted is what a step holds for itself, without mapped
files, which the system drops when memory grows short.

| Step | From | Bytes an interaction | At the paper's size |
| --- | --- | --- | --- |
{memory}

The measured shops have {SHOPS[50].items / SHOPS[50].interactions * 100:.1f} items and
{SHOPS[50].users / SHOPS[50].interactions * 100:.1f} users for a hundred interactions, the paper
{PAPER.items / PAPER.interactions * 100:.1f} and {PAPER.users / PAPER.interactions * 100:.1f}: what hangs on users is
overstated, what hangs on items understated here. The towers below are counted by their items instead.

{_describe_towers_memory()}

## Storage

Bytes on disk = measured bytes × (paper's size / measured size).

| Step | Measured | Gigabytes at the paper's size |
| --- | --- | --- |
{disk}

## What is the bottleneck, and what changes

| Step | What its time goes into | At the paper's size |
| --- | --- | --- |
{changes}
"""


def _find_largest(sizes: Mapping[int, Size], step: str) -> tuple[Size, MeasuredProcess] | None:
    found = [(size, size.steps[step]) for size in sizes.values() if step in size.steps]
    return found[-1] if found else None


def _compute_ratio(shop: Shop, basis: _Basis) -> float:
    items = PAPER.items / shop.items
    ratios: dict[_Basis, float] = {
        "interactions": PAPER.interactions / shop.interactions,
        "items": items,
        "users ranked times items": _count_ranked(PAPER) / _count_ranked(shop) * items,
    }
    return ratios[basis]


def _count_ranked(shop: Shop) -> int:
    return count_ranked(shop.users, items=shop.items, settings=EvaluationSettings())


def _format_time_row(step: str, size: Size, found: MeasuredProcess) -> str:
    basis = _RULES[step].basis
    ratio = _compute_ratio(size.shop, basis)
    hours = found.cpu_seconds * ratio / 3600
    where = f"{found.cpu_seconds:,.0f} s at {size.shop.interactions // 1_000_000} M"
    return f"| {TITLES[step]} | {where} | {basis} | {ratio:,.0f} | {hours:,.1f} |"


def _format_memory_row(sizes: Mapping[int, Size], step: str) -> str | None:
    # A log shorter than a bucket is one bucket: its memory does not show that of longer ones.
    found = [
        (size.shop.interactions, size.steps[step].own_bytes)
        for size in sizes.values()
        if step in size.steps and size.shop.interactions > BUCKET_ROWS
    ]
    if len(found) < 2:
        return None
    (fewer, less), (more, most) = found[-2:]
    slope = max(0.0, (most - less) / (more - fewer))
    there = most + (PAPER.interactions - more) * slope
    span = f"{fewer // 1_000_000} and {more // 1_000_000} M"
    return f"| {TITLES[step]} | {span} | {slope:,.1f} | {there / _SHOWN_BYTES:,.1f} GB |"


def _format_disk_row(step: str, size: Size, found: MeasuredProcess) -> str:
    ratio = _compute_ratio(size.shop, "items" if step == "content" else "interactions")
    measured = f"{found.output_bytes / _SHOWN_BYTES:,.2f} GB at {size.shop.interactions // 1_000_000} M"
    return f"| {TITLES[step]} | {measured} | {found.output_bytes * ratio / _SHOWN_BYTES:,.0f} |"


def _describe_real_encoder() -> str:
    tokens = 60
    operations = 2 * 7e9 * tokens * PAPER.items
    rate = 4e14
    return f"""The content row is that of an encoder which costs next to nothing. A real one: a model of 7 billion
weights takes 2 × 7·10⁹ operations a token; at {tokens} tokens an item that is {operations:.1e} operations for
{PAPER.items:,} items, {operations / rate / 3600:,.0f} hours of one accelerator that does {rate / 1e12:,.0f} TFLOP/s in
practice, once."""


def _describe_towers_memory() -> str:
    width, content, paper_content = 256, 384, 4096
    table = PAPER.items * width * 4 * 4
    held, paper_held = (PAPER.items * numbers * 4 for numbers in (content, paper_content))
    return f"""- The ID table at the default width of {width}: {PAPER.items:,} items × {width} × 4 bytes × 4 (weight,
  gradient, two moments) = {table / 1e9:,.0f} GB. It does not fit, and at so many items most rows are hardly trained:
  `towers.id_embeddings = false`.
- The content vectors: {PAPER.items:,} × {content} × 4 bytes = {held / 1e9:,.0f} GB with MiniLM, which training holds in
  memory; with the paper's {paper_content:,} numbers {paper_held / 1e9:,.0f} GB, to be read from the mapped file step by
  step."""


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
        StorageError: The disk is full or not writable.
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
