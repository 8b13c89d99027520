"""The benchmark of the reader: verdicts, and that no case is read wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.provenance import ROOT
from benchmarks.reading.cases import CASES, READ, Case
from benchmarks.reading.outcomes import judge, run_cases
from benchmarks.reading.page import write_page

# One of each kind, and those that were wrong the longest.
FEW = (
    "title-backslash",
    "open-mark-30",
    "utf-16",
    "item-zeros",
    "user-decimal",
    "clock-american",
    "json-large",
    "invoices",
)


def test_few_cases_come_out_right() -> None:
    outcomes = run_cases(ROOT, {name: CASES[name] for name in FEW})
    assert {outcome.case: outcome.said for outcome in outcomes if outcome.verdict != "right"} == {}


@pytest.mark.slow
def test_no_case_is_wrong() -> None:
    outcomes = run_cases(ROOT)
    assert {outcome.case: outcome.said for outcome in outcomes if outcome.verdict == "wrong"} == {}


def build_answer(**changes: Any) -> dict[str, Any]:
    counts = {"rows": 10, "valid": 10, "quarantined": 0, "rejected": 0}
    answer = {"items": counts, "interactions": {**counts, "rows": 48, "valid": 48}, "users": 12, "items_used": 10}
    return {
        **answer,
        "first": "2023-11-14T22:13:20+00:00",
        "last": "2023-11-16T21:00:00",
        "split": "by_date",
        **changes,
    }


@pytest.mark.parametrize(
    ("found", "expected", "words", "verdict"),
    [
        ({"answer": build_answer()}, READ, (), "right"),
        ({"answer": build_answer(users=11)}, READ, (), "wrong"),
        ({"answer": build_answer(first="2023-11-15")}, READ, (), "wrong"),
        ({"answer": build_answer(items={"rows": 10, "valid": 9, "quarantined": 0, "rejected": 0})}, {}, (), "wrong"),
        ({"answer": build_answer()}, None, ("cut",), "wrong"),
        ({"refusal": "The file is cut off."}, None, ("CUT",), "refused"),
        ({"refusal": "The file is cut off."}, None, ("quotation",), "wrong"),
        ({"refusal": "The file is cut off."}, READ, (), "wrong"),
        ({"traceback": "KeyError: 'x'"}, None, ("x",), "wrong"),
    ],
)
def test_an_outcome_is_judged(
    found: dict[str, Any], expected: dict[str, object] | None, words: tuple[str, ...], verdict: str
) -> None:
    outcome = judge("name", Case("kind", "about", {}, expected, words), found)
    assert outcome.verdict == verdict
    assert bool(outcome.said) == (verdict == "wrong")


def test_a_page_is_made_of_what_was_measured(tmp_path: Path) -> None:
    page = write_page(tmp_path / "docs", workspace=tmp_path / "nothing")
    assert "## Cases" in page.read_text(encoding="utf-8")
    assert '"cases_wrong": 0' in page.with_suffix(".json").read_text(encoding="utf-8")
