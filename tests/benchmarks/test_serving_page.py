from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.serving.load import Wrk
from benchmarks.serving.million import measure_million
from benchmarks.serving.page import write_page
from benchmarks.serving.results import BadRequests, Latency, LoadRow, Parity, Swaps, keep
from learn.errors import ServingError


def row(server: str, *, rate: float, p99: float) -> LoadRow:
    return LoadRow(
        server=server,
        connections=8,
        requests_per_second=rate,
        p50_milliseconds=p99 / 3,
        p95_milliseconds=p99 / 2,
        p99_milliseconds=p99,
        failed=0,
    )


def test_the_page_holds_what_was_measured_and_names_what_was_not(tmp_path: Path) -> None:
    rows = [
        row("service", rate=300, p99=30),
        row("bare", rate=600, p99=10),
        row("bare, one by one", rate=200, p99=60),
    ]
    keep(Latency(items=17_000, seconds=1, rows=rows, milliseconds_per_list={1: 2.0, 8: 1.5}), tmp_path)
    keep(Parity(users=1_000, identical=998, tied=2, different=0), tmp_path)
    keep(BadRequests(sent=9_000, answered_4xx=5_100, answered_5xx=0), tmp_path)
    memory = [900, 1_000, 1_000, 1_010, 1_010]
    keep(
        Swaps(
            minutes=1,
            swaps=5,
            requests=9_000,
            failed=0,
            slowest_swap_seconds=1.5,
            p99_milliseconds=40,
            memory_bytes=memory,
        ),
        tmp_path,
    )
    page = write_page(tmp_path, folder=tmp_path / "out").read_text()
    found = json.loads((tmp_path / "out" / "serving.json").read_text())
    assert found["figures"] == {
        "p99_ratio_8": 3,
        "throughput_ratio_8": 0.5,
        "p99_milliseconds_8": 30,
        "p99_ratio_8_one_by_one": 0.5,
        "throughput_ratio_8_one_by_one": 1.5,
        "swap_failed_requests": 0,
        "swap_memory_growth": 1.01,
        "parity_users_different": 0,
        "bad_requests": 5_100,
        "bad_requests_5xx": 0,
    }
    assert page.count("**missed**") == 2
    assert "Large catalogue: not measured." in page


def test_a_small_part_of_the_large_catalogue_is_measured() -> None:
    found = measure_million(items=5_000)
    assert found.ann_recall10 > 0.9
    assert found.exact_p50_milliseconds > 0


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServingError, match="wrk"):
        Wrk.at_hand(tmp_path)
