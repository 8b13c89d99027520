"""The page and the figures of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.harness.provenance import describe_machine, list_versions, read_commit
from benchmarks.serving.results import BadRequests, Latency, Million, Parity, Swaps, read_part
from learn.errors import explain_storage_faults

_NAME = "serving"


def write_page(results: Path, *, folder: Path) -> Path:
    """Write ``serving.md`` for people and ``serving.json`` for machines; return the page.

    Args:
        results: Folder of what the parts found; parts that are missing are said to be.
        folder: Where page and figures go.

    Raises:
        StorageError: The disk is full or not writable.
    """
    latency, swaps, parity = read_part(Latency, results), read_part(Swaps, results), read_part(Parity, results)
    bad, million = read_part(BadRequests, results), read_part(Million, results)
    named: dict[str, float] = {}
    parts = ["# Serving"]
    for figures, lines in (
        _format_latency(latency),
        _format_million(million),
        _format_swaps(swaps),
        _format_parity(parity),
        _format_bad_requests(bad),
    ):
        named |= figures
        parts += lines
    about = describe_machine()
    parts.append(f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB; commit {read_commit()}.")
    found = [each for each in (latency, million, swaps, parity, bad) if each is not None]
    record = {
        "figures": named,
        "machine": about | {"threads": 1},
        "versions": list_versions(),
        "commit": read_commit(),
        "seeds": [0],
        "parts": {type(each).__name__.lower(): each.model_dump() for each in found},
    }
    page = folder / f"{_NAME}.md"
    with explain_storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        page.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def _format_latency(found: Latency | None) -> tuple[dict[str, float], list[str]]:
    if found is None:
        return {}, ["Latency: not measured."]
    service, single, bare = (found.find_row(name, 8) for name in ("service", "bare, one by one", "bare"))
    figures = {
        "p99_ratio_8": service.p99_milliseconds / bare.p99_milliseconds,
        "throughput_ratio_8": service.requests_per_second / bare.requests_per_second,
        "p99_milliseconds_8": service.p99_milliseconds,
        "p99_ratio_8_one_by_one": service.p99_milliseconds / single.p99_milliseconds,
        "throughput_ratio_8_one_by_one": service.requests_per_second / single.requests_per_second,
    }
    table = _format_table(
        "server | connections | lists or requests a second | p50 ms | p95 ms | p99 ms | failed",
        [
            f"{row.server} | {row.connections} | {row.requests_per_second:,.0f} | {row.p50_milliseconds:.2f} "
            f"| {row.p95_milliseconds:.2f} | {row.p99_milliseconds:.2f} | {row.failed}"
            for row in found.rows
        ],
    )
    alone = found.milliseconds_per_list[1]
    batched = ", ".join(
        f"{cost:.2f} in batches of {size}" for size, cost in sorted(found.milliseconds_per_list.items()) if size > 1
    )
    return figures, [
        "## Latency",
        f"{found.items:,} items, histories of 20, {found.seconds:g} s of load a row from wrk in its own process, "
        "all on this machine. *Bare* is the same computation behind uvicorn and starlette alone; *one by one* does not "
        "make lists together that are asked for at one moment; *nothing to do* answers without a list (of the service, "
        "the route `feedback` without a log), so the rest is the framework's.",
        table,
        f"At 8 connections: p99 {figures['p99_ratio_8']:.2f} times the bare server's "
        f"({_write_verdict(figures['p99_ratio_8'] <= 2)}: at most 2), throughput "
        f"{figures['throughput_ratio_8']:.2f} of its "
        f"({_write_verdict(figures['throughput_ratio_8'] >= 0.6)}: at least 0.6). "
        "Against a bare server that answers one "
        f"by one: p99 {figures['p99_ratio_8_one_by_one']:.2f} times, throughput "
        f"{figures['throughput_ratio_8_one_by_one']:.2f} times.",
        f"**Batching**: a list costs {alone:.2f} ms of the model's time by itself, {batched}. So the service makes the "
        "lists together that are asked for at one moment. It waits for nobody: where nobody else asks, a list is made "
        "at once, and nobody's list depends on who else asks.",
    ]


def _format_million(found: Million | None) -> tuple[dict[str, float], list[str]]:
    if found is None:
        return {}, ["Large catalogue: not measured."]
    figures = {
        "ann_recall10_million": found.ann_recall10,
        "exact_p50_milliseconds_million": found.exact_p50_milliseconds,
    }
    lines = [
        f"exact | {found.exact_p50_milliseconds:.2f} | {found.exact_p95_milliseconds:.2f} | 1 "
        f"| {found.vectors_bytes / 2**20:,.0f} | –",
        f"HNSW | {found.ann_p50_milliseconds:.2f} | {found.ann_p95_milliseconds:.2f} | {found.ann_recall10:.4f} "
        f"| {(found.vectors_bytes + found.index_bytes) / 2**20:,.0f} | {found.load_seconds:.2f}",
    ]
    return figures, [
        f"## {found.items:,} items x {found.dimension}",
        "Vectors in clusters, in process, one thread asking for the 10 best.",
        _format_table("search | p50 ms | p95 ms | recall of the best 10 | memory MB | s to load the index", lines),
        f"Building the index took {found.build_seconds:,.0f} s, once, when the bundle was made.",
    ]


def _format_swaps(found: Swaps | None) -> tuple[dict[str, float], list[str]]:
    if found is None:
        return {}, ["Swaps under load: not measured."]
    later = found.memory_bytes[1:]
    half = max(1, len(later) // 2)
    growth = median(later[half:] or later) / median(later[:half])
    return {"swap_failed_requests": found.failed, "swap_memory_growth": growth}, [
        "## Swaps under load",
        f"{found.minutes:g} minutes of load at 8 connections, the model swapped {found.swaps} times: {found.failed} of "
        f"{found.requests:,} requests failed. An answer came from the new model at most "
        f"{found.slowest_swap_seconds:.1f} s after its promotion; p99 {found.p99_milliseconds:.0f} ms. Memory before "
        f"each swap: from {min(later) / 2**20:,.0f} to {max(later) / 2**20:,.0f} MB; the later half's median is "
        f"{growth:.3f} of the earlier one's.",
    ]


def _format_parity(found: Parity | None) -> tuple[dict[str, float], list[str]]:
    if found is None:
        return {}, ["Parity: not measured."]
    return {"parity_users_different": found.different}, [
        "## Served and offline",
        f"Of {found.users:,} users, the served 10 best are those of the offline ranking for {found.identical:,}, and "
        f"for {found.tied} but for equal scores; {found.different} differ.",
    ]


def _format_bad_requests(found: BadRequests | None) -> tuple[dict[str, float], list[str]]:
    if found is None:
        return {}, ["Bad requests: not measured."]
    return {"bad_requests": found.answered_4xx, "bad_requests_5xx": found.answered_5xx}, [
        "## Bad requests",
        f"{found.sent:,} bodies generated from the OpenAPI page, right and wrong: {found.answered_4xx:,} were refused "
        f"with a 4xx, {found.answered_5xx} answered with a 5xx.",
    ]


def _write_verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _format_table(heads: str, lines: Sequence[str]) -> str:
    rule = " | ".join("---" for _ in heads.split(" | "))
    return "\n".join(f"| {line} |" for line in (heads, rule, *lines))
