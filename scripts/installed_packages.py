"""The packages that LEARN's requirements bring into an environment, whatever else is installed there."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
LOCK = ROOT / "requirements.lock"
# Its builds differ by machine (see docs/supply_chain.md), and so does what they bring.
UNPINNED = frozenset({"torch", "triton"})


def read_requirements(*extras: str) -> list[Requirement]:
    """Read the project's requirements and those of its extras from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


def find_installed(requirements: Iterable[Requirement]) -> dict[NormalizedName, Distribution]:
    """Return the installed packages that some requirements need, directly or through others, by name."""
    found: dict[NormalizedName, Distribution] = {}
    seen: set[tuple[NormalizedName, str]] = set()
    waiting = [(requirement, extra) for requirement in requirements for extra in ("", *requirement.extras)]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            # Only what an extra of another system would need: a missing requirement breaks the environment itself.
            continue
        for line in found[name].requires or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed, each) for each in ("", *needed.extras)]
    return dict(sorted(found.items()))


def read_pins(file: Path) -> dict[NormalizedName, str]:
    """Read `name==version` of each line of a constraints file or lock; hashes and comments are left out."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    named = (words[0].split("==") for words in lines if words and "==" in words[0])
    return {canonicalize_name(name): version for name, version in named}


def depends_on_machine(name: NormalizedName) -> bool:
    """Return whether a package comes with the build of torch, which no file here pins."""
    return name in UNPINNED or (name.startswith("nvidia-") and name != "nvidia-ml-py")
