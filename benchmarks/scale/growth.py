"""The picture of the page: time and memory of each step by the size of the data, both axes as logarithms.

Time and memory of every step of the train flow at growing sizes, over synthetic shops.

Each step runs in its own process, as it does in the flow. What a step took is kept as soon as it is known, so that
a stopped run continues with the next one; the synthetic data of a size is removed once all its steps are through.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import TypeAdapter

from benchmarks.content.tiny_encoder import save_tiny_bert
from benchmarks.harness.page import Part
from benchmarks.harness.provenance import read_commit
from benchmarks.scale.measured_process import MeasuredProcess, watch
from benchmarks.scale.synthetic_shop import Shop, write_shop
from benchmarks.scale.work import ENCODER, STEPS

_COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#b8860b", "#6a4c93", "#5f6b6d", "#e07a5f")
_MARKERS = "osD^vPX"


def draw_growth(sizes: Mapping[int, Size]) -> Figure:
    """Draw what was measured, next to a line of what growth in proportion would be."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    time, memory = figure.subplots(1, 2)
    _draw(time, sizes, lambda found: found.cpu_seconds, title="Processor seconds")
    _draw(memory, sizes, lambda found: found.peak_bytes / 2**30, title="Peak memory, GiB")
    figure.legend(*time.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw(axes: Axes, sizes: Mapping[int, Size], value: Callable[[MeasuredProcess], float], *, title: str) -> None:
    for step, colour, marker in zip(STEPS, _COLOURS, _MARKERS, strict=True):
        points = [(size, value(found.steps[step])) for size, found in sizes.items() if step in found.steps]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=step.replace("_", " "), lw=1.6)
    low, high = min(sizes), max(sizes)
    begin = min(value(found) for found in sizes[low].steps.values())
    axes.plot(
        [low, high], [begin, begin * high / low], color="#999999", linestyle=":", label="in proportion", linewidth=1.2
    )
    axes.set(xscale="log", yscale="log", title=title, xlabel="millions of interactions")
    axes.set_xticks(list(sizes), [str(size) for size in sizes])
    axes.minorticks_off()
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


SHOPS = {
    1: Shop(1_000_000, 20_000, 20_000),
    5: Shop(5_000_000, 100_000, 75_000),
    25: Shop(25_000_000, 500_000, 280_000),
    50: Shop(50_000_000, 1_000_000, 500_000),
}
"""Shops by their millions of interactions: fifty a user."""

TARGET = 50
EPOCH_SECONDS, PART_SECONDS = 25 * 60.0, 5 * 60.0
"""Processor time of an epoch beyond which it is cut, after the second of the two, and its time extrapolated."""

TITLES = {
    "version": "Version (DVC)",
    "validate": "Load and validate (Great Expectations)",
    "histories": "Histories",
    "content": "Content, a tiny encoder",
    "towers": "Towers, one epoch",
    "evaluate": "Evaluation",
    "compare_windows": "Profile and drift",
}


@dataclass(frozen=True)
class Size:
    """What was measured of one shop so far.

    Attributes:
        shop: The shop.
        steps: Its steps by name, as far as they were measured.
        commits: Of the code that each was measured with.
    """

    shop: Shop
    steps: dict[str, MeasuredProcess]
    commits: dict[str, str]


def measure(*, data: Path, workspace: Path, millions: Sequence[int] = tuple(SHOPS)) -> Part:  # noqa: ARG001 - synthetic
    """Measure what is not measured yet of these sizes; the part tells of every size that ever was.

    Args:
        data: Not read: the data is synthetic.
        workspace: Folder for the data and for what was measured.
        millions: Keys of :data:`SHOPS`.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    if not (workspace / ENCODER / "config.json").is_file():
        save_tiny_bert(workspace / ENCODER)
    for size in millions:
        _measure_size(workspace, size)
    return build_part(read_measured(workspace))


def read_measured(workspace: Path) -> dict[int, Size]:
    """Return what was measured of each size, smallest first."""
    reader = TypeAdapter(Size)
    records = {size: workspace / f"{size}m.json" for size in sorted(SHOPS)}
    return {size: reader.validate_json(file.read_bytes()) for size, file in records.items() if file.is_file()}


def _measure_size(workspace: Path, millions: int) -> None:
    size = read_measured(workspace).get(millions) or Size(SHOPS[millions], {}, {})
    left = [step for step in STEPS if step not in size.steps]
    folder = workspace / f"{millions}m"
    if not left:
        return
    if not (folder / "made").is_file():
        if len(left) < len(STEPS):
            raise SystemExit(f"what {', '.join(size.steps)} made in {folder} is gone: remove {folder}.json")
        print(f"Making {millions} million interactions", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        write_shop(folder / "data", size.shop)
        (folder / "made").touch()
    for step in left:
        print(f"{millions} million interactions: {step}", flush=True)
        found = watch(step, folder, epoch_seconds=EPOCH_SECONDS, part_seconds=PART_SECONDS)
        size.steps[step], size.commits[step] = found, read_commit()
        (workspace / f"{millions}m.json").write_text(json.dumps(asdict(size), indent=2) + "\n", encoding="utf-8")
        print(f"  {found.cpu_seconds:,.0f} s of the processor, {found.peak_bytes / 2**20:,.0f} MiB", flush=True)
    shutil.rmtree(folder)


def fit_exponent(sizes: Mapping[int, Size], step: str, *, of: str) -> float | None:
    """Return the slope of a step's ``cpu_seconds`` or ``peak_bytes`` over the interactions, both as logarithms.

    None if fewer than two sizes were measured.
    """
    points = [(size.shop.interactions, getattr(size.steps[step], of)) for size in sizes.values() if step in size.steps]
    if len(points) < 2:
        return None
    interactions, values = np.log(np.array(points, dtype=np.float64)).T
    return float(np.polyfit(interactions, values, 1)[0])


def build_part(sizes: Mapping[int, Size]) -> Part:
    """Return the section of the page."""
    header = ("Step", *(f"{size} M" for size in SHOPS), "Time grows as", "Memory grows as")
    return Part(
        name="Growth",
        figures=_collect_figures(sizes),
        header=header,
        rows=tuple(_format_row(step, sizes) for step in STEPS),
        notes=_write_notes(sizes),
    )


def _format_row(step: str, sizes: Mapping[int, Size]) -> tuple[str, ...]:
    cells = [_format_cell(sizes[size].steps.get(step) if size in sizes else None) for size in SHOPS]
    exponents = [fit_exponent(sizes, step, of=of) for of in ("cpu_seconds", "peak_bytes")]
    return (TITLES[step], *cells, *("" if each is None else f"n^{each:.2f}" for each in exponents))


def _format_cell(found: MeasuredProcess | None) -> str:
    if found is None:
        return "not measured"
    mark = "" if found.measured_share == 1 else f" ({found.measured_share:.0%} measured)"
    return f"{found.cpu_seconds:,.0f} s{mark}, {found.peak_bytes / 2**20:,.0f} MiB"


def _collect_figures(sizes: Mapping[int, Size]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for kind, of in (("time", "cpu_seconds"), ("memory", "peak_bytes")):
        slopes = [fit_exponent(sizes, step, of=of) for step in STEPS]
        known = [slope for slope in slopes if slope is not None]
        # The largest of some steps would speak for those that were not measured.
        if len(known) == len(STEPS):
            figures[f"growth_exponent_{kind}"] = max(known)
    if TARGET in sizes and len(sizes[TARGET].steps) == len(STEPS):
        figures[f"interactions_{TARGET}m_peak_bytes"] = max(
            float(found.peak_bytes) for found in sizes[TARGET].steps.values()
        )
    for size, found in sizes.items():
        for step, watched in found.steps.items():
            figures |= {
                f"{step}_{size}m_cpu_seconds": watched.cpu_seconds,
                f"{step}_{size}m_seconds": watched.seconds,
                f"{step}_{size}m_peak_bytes": float(watched.peak_bytes),
                f"{step}_{size}m_own_bytes": float(watched.own_bytes),
                f"{step}_{size}m_output_bytes": float(watched.output_bytes),
                f"{step}_{size}m_measured_share": watched.measured_share,
            }
    return figures


def _write_notes(sizes: Mapping[int, Size]) -> tuple[str, ...]:
    shops = "; ".join(f"{size} M: {shop.users:,} users, {shop.items:,} items" for size, shop in SHOPS.items())
    notes = [
        f"Made-up shops of fifty interactions a user ({shops}): Zipf items in clusters, log-normal histories, "
        "sessions, two faulty rows in a thousand, the log in the order of time.",
        "Seconds are those of the processor, all threads and without the start of Python: other work on the machine "
        "disturbs them least. Memory is the most that was resident at one moment, of the step's process with its "
        "children, libraries and mapped files included.",
        "The towers are 32 wide with histories of 20, one block, 16 factors of co-occurrence, batches of 4,096 "
        "positions and the sampled softmax; the encoder is a BERT of one layer, 32 wide, with random weights. "
        "The evaluation ranks the targets of validation and test among all items, with popularity as the one baseline: "
        "all users of the smallest shop, 20,000 drawn ones of the others (`evaluation.ranked_scores`).",
        "Exponents are fitted to the sizes measured, time and memory as logarithms over interactions as logarithms; "
        "the catalogue grows along. The figures `growth_exponent_time` and `growth_exponent_memory` are the largest of "
        "any step.",
    ]
    if any(found.measured_share < 1 for size in sizes.values() for found in size.steps.values()):
        notes.append(
            f"An epoch that would take more than {EPOCH_SECONDS / 60:.0f} minutes of the processor is stopped after "
            f"{PART_SECONDS / 60:.0f} of them, with the whole of the data in use; its time is extrapolated from the "
            "rate of its steps. What comes after then reads towers as they are before training, which cost the same."
        )
    missing = [f"{size} M" for size in SHOPS if size not in sizes or len(sizes[size].steps) < len(STEPS)]
    if missing:
        notes.append(f"Not measured yet, in whole or in part: {', '.join(missing)}.")
    return tuple(notes)
