"""The pictures of the page, drawn by the same code as those of a run's report.

The tables of the page, as Markdown. One table holds one protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.harness.provenance import shorten_commit
from benchmarks.quality.bars import KNOWN, Bar, has_known_value
from benchmarks.quality.rows import Estimate, Estimated, Row, compare_rows, spell_out
from learn.evaluation import Masking
from learn.report import draw_metrics, draw_slices

_METRICS = ("recall@10", "ndcg@10")


def draw_models(estimated: Estimated, masking: Masking, *, published: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw Recall@10 and NDCG@10 of every row with its interval.

    Args:
        estimated: The rows of one case.
        masking: The protocol of the figures.
        published: Name -> published Recall@10 and NDCG@10 of the same protocol, which have no interval.
    """
    figures = {row.label: _collect_figures(found, masking) for row, found in estimated}
    intervals = {row.label: _collect_intervals(found, masking) for row, found in estimated}
    for name, values in published.items():
        drawn = dict(zip(_METRICS, values, strict=True))
        label = f"{name.partition(' (')[0]}, published"  # the source is in the table
        figures[label] = {masking: drawn}
        intervals[label] = {masking: {metric: (value, value) for metric, value in drawn.items()}}
    return draw_metrics({"test": figures, "intervals": {"test": intervals}}, masking=masking)


def draw_case_slices(whole: Estimated, slices: Mapping[str, Estimated], *, masking: Masking) -> Figure:
    """Draw Recall@10 of the towers, the best others and popularity in each slice.

    Args:
        whole: The rows over all examples, by which the best are found.
        slices: Slice -> the rows over its examples; none of them is empty.
        masking: The protocol of the figures.
    """
    drawn = {
        spell_out(name): {
            "count": int(estimated[0][0].select_examples(name).sum()),
            "metrics": {row.label: _collect_figures(found, masking) for row, found in _select_others(estimated)},
            "intervals": {row.label: _collect_intervals(found, masking) for row, found in _select_others(estimated)},
        }
        for name, estimated in slices.items()
    }
    figures = {row.label: _collect_figures(found, masking) for row, found in _select_others(whole)}
    return draw_slices({"test": figures, "slices": {"test": drawn}}, masking=masking)


def _select_others(estimated: Estimated) -> Estimated:
    # The towers with another loss are no baseline.
    return [(row, found) for row, found in estimated if not row.model.startswith("towers_")]


def _collect_figures(found: Mapping[str, Estimate], masking: Masking) -> dict[str, dict[str, float]]:
    return {masking: {metric: estimate.mean for metric, estimate in found.items()}}


def _collect_intervals(found: Mapping[str, Estimate], masking: Masking) -> dict[str, dict[str, tuple[float, float]]]:
    return {masking: {name: (estimate.interval.low, estimate.interval.high) for name, estimate in found.items()}}


COLUMNS = ("recall@10", "ndcg@10", "recall@50", "mrr")
"""Figures of the tables of models."""

_HEADS = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10", "recall@50": "Recall@50", "mrr": "MRR"}
OWN = "towers"


def format_markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table; bars within a cell are escaped."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def format_bar_table(bars: Sequence[Bar]) -> str:
    """Return every bar with what was measured."""
    lines = [[bar.what, bar.wanted, bar.found or "–", _write_verdict(bar)] for bar in bars]
    return format_markdown(["bar", "wanted", "measured", ""], lines)


def _write_verdict(bar: Bar) -> str:
    if bar.met is None:
        return "too few seeds" if bar.found else "not measured"
    return "met" if bar.met else "**missed**"


def format_model_table(estimated: Estimated, masking: Masking, *, published: Mapping[str, tuple[float, float]]) -> str:
    """Return every row of a case under one protocol, the best NDCG@10 first, the published figures among them.

    Args:
        estimated: The rows of one case, with the figures of :data:`COLUMNS`.
        masking: The protocol of the figures.
        published: Name -> published Recall@10 and NDCG@10 of this protocol.
    """
    lines: list[tuple[float, list[str]]] = []
    for row, found in estimated:
        cells = [format_figure(found["recall@10"]), format_figure(found["ndcg@10"])]
        plain = (found["recall@50"].mean, found["mrr"].mean, row.read_validation(masking, "ndcg@10"))
        cells += [f"{each:.4f}" for each in plain]
        lines.append((found["ndcg@10"].mean, [_label(row, masking), *cells, _format_seeds(row, found)]))
    for name, (recall, ndcg) in published.items():
        lines.append((ndcg, [name, f"{recall:.4f}", f"{ndcg:.4f}", "", "", "", "published, unmasked"]))
    heads = [f"test, history {masking}", *(_HEADS[metric] for metric in COLUMNS), "validation NDCG@10", "seeds"]
    return format_markdown(heads, [line for _, line in sorted(lines, key=lambda each: -each[0])])


def format_difference_lines(row: Row, other: Row, masking: Masking) -> str:
    """Return the paired differences of two rows as a sentence."""
    said = []
    for metric in ("recall@10", "ndcg@10"):
        gap = compare_rows(row, other, masking, metric)
        said.append(f"{_HEADS[metric]} {gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], p = {gap.p_value:.3f}")
    return f"{row.label} less {other.label}, history {masking}, paired over {row.examples:,} users: {'; '.join(said)}."


def format_known_table(rows: Sequence[Row]) -> str:
    """Return the closed forms next to their known values; each line is of one protocol, which it names."""
    lines = []
    for model, (masking, recall, ndcg) in KNOWN.items():
        row = next((each for each in rows if each.model == model), None)
        if row is None:
            lines.append([model, masking, f"{recall:.3f} / {ndcg:.3f}", "–", "not measured"])
            continue
        measured = " / ".join(f"{row.compute_mean(masking, metric):.4f}" for metric in ("recall@10", "ndcg@10"))
        verdict = "reached" if has_known_value(row) else "**below**"
        lines.append([row.label, masking, f"{recall:.3f} / {ndcg:.3f}", measured, verdict])
    return _format_by_protocol(lines)


def _format_by_protocol(lines: Sequence[Sequence[str]]) -> str:
    tables = []
    for masking in dict.fromkeys(line[1] for line in lines):
        heads = [f"Recall@10 / NDCG@10, history {masking}", "known", "measured", ""]
        tables.append(format_markdown(heads, [[line[0], *line[2:]] for line in lines if line[1] == masking]))
    return "\n\n".join(tables)


def format_slice_table(slices: Mapping[str, Estimated], names: Mapping[str, str]) -> str:
    """Return Recall@10 of each row in each slice, history masked.

    Args:
        slices: Slice -> the rows over its examples, in one order.
        names: Slice -> its name for people.
    """
    heads = ["Recall@10, history masked"]
    heads += [f"{names[name]} ({rows[0][0].select_examples(name).sum():,} users)" for name, rows in slices.items()]
    rows = [row for row, _ in next(iter(slices.values()))]
    lines = [
        [_label(row, "masked"), *(format_figure(estimated[place][1]["recall@10"]) for estimated in slices.values())]
        for place, row in enumerate(rows)
    ]
    return format_markdown(heads, lines)


def format_cold_table(rows: Estimated, among: Estimated) -> str:
    """Return Recall@10 of unseen targets in the whole catalogue, and in the ranking among only the unseen items.

    Args:
        rows: The rows with their Recall@10 among all items.
        among: The same rows with their Recall@10 among the unseen.
    """
    second = {row.model: format_figure(found["recall@10"]) for row, found in among}
    heads = ["Recall@10 of unseen targets, history masked", "among all items", "among the unseen items alone"]
    lines = [
        [_label(row, "masked"), format_figure(found["recall@10"]), second.get(row.model, "–")] for row, found in rows
    ]
    return format_markdown(heads, lines)


def format_work_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return what every job cost."""
    heads = ["job", "epochs", "fit", "evaluation", "peak memory", "parameters", "commit"]
    return format_markdown(heads, [_format_work(record) for record in records])


def format_figure(estimate: Estimate) -> str:
    """Return a figure with its interval."""
    return f"{estimate.mean:.4f} [{estimate.interval.low:.4f}, {estimate.interval.high:.4f}]"


def _format_work(record: Mapping[str, Any]) -> list[str]:
    training, seconds = record.get("training"), record["seconds"]
    return [
        f"`{record['name']}`",
        f"{training['chosen_epoch']} of {training['curve'][-1]['epoch']}" if training else "",
        f"{seconds['fit']:,.0f} s" if "fit" in seconds else "",
        f"{seconds['evaluate']:,.0f} s" if "evaluate" in seconds else "",
        f"{record['peak_memory_bytes'] / 1e9:.2f} GB",
        f"{training['parameters']:,}" if training else "",
        shorten_commit(record["commit"]),
    ]


def _label(row: Row, masking: Masking) -> str:
    if row.model == OWN:
        return f"**{row.label}**"
    if row.protocol != masking and not row.closed_form:
        return f"{row.label}; trained and chosen with the history {row.protocol}"
    return row.label


def _format_seeds(row: Row, found: Mapping[str, Estimate]) -> str:
    if row.closed_form:
        return "closed form"
    said = ", ".join(str(seed) for seed in row.seeds)
    spreads = [spread for metric in ("recall@10", "ndcg@10") if (spread := found[metric].spread) is not None]
    return f"{said}: ± {' / '.join(f'{spread:.4f}' for spread in spreads)}" if spreads else said
