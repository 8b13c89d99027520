"""What steps hand on where their machines share no disk: derived from the step, and enough from an empty folder."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.decorators import list_artifact_names, transfers_files
from learn.config import Settings

FLOW = Path(__file__).resolve().parents[2] / "flows" / "train_flow.py"


@dataclass(frozen=True)
class Table:
    folder: Path
    rows: int


class Chain:
    """Three steps that each read what the one before has made, on machines of their own."""

    def __init__(self, folder: Path, shelf: Path) -> None:
        self.settings = Settings.from_mapping({"places": {"run_files": str(shelf)}})
        self.reports = folder / "reports"
        self.scratch = folder / "scratch"
        self.handed: tuple[Any, ...] = ()

    @transfers_files()
    def make(self) -> None:
        (self.scratch / "table").mkdir(parents=True)
        (self.scratch / "table" / "rows").write_text("1 2 3")
        (self.scratch / "other").mkdir()
        (self.scratch / "other" / "large").write_text("not read by anybody")
        self.table, self.unread = Table(self.scratch / "table", 3), self.scratch / "other" / "large"

    @transfers_files()
    def add(self) -> None:
        def read() -> str:
            return (self.table.folder / "rows").read_text()

        self.total = self.scratch / "total"
        self.total.parent.mkdir(parents=True, exist_ok=True)
        self.total.write_text(str(sum(int(row) for row in read().split())))
        self.reports.mkdir(parents=True)
        (self.reports / "page.html").write_text("six")

    @transfers_files("reports")
    def show(self) -> None:
        self.seen = self.total.read_text(), (self.reports / "page.html").read_text()


def test_each_step_finds_what_it_reads_on_an_empty_machine(tmp_path: Path) -> None:
    folder = tmp_path / "machine"
    chain = Chain(folder, tmp_path / "shelf")
    for step in (chain.make, chain.add, chain.show):
        shutil.rmtree(folder, ignore_errors=True)
        step()
        assert chain.unread.exists() == (step == chain.make)
    assert chain.seen == ("6", "six")


def bodies() -> dict[str, ast.FunctionDef]:
    tree = ast.parse(FLOW.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {each.name: each for each in functions if any(ast.unparse(d) == "step" for d in each.decorator_list)}


def compiled(body: ast.FunctionDef) -> Callable[..., None]:
    module = ast.Module([ast.FunctionDef(body.name, body.args, body.body, [], None)], [])
    made: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(module), "step", "exec"), made)  # noqa: S102 - the flow's own step
    step: Callable[..., None] = made[body.name]
    return step


@pytest.mark.parametrize("name", sorted(bodies()))
def test_every_artifact_that_a_step_of_the_flow_reads_is_transferred(name: str) -> None:
    body = bodies()[name]
    assert any(ast.unparse(each).startswith("transfers_files(") for each in body.decorator_list)
    body.args.args = [ast.arg(each.arg) for each in body.args.args]
    read = {
        node.attr
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    assert read - {"reports", "scratch"} <= list_artifact_names(compiled(body))
