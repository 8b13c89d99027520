"""The source files of a commit, and what they import from each other."""

from __future__ import annotations

import ast
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.harness.cli import BenchmarkError

TOPS = ("learn", "flows", "benchmarks", "tests")
"""Folders whose modules are read."""


@dataclass(frozen=True)
class Import:
    """One name that a module imports.

    Attributes:
        importer: The module that imports.
        line: Line of the statement, from 1.
        target: The imported module, or the module that the name is imported from.
        name: The imported name; None for a module.
    """

    importer: str
    line: int
    target: str
    name: str | None


@dataclass(frozen=True)
class Module:
    """A Python file.

    Attributes:
        name: With dots: ``learn.data.tables``.
        source: Its text.
        is_package: Whether it is an ``__init__.py``.
        stub: Text of the ``__init__.pyi`` next to it; empty without one.
    """

    name: str
    source: str
    is_package: bool
    stub: str = ""

    @property
    def lines(self) -> int:
        """Number of lines."""
        return len(self.source.splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.source)

    def list_imports(self, tree: ast.Module | None = None) -> Iterator[Import]:
        """Yield the imports of the module, or of a stub of it; also inside functions and under ``TYPE_CHECKING``."""
        for node in ast.walk(tree or self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(self.name, node.lineno, alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._resolve(node)
                yield from (Import(self.name, node.lineno, base, alias.name) for alias in node.names)

    def list_public_names(self) -> list[str]:
        """Return ``__all__`` of the stub or else of the module; empty without one."""
        for node in ast.walk(ast.parse(self.stub or self.source)):
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
                return [ast.literal_eval(each) for each in getattr(node.value, "elts", [])]
        return []

    def _resolve(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parents = self.name.split(".")
        kept = parents[: len(parents) - node.level + self.is_package]
        return ".".join([*kept, *([node.module] if node.module else [])])


def resolve_commit(repository: Path, revision: str) -> str:
    """Return the full hash of a commit.

    Raises:
        BenchmarkError: The repository has no such commit.
    """
    return _run_git(repository, "rev-parse", "--verify", f"{revision}^{{commit}}").decode().strip()


def extract_tree(repository: Path, revision: str | None, folder: Path) -> None:
    """Write the files of a commit, or the tracked files as they are now, into an empty folder.

    Raises:
        BenchmarkError: The repository has no such commit.
    """
    if revision is not None:
        archive = io.BytesIO(_run_git(repository, "archive", "--format=tar", resolve_commit(repository, revision)))
        with tarfile.open(fileobj=archive) as tar:
            tar.extractall(folder, filter="data")
        return
    for name in _run_git(repository, "ls-files", "-z").decode().rstrip("\0").split("\0"):
        if (repository / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, folder / name)


def read_modules(root: Path) -> dict[str, Module]:
    """Return the modules of a tree by name, in order."""
    modules = {}
    for path in sorted(path for top in TOPS for path in (root / top).rglob("*.py")):
        is_package = path.name == "__init__.py"
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if is_package else parts)
        stub = path.with_suffix(".pyi")
        text = stub.read_text(encoding="utf-8") if stub.is_file() else ""
        modules[name] = Module(name, path.read_text(encoding="utf-8"), is_package, text)
    return modules


def find_home(modules: Mapping[str, Module], target: str, name: str | None) -> str:
    """Return the module that an import reaches: a submodule, or where a room's ``__init__`` has the name from."""
    if name is not None and f"{target}.{name}" in modules:
        return f"{target}.{name}"
    room = modules.get(target)
    if room is None or not room.is_package or name is None:
        return target
    face = ast.parse(room.stub) if room.stub else None
    homes = {each.name: each.target for each in room.list_imports(face) if each.target != target}
    return find_home(modules, homes[name], name) if name in homes else target


def _run_git(repository: Path, *words: str) -> bytes:
    done = subprocess.run(["git", *words], cwd=repository, capture_output=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(
            f"Git failed: {done.stderr.decode().strip()}",
            where=f"git {' '.join(words)}",
            fix="name a commit of this clone",
        )
    return done.stdout
