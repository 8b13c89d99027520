"""Counts of a source tree: sizes of files, imports between rooms, names of functions, public names."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.provenance import ROOT
from benchmarks.house.sources import TOPS, Module, find_home, read_modules

SHORT = 60
"""Lines below which a file is counted as short: such a file rarely holds a whole concept."""
_CODE = ("learn", "flows", "benchmarks")


@dataclass(frozen=True)
class Sizes:
    """Sizes of some Python files: their number, their lines together and in the median, and the short ones."""

    files: int
    lines: int
    median_lines: float
    files_under_60: int


@dataclass(frozen=True)
class House:
    """What was counted.

    Attributes:
        figures: The counts by name.
        rooms: Sizes of each folder of ``learn``, and of the files outside of any (``files``).
    """

    figures: dict[str, float]
    rooms: dict[str, Sizes]


def count_house(root: Path) -> House:
    """Count the Python files of a tree.

    Imports are counted by statement, also inside functions and under ``TYPE_CHECKING``. A statement is between rooms if
    it reaches into a folder of ``learn`` from outside of it: from another folder, a file next to the folders, a flow or
    a benchmark. It is past the room's face if it names a module inside the folder.
    """
    modules = read_modules(root)
    figures: dict[str, float] = {}
    for top in TOPS:
        sizes = measure_sizes(module for module in modules.values() if _has_top(module.name, top))
        figures |= {f"{top}_{name}": value for name, value in vars(sizes).items()}
    between, past = count_imports(modules, _CODE)
    figures |= {
        "imports_between_rooms": between,
        "imports_past_a_face": past,
        "learn_imports_past_a_face": count_imports(modules, ("learn",))[1],
        "modules_with_one_importer": len(list_modules_with_one_importer(modules)),
    }
    figures |= count_functions(root)
    figures["public_names"] = len(modules["learn"].list_public_names()) if "learn" in modules else 0
    figures["library_example_lines"] = count_example_lines((root / "README.md").read_text(encoding="utf-8"))
    return House(figures, _measure_rooms(modules))


def measure_sizes(modules: Iterable[Module]) -> Sizes:
    """Return the sizes of some modules."""
    lines = [module.lines for module in modules]
    return Sizes(len(lines), sum(lines), statistics.median(lines or [0]), sum(count < SHORT for count in lines))


def count_imports(modules: Mapping[str, Module], tops: tuple[str, ...]) -> tuple[int, int]:
    """Return how many import statements cross from one room into another, and how many of them pass its face."""
    between, past = set(), set()
    for module in modules.values():
        if module.name.partition(".")[0] not in tops:
            continue
        for each in module.list_imports():
            submodule = f"{each.target}.{each.name}"
            target = submodule if submodule in modules else each.target
            room = _find_room(target)
            if room is None or room == _find_room(module.name) or not _is_folder(room, modules):
                continue
            between.add((module.name, each.line))
            if target != room:
                past.add((module.name, each.line))
    return len(between), len(past)


def list_modules_with_one_importer(modules: Mapping[str, Module]) -> list[str]:
    """Return the modules of `learn` that at most one other module outside the tests imports.

    A name that is imported from a room counts for the module behind it. ``__init__`` and ``__main__`` are neither
    counted nor importers.
    """
    importers = defaultdict(set)
    for module in modules.values():
        if module.is_package or _has_top(module.name, "tests"):
            continue
        for each in module.list_imports():
            importers[find_home(modules, each.target, each.name)].add(module.name)
    learn = (each for each in modules.values() if _has_top(each.name, "learn") and not each.is_package)
    names = (each.name for each in learn if not each.name.endswith(".__main__"))
    return [name for name in names if len(importers[name] - {name}) <= 1]


def count_functions(root: Path) -> dict[str, float]:
    """Return how many functions there are, and how many are not named by a verb or a predicate."""
    command = [sys.executable, str(ROOT / "scripts" / "check_names.py"), "--root", str(root), "--json"]
    counts = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    functions, not_verbs = (sum(counts[top][key] for top in _CODE) for key in ("functions", "not_verbs"))
    return {
        "functions": functions,
        "functions_not_verbs": not_verbs,
        "functions_not_verbs_percent": round(100 * not_verbs / max(functions, 1), 2),
        "learn_functions_not_verbs": counts["learn"]["not_verbs"],
        "tests_functions_not_verbs": counts["tests"]["not_verbs"],
    }


def count_example_lines(readme: str) -> int:
    """Return the lines of the first Python example of a page that imports `learn`; 0 if there is none.

    Empty lines and comments are left out.
    """
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    example = next((block for block in blocks if re.search(r"^(import|from) learn\b", block, re.MULTILINE)), "")
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in example.splitlines())


def _measure_rooms(modules: Mapping[str, Module]) -> dict[str, Sizes]:
    rooms = defaultdict(list)
    for module in modules.values():
        if _has_top(module.name, "learn"):
            room = _find_room(module.name) or "learn"
            rooms[room.partition(".")[2] if _is_folder(room, modules) else "files"].append(module)
    return {room: measure_sizes(rooms[room]) for room in sorted(rooms, key=lambda room: (room == "files", room))}


def _find_room(name: str) -> str | None:
    """Return the room of a module: a folder of `learn`, or the file itself. None for modules outside of `learn`."""
    parts = name.split(".")
    if parts[0] != "learn" or len(parts) == 1:
        return None
    return ".".join(parts[:2])


def _is_folder(room: str, modules: Mapping[str, Module]) -> bool:
    return room != "learn" and any(name.startswith(f"{room}.") for name in modules)


def _has_top(name: str, top: str) -> bool:
    return name.partition(".")[0] == top
