"""``quality.md`` for people and ``quality.json`` for machines, made of the results that are there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.harness.provenance import describe_machine, list_versions, read_commit, shorten_commit
from benchmarks.quality import tables
from benchmarks.quality import tables as charts
from benchmarks.quality.bars import Measured, collect_figures, list_bars, read_measured, softmax_pair
from benchmarks.quality.cold_part import format_cold_part
from benchmarks.quality.jobs import SETS, Job
from benchmarks.quality.results import Results
from benchmarks.quality.rows import Estimated, Row, estimate_rows
from learn.evaluation import Masking
from learn.report import render_svg
from learn.storage import atomic_files

_PAGE, _FIGURES = "quality.md", "quality.json"
_COMMAND = "make bench-quality"

PUBLISHED: dict[str, dict[str, tuple[float, float]]] = {
    "scientific": {
        "MISSRec, text and image (MM'23)": (0.1278, 0.0658),
        "MISSRec, with IDs (MM'23)": (0.1360, 0.0753),
    },
    "games": {
        "SASRec (in LC-Rec, ICDE'24)": (0.0940, 0.0481),
        "FDSA (in LC-Rec, ICDE'24)": (0.1041, 0.0531),
        "S3-Rec (in LC-Rec, ICDE'24)": (0.1002, 0.0491),
        "TIGER (in LC-Rec, ICDE'24)": (0.0939, 0.0501),
        "LC-Rec (ICDE'24)": (0.1174, 0.0681),
    },
}
"""Recall@10 and NDCG@10 published on the same split, nothing masked."""

_ABOUT = {
    "scientific": "Amazon 2018, Industrial and Scientific, in UniSRec's split: the last item of a user is test.",
    "games": "Amazon 2018, Video Games, in LC-Rec's split: the last item of a user is test. Titles are all its text.",
}
_SLICES = {
    "head_items": "head items",
    "tail_items": "tail items",
    "cold_items": "cold items",
    "short_histories": "short histories",
}


def write_page(
    planned: Sequence[Job], *, digests: Mapping[str, str], results: Results, folder: Path, tried: Sequence[str] = ()
) -> Path:
    """Write the page, its pictures and its figures.

    Args:
        planned: Every job of the benchmark; one without a result is named as not measured.
        digests: Hash of each case's files; a case without one counts as not measured.
        results: Where the results are.
        folder: Where to write.
        tried: Settings that were put into every job, for a page that says it is a try.

    Returns:
        The page.

    Raises:
        DataError: A result is damaged.
        StorageError: The disk is full or not writable.
    """
    measured = read_measured(planned, digests=digests, results=results)
    keys = {job.name: job.compute_key(digests[job.case]) for job in planned if job.case in digests}
    records = [results.read(key) for key in dict.fromkeys(keys.values()) if results.has(key)]
    missing = [job.name for job in planned if job.name not in keys or not results.has(keys[job.name])]
    cases = [_Case.of(name, measured.rows[name]) for name in SETS if measured.rows[name]]
    drawn = {name: figure for case in cases for name, figure in case.draw_pictures().items()}
    parts = [_format_head(records, tried), _format_bars(measured)]
    parts += [part for case in cases for part in _set_part(case, drawn)]
    parts += [
        *_format_by_date(measured),
        *_softmax_part(measured),
        *format_cold_part(measured),
        *_format_speed(measured),
    ]
    parts += _format_work(records, missing)
    with atomic_files(folder, names=(*drawn, _FIGURES, _PAGE)) as stage:
        for name, figure in drawn.items():
            (stage / name).write_text(render_svg(figure), encoding="utf-8")
        (stage / _FIGURES).write_text(_format_figures(measured, records), encoding="utf-8")
        (stage / _PAGE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    results.keep({key for key in keys.values() if results.has(key)})
    return folder / _PAGE


def _format_figures(measured: Measured, records: Sequence[dict[str, Any]]) -> str:
    machines = _list_distinct(records, "machine") or [describe_machine()]
    found = {
        "figures": {name: round(figure, 6) for name, figure in collect_figures(measured).items()},
        "machine": machines[0] if len(machines) == 1 else machines,
        "versions": _read_versions(records),
        "commit": ", ".join(_list_commits(records)),
        "seeds": _list_seeds(records),
    }
    return json.dumps(found, indent=1) + "\n"


def _list_seeds(records: Sequence[dict[str, Any]]) -> list[int]:
    return sorted({record["job"]["seed"] for record in records if record["job"]["kind"] != "baselines"})


def _list_distinct(records: Sequence[dict[str, Any]], name: str) -> list[Any]:
    found: list[Any] = []
    for record in records:
        if record[name] not in found:
            found.append(record[name])
    return found


def _list_commits(records: Sequence[dict[str, Any]]) -> list[str]:
    return _list_distinct(records, "commit") or [read_commit()]


def _read_versions(records: Sequence[dict[str, Any]]) -> dict[str, str]:
    # The key of a result holds the versions: what is read here has those of now.
    return records[0]["inputs"]["versions"] if records else list_versions()


def _describe_machine(found: Mapping[str, Any]) -> str:
    threads = f", {_describe_threads(found['threads'])}" if "threads" in found else ""
    arithmetic = {True: " with bfloat16", False: " without bfloat16", None: ""}[found.get("bfloat16")]
    about = f"{found['processor']}{arithmetic}, {found['cores']} cores, {found['memory_gb']} GB"
    return f"{about}, {found['system']}{threads}"


def _describe_threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _format_head(records: Sequence[dict[str, Any]], tried: Sequence[str]) -> str:
    machines = "; ".join(_describe_machine(each) for each in _list_distinct(records, "machine") or [describe_machine()])
    said = [
        "# Quality on public data",
        "The towers beside everything they should beat, on public data, by one evaluation code "
        "([what the figures are](../evaluation.md)). Epochs are chosen on validation, test is read once. "
        "Figures in brackets are 95 % intervals over the users; a row of several seeds is their mean, "
        "its ± the standard deviation over them. Rows that lose are kept.",
        "A figure with the user's history masked and one without are two measurements: "
        "they stand in tables of their own and are never to be compared.",
        f"- machine: {machines}\n"
        f"- versions: {', '.join(f'{name} {version}' for name, version in _read_versions(records).items())}\n"
        f"- commit: {', '.join(shorten_commit(each) for each in _list_commits(records))}\n"
        f"- seeds: {', '.join(str(seed) for seed in _list_seeds(records)) or 'none yet'}\n"
        f"- to repeat: `{_COMMAND}`; it goes on where it was stopped, and takes the [results that are there]"
        "(quality-results), each test user's ranks among them; `--again NAME` does a job anew",
    ]
    if tried:
        said.insert(1, f"**A try with {', '.join(f'`{each}`' for each in tried)}: no figure on this page counts.**")
    return "\n\n".join(said)


def _format_bars(measured: Measured) -> str:
    parts = list_bars(measured)
    verdicts = [bar.met for found in parts.values() for bar in found]
    said = (
        f"{verdicts.count(True)} met, {verdicts.count(False)} missed, {verdicts.count(None)} open. "
        "Met and missed are computed from the figures."
    )
    return "\n\n".join(
        ["## The bars", said, *(f"### {title}\n\n{tables.format_bar_table(found)}" for title, found in parts.items())]
    )


@dataclass(frozen=True)
class _Case:
    """A data set's rows under either protocol, and in the slices, with their figures."""

    name: str
    rows: list[Row]
    masked: Estimated
    unmasked: Estimated
    slices: dict[str, Estimated]

    @classmethod
    def of(cls, name: str, rows: list[Row]) -> _Case:
        masked = _select_masked(rows)
        filled = [each for each in _SLICES if masked and masked[0].select_examples(each).any()]
        return cls(
            name,
            rows,
            estimate_rows(masked, "masked", tables.COLUMNS),
            estimate_rows(_select_unmasked(rows), "unmasked", tables.COLUMNS),
            {each: estimate_rows(masked, "masked", ["recall@10"], slice_name=each) for each in filled},
        )

    def draw_pictures(self) -> dict[str, Figure]:
        """Return the pictures by the name of their file."""
        drawn = {}
        if self.masked:
            drawn[f"quality-{self.name}-masked.svg"] = charts.draw_models(self.masked, "masked", published={})
        if self.unmasked:
            name = f"quality-{self.name}-unmasked.svg"
            drawn[name] = charts.draw_models(self.unmasked, "unmasked", published=PUBLISHED[self.name])
        if self.slices and any(row.model == tables.OWN for row, _ in self.masked):
            drawn[f"quality-{self.name}-slices.svg"] = charts.draw_case_slices(
                self.masked, self.slices, masking="masked"
            )
        return drawn


def _set_part(case: _Case, drawn: Mapping[str, Figure]) -> list[str]:
    parts = [f"## `{case.name}`", f"{_ABOUT[case.name]} {case.rows[0].examples:,} test users; all items are ranked."]
    parts += _format_masked_part(case, drawn) if case.masked else []
    if case.unmasked:
        parts += [
            "### Nothing masked, the published protocol",
            "Nothing is masked, in training or in ranking, and the epoch is chosen on validation without masking. "
            "What the user has taken is known to the towers' own score, by a channel whose one weight is learned in "
            "training and then chosen on validation ([repeats](../towers.md#channels)). "
            "The blend's weights are those chosen with the history masked. Published rows are their authors' figures.",
            tables.format_model_table(case.unmasked, "unmasked", published=PUBLISHED[case.name]),
            _compare_with_blend(case.unmasked, "unmasked"),
            _format_value(drawn, f"quality-{case.name}-unmasked.svg", f"{case.name}, nothing masked, by model"),
        ]
    closed = [row for row in case.rows if row.closed_form]
    if case.name == "scientific" and closed:
        said = (
            "Measured before, by other code, on the same split. Transitions count both directions here, those did not."
        )
        parts += ["### Closed forms beside their known values", said, tables.format_known_table(closed)]
    return [part for part in parts if part]


def _format_masked_part(case: _Case, drawn: Mapping[str, Figure]) -> list[str]:
    closed = [row for row in case.rows if row.closed_form]
    parts = [
        "### History masked",
        tables.format_model_table(case.masked, "masked", published={}),
        _compare_with_blend(case.masked, "masked"),
        _format_blend_line(closed) if closed else "",
        _format_value(drawn, f"quality-{case.name}-masked.svg", f"{case.name}, history masked, by model"),
    ]
    if case.slices:
        parts += ["### Slices, history masked", tables.format_slice_table(case.slices, _SLICES)]
        parts.append(_format_value(drawn, f"quality-{case.name}-slices.svg", f"{case.name}, Recall@10 by slice"))
    return parts


def _select_masked(rows: Sequence[Row]) -> list[Row]:
    # The paper's configuration masks nothing, and is trained once for both tables.
    return [row for row in rows if row.protocol == "masked" or row.model == "paper"]


def _select_unmasked(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.protocol == "unmasked" or row.closed_form]


def _compare_with_blend(estimated: Estimated, masking: Masking) -> str:
    named = {row.model: row for row, _ in estimated}
    if "towers" not in named or "blend" not in named:
        return ""
    return tables.format_difference_lines(named["towers"], named["blend"], masking)


def _format_blend_line(closed: Sequence[Row]) -> str:
    record = closed[0].records[0]
    mixed = ", ".join(f"{name} {weight:.2f}" for name, weight in record["blend_weights"].items())
    left_out = "".join(f" Left out: {name} ({reason})." for name, reason in record["left_out"].items())
    return f"Weights of the blend, chosen on validation: {mixed}.{left_out}"


def _format_by_date(measured: Measured) -> list[str]:
    rows = measured.rows["online_retail"]
    if not rows:
        return []
    repeats = int(rows[0].select_examples("repeats").sum())
    parts = [
        "## `online_retail`",
        f"UCI Online Retail, split by date, with short and dirty descriptions. {rows[0].examples:,} test users; all "
        f"items are ranked. {repeats:,} of the targets are what the user had bought before, which the masked ranking "
        "cannot reach: a shop like this takes `configs/unmasked.toml`.",
    ]
    by_protocol: tuple[tuple[str, Masking, list[Row]], ...] = (
        ("History masked", "masked", _select_masked(rows)),
        ("Nothing masked", "unmasked", _select_unmasked(rows)),
    )
    for title, masking, chosen in by_protocol:
        estimated = estimate_rows(chosen, masking, tables.COLUMNS)
        table = tables.format_model_table(estimated, masking, published={})
        parts += [f"### {title}", table, _compare_with_blend(estimated, masking)]
    return [part for part in parts if part]


def _softmax_part(measured: Measured) -> list[str]:
    pair = softmax_pair(measured)
    if pair is None:
        return []
    sampled, full = pair
    lines = [
        [
            row.records[0]["training"]["loss"].replace("_", " "),
            tables.format_figure(found["recall@10"]),
            tables.format_figure(found["ndcg@10"]),
            f"{row.records[0]['seconds']['fit']:,.0f} s",
            f"{row.records[0]['training_peak_memory_bytes'] / 1e9:.2f} GB",
        ]
        for row, found in estimate_rows(pair, "masked", ["recall@10", "ndcg@10"])
    ]
    heads = ["`games`, test, history masked", "Recall@10", "NDCG@10", "training", "peak memory"]
    said = f"Seed {sampled.seeds[0]} of both."
    if len(_list_distinct([row.records[0] for row in pair], "machine")) > 1:
        said += " Each was trained on another machine, so time and memory are not to be compared."
    return [
        "## Sampled softmax",
        f"{said} {tables.format_difference_lines(sampled, full, 'masked')}",
        tables.format_markdown(heads, lines),
    ]


def _format_speed(measured: Measured) -> list[str]:
    found = measured.speed
    if found is None:
        return []
    sides = {"LEARN's towers": found["ours"], "RecBole's SASRec": found["recbole"]}
    reached = {"LEARN's towers": found["ours_reached"], "RecBole's SASRec": found["recbole_reached"]}
    lines = [
        [
            name,
            f"{reached[name]['elapsed_seconds']:,.0f} s, epoch {reached[name]['epoch']}" if reached[name] else "never",
            f"{side['test_users'] / side['test_seconds']:,.0f}",
            f"{side['peak_memory_bytes'] / 1e9:.2f} GB",
            f"{side['test']['unmasked']['ndcg@10']:.4f}",
        ]
        for name, side in sides.items()
    ]
    heads = ["", "time to the target", "users ranked per second", "peak memory", "test NDCG@10, unmasked"]
    encoding = found["content_encoding_seconds"]
    once = (
        f" The frozen LLM reads the catalogue once for all trainings, in {encoding:,.0f} s, which is no part of these."
        if encoding
        else ""
    )
    return [
        "## Speed beside RecBole",
        f"`{found['data_set']}`, the same machine, {_describe_threads(found['threads'])} each, one after the other. "
        f"The target is RecBole's own best NDCG@10 on validation, nothing masked: {found['target_ndcg']:.4f}.{once}",
        tables.format_markdown(heads, lines),
    ]


def _format_work(records: Sequence[dict[str, Any]], missing: Sequence[str]) -> list[str]:
    parts = ["## Every job"]
    if records:
        said = "Each ran in its own process. `fit` holds validation after every epoch, and no encoding of texts."
        parts += [said, tables.format_work_table(records)]
    if missing:
        parts.append(f"Not measured: {', '.join(f'`{name}`' for name in missing)}.")
    return parts


def _format_value(drawn: Mapping[str, Figure], name: str, text: str) -> str:
    return f"![{text}]({name})" if name in drawn else ""
