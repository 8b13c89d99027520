"""LEARN from Python, as somebody with a notebook uses it."""

from __future__ import annotations

import ast
import importlib
import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import learn

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = re.search(
    r"## From Python\n\n```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
)
KINDS = ("teapot", "saucepan", "ladle", "whisk", "grater", "colander")
COLOURS = ("red", "blue", "green", "white", "black", "copper")


def write_shop(folder: Path, *, first: str = "P9143", users: int = 90) -> None:
    """36 items of 6 kinds, and people who buy through the colours of one kind, a day each."""
    folder.mkdir()
    ids = [first, *(f"P{number}" for number in range(1, len(KINDS) * len(COLOURS)))]
    titles = [f"{colour} enamel {kind}" for kind in KINDS for colour in COLOURS]
    lines = [json.dumps({"item_id": key, "title": title}) for key, title in zip(ids, titles, strict=True)]
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rng = np.random.default_rng(0)
    rows = ["user_id,item_id,timestamp"]
    for user in range(users):
        kind, start = int(rng.integers(len(KINDS))), float(rng.integers(200))
        for step in range(5):
            item = ids[kind * len(COLOURS) + (user + step) % len(COLOURS)]
            rows.append(f"u{user},{item},{1_700_000_000 + 86_400 * (start + step + float(rng.random())):.0f}")
    (folder / "interactions.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Constant:
    """A model of one's own: every user gets the items in the catalogue's order."""

    name: str = "constant"

    def score(self, histories: learn.Histories, examples: learn.Examples, rows: slice) -> Tensor:
        count = len(range(*rows.indices(len(examples))))
        return -torch.arange(histories.item_count, dtype=torch.float32).expand(count, -1)


def test_the_example_of_the_readme_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert EXAMPLE is not None
    lines = [line for line in EXAMPLE[1].splitlines() if line]
    assert len(lines) == 5
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path / "data")
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(EXAMPLE[1], "README.md", "exec"), {})  # noqa: S102 - the README's own example
    figure, items = out.getvalue().splitlines()[-2:]
    assert 0 < float(figure) <= 1
    assert items.count("RecommendedItem") == 10
    assert "P9143" not in items


def test_a_model_of_ones_own_is_measured_beside_the_baselines(tmp_path: Path) -> None:
    write_shop(tmp_path / "data")
    settings = learn.Settings.from_mapping(
        {"workspace": str(tmp_path / "work"), "evaluation": {"baselines": ["popularity"], "bootstrap_samples": 100}}
    )
    said: list[str] = []
    shop = learn.prepare(tmp_path / "data", settings=settings, say=said.append)
    assert [line.split(":")[0] for line in said] == ["Split", "Content"]
    found = learn.evaluate(shop, [Constant()], parts=("test",))
    assert list(found.parts["test"].metrics) == ["constant", "popularity"]
    with pytest.raises(learn.LearnError, match="not trained yet"):
        learn.pack(shop, tmp_path / "bundle")


def test_every_public_name_is_there_and_nothing_is_loaded_before_it_is_used() -> None:
    stub = ast.parse((ROOT / "learn" / "__init__.pyi").read_text(encoding="utf-8"))
    named = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(learn.__all__) == named
    assert 15 <= len(named) <= 20
    for name in learn.__all__:
        assert getattr(learn, name) is not None
    code = "import sys, learn; dir(learn); print(sorted({'torch', 'polars', 'numpy', 'pydantic'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


FACES = sorted(path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in (ROOT / "learn").rglob("*.pyi"))


@pytest.mark.parametrize("room", FACES)
def test_a_face_names_what_exists_and_hides_no_module(room: str) -> None:
    face = importlib.import_module(room)
    folder = ROOT.joinpath(*room.split("."))
    stub = ast.parse((folder / "__init__.pyi").read_text(encoding="utf-8"))
    listed = next(node.value for node in stub.body if isinstance(node, ast.Assign))
    assert set(ast.literal_eval(listed)) == set(face.__all__)
    # A name that is a module, too, would be the one or the other, by what was imported first.
    modules = {path.stem for path in folder.iterdir()}
    assert not modules & set(face.__all__)
    for name in face.__all__:
        assert getattr(face, name) is not None
