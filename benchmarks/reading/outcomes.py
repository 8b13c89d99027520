"""Run the cases in the tree of a commit, and hold each outcome against what must come out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from benchmarks.harness.cli import BenchmarkError
from benchmarks.harness.provenance import ROOT
from benchmarks.house.sources import extract_tree
from benchmarks.reading.cases import CASES, Case

Verdict = Literal["right", "refused", "wrong"]
VERDICTS: tuple[Verdict, ...] = ("right", "refused", "wrong")


@dataclass(frozen=True)
class Outcome:
    """What came out of a case.

    Attributes:
        case: Its name.
        kind: Its kind.
        about: What the input is.
        verdict: ``right``: read, every value as it must be; ``refused``: refused where it may be, with a message that
            names the fault; ``wrong``: anything else.
        said: What was wrong; empty otherwise.
    """

    case: str
    kind: str
    about: str
    verdict: Verdict
    said: str = ""


def measure_cases(workspace: Path, *, before: str) -> None:
    """Run the cases now and before, and keep the outcomes for the page.

    Raises:
        BenchmarkError: There is no such commit, or a worker failed.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    for name, revision in (("before", before), ("now", None)):
        print(f"Cases, {name}", flush=True)
        with tempfile.TemporaryDirectory() as tree:
            extract_tree(ROOT, revision, Path(tree))
            outcomes = run_cases(Path(tree))
        print(f"  {count_verdicts(outcomes)}", flush=True)
        (workspace / f"cases-{name}.json").write_bytes(TypeAdapter(list[Outcome]).dump_json(outcomes, indent=1))


def read_outcomes(workspace: Path, name: str) -> list[Outcome]:
    """Return the outcomes that were kept; none if the part was never measured."""
    path = workspace / f"cases-{name}.json"
    return TypeAdapter(list[Outcome]).validate_json(path.read_bytes()) if path.exists() else []


def count_verdicts(outcomes: list[Outcome]) -> dict[str, int]:
    """Return how many outcomes have each verdict."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def run_cases(tree: Path, cases: Mapping[str, Case] = CASES) -> list[Outcome]:
    """Write the cases, check them in one process of a tree's code, and judge what came out.

    Args:
        tree: Root of the code that is measured.
        cases: The cases by name.
    """
    with tempfile.TemporaryDirectory(prefix="cases-") as folder:
        for name, case in cases.items():
            case.write(Path(folder) / name)
        found = run_worker(tree, "cases", folder)
    return [judge(name, case, found[name]) for name, case in cases.items()]


def run_worker(tree: Path, *words: str) -> Any:
    """Run the worker in another tree's code and return what it printed last.

    Raises:
        BenchmarkError: It failed.
    """
    worker = Path(__file__).with_name("worker.py")
    environment = os.environ | {"PYTHONPATH": str(tree), "METAFLOW_USER": "learn"}
    done = subprocess.run(
        [sys.executable, str(worker), *words], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError("The worker failed.", where=tree, fix=done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def judge(name: str, case: Case, found: Mapping[str, Any]) -> Outcome:
    """Hold an outcome against what must come out."""

    def decide(verdict: Verdict, said: str = "") -> Outcome:
        return Outcome(name, case.kind, case.about, verdict, said)

    if "traceback" in found:
        return decide("wrong", f"traceback: {found['traceback'][:200]}")
    if "refusal" in found:
        said = found["refusal"]
        if not case.words:
            return decide("wrong", f"refused: {said[:200]}")
        is_clear = any(word.lower() in said.lower() for word in case.words)
        return decide("refused") if is_clear else decide("wrong", f"refused without naming the fault: {said[:200]}")
    if case.expected is None:
        return decide("wrong", "read, should be refused")
    answer = found["answer"]
    faults = [
        f"{path} is {value!r}, should be {wanted!r}"
        for path, wanted in case.expected.items()
        if (value := _look_up(answer, path)) != wanted and not _is_same_day(value, wanted)
    ]
    for table in ("items", "interactions"):
        counts = answer[table]
        if counts["rows"] != counts["valid"] + counts["quarantined"] + counts["rejected"]:
            faults.append(f"the counts of {table} do not close")
    return decide("wrong", "; ".join(faults)) if faults else decide("right")


def _look_up(answer: Mapping[str, Any], path: str) -> object:
    value: Any = answer
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _is_same_day(value: object, wanted: object) -> bool:
    return isinstance(value, str) and isinstance(wanted, str) and len(wanted) == 10 and value.startswith(wanted)
