#!/usr/bin/env python3
"""Check that names are plain: scripts/check_names.py [--list [PATH ...]] [--json] [--root FOLDER].

The name of a function, leading underscores aside, begins with one of:

- a verb or a term of the field in `vocabulary/verbs.txt`; nouns that are verbs too (`list`, `rank`) are among them,
- the prefix of a predicate (`is_`, `has_`, `can_` …) or of a conversion (`from_`, `to_`, `as_`, `with_`),
- any of those verbs in the third person, if the function returns `bool` or an array of it (`matches`, `holds_texts`).

These may be nouns: properties, pytest fixtures, commands of the command line, endpoints of the service, and class
methods that return their own class. Not checked: tests, magic methods, setters, overloads, steps of a flow and
validators of pydantic, whose names a framework gives or a reader never calls.

The words of `vocabulary/names.txt` are banned at the beginning of a function's name, at its end (predicates excepted),
and anywhere in the name of a class or a module. The file says what to write instead.

`vocabulary/limits.toml` says how many names of each folder may still break a rule; the exit status is 1 above that.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ratchet import LIMITS, ROOT, VOCABULARY, compare_with_limits, is_below, list_files, read_lines

FOLDERS = ("learn", "flows", "benchmarks", "scripts", "tests")
PREDICATES = {"is", "are", "has", "have", "can", "may", "must", "should", "needs"}
CONVERSIONS = {"from", "to", "as", "with"}
NOUNS_ALLOWED = {"property", "cached_property", "computed_field", "fixture", "command", "group", "declare_route"}
NOT_CHECKED = {"setter", "deleter", "overload", "step", "field_validator", "model_validator", "field_serializer"}
BOOLEANS = {"bool", "NDArray[np.bool_]"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Misnamed:
    """A name that breaks a rule: path and line of its definition, what to write instead, whether it lacks a verb."""

    path: str
    line: int
    name: str
    reason: str
    lacks_verb: bool = False


class NameChecker:
    """Checks the names of Python files by both lists, and counts the functions whose name must begin with a verb."""

    def __init__(self, verbs: frozenset[str], banned: dict[str, str]) -> None:
        self.verbs = verbs
        self.banned = banned
        self.functions = 0

    @cached_property
    def _third_persons(self) -> frozenset[str]:
        regular = {verb + ("es" if re.search(r"(s|x|z|ch|sh|o)$", verb) else "s") for verb in self.verbs}
        return frozenset(regular | {verb[:-1] + "ies" for verb in self.verbs if re.search(r"[^aeiou]y$", verb)})

    def check_file(self, path: str, source: str) -> Iterator[Misnamed]:
        """Yield the misnamed functions and classes of a file, and its module if that is misnamed."""
        stem = Path(path).stem
        if not stem.startswith("test_"):
            yield from (Misnamed(path, 1, stem, reason) for reason in self._explain_banned(stem.split("_")))
        yield from self._check_body(ast.parse(source, path), path, owner="")

    def _check_body(self, node: ast.AST, path: str, *, owner: str) -> Iterator[Misnamed]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", child.name)]
                yield from (Misnamed(path, child.lineno, child.name, why) for why in self._explain_banned(words))
                yield from self._check_body(child, path, owner=child.name)
            elif isinstance(child, Function):
                yield from self._check_function(child, path, owner)
                yield from self._check_body(child, path, owner="")
            else:
                yield from self._check_body(child, path, owner=owner)

    def _check_function(self, function: Function, path: str, owner: str) -> Iterator[Misnamed]:
        decorators = {_name_decorator(each) for each in function.decorator_list}
        if re.match(r"__|test_", function.name) or decorators & NOT_CHECKED:
            return
        name, label = function.name.strip("_"), f"{owner}.{function.name}".lstrip(".")
        words, returns = name.split("_"), ast.unparse(function.returns).strip("'\"") if function.returns else ""
        is_predicate = words[0] in PREDICATES or (returns in BOOLEANS and words[0] in self._third_persons)
        may_be_noun = decorators & NOUNS_ALLOWED or ("classmethod" in decorators and returns in {owner, "Self"})
        begins_with_verb = any("_".join(words[: end + 1]) in self.verbs for end in range(len(words)))
        self.functions += not may_be_noun
        if not (may_be_noun or is_predicate or begins_with_verb or words[0] in CONVERSIONS):
            reason = next(self._explain_banned(words[:1]), f"`{words[0]}` is no verb of verbs.txt")
            yield Misnamed(path, function.lineno, label, reason, lacks_verb=True)
        elif not is_predicate:
            yield from (Misnamed(path, function.lineno, label, why) for why in self._explain_banned(words[1:][-1:]))

    def _explain_banned(self, words: list[str]) -> Iterator[str]:
        return (f"`{word}` is banned: write {self.banned[word]}" for word in words if word in self.banned)


def _name_decorator(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def main() -> int:
    """Check the names below the root; return 1 if a folder has more hits than its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", nargs="*", metavar="PATH", help="list the misnamed: all, or below these paths")
    parser.add_argument("--json", action="store_true", help="print each folder's counts as JSON, and check no limit")
    parser.add_argument("--root", type=Path, default=ROOT, help="check this tree (default: the checkout)")
    parser.add_argument("--limits", type=Path, default=LIMITS, help="hits allowed (%(default)s)")
    options = parser.parse_args()
    verbs = frozenset(word for line in read_lines(VOCABULARY / "verbs.txt") for word in line.split())
    banned = dict(line.split("->", 1) for line in read_lines(VOCABULARY / "names.txt"))
    checkers = {folder: NameChecker(verbs, banned) for folder in FOLDERS}
    found: dict[str, list[Misnamed]] = {folder: [] for folder in FOLDERS}
    for path in list_files(options.root):
        folder = path.partition("/")[0]
        if folder in checkers and _is_python(options.root / path):
            source = (options.root / path).read_text(encoding="utf-8")
            found[folder] += checkers[folder].check_file(path, source)
    misnamed = [each for names in found.values() for each in names]
    if options.json:
        lacking = {folder: sum(each.lacks_verb for each in names) for folder, names in found.items()}
        counts = {each: {"functions": checkers[each].functions, "not_verbs": lacking[each]} for each in FOLDERS}
        print(json.dumps(counts))
    elif options.list is not None:
        for each in (each for each in misnamed if is_below(each.path, options.list)):
            print(f"{each.path}:{each.line}: {each.name}: {each.reason}")
    else:
        hits = {folder: len(names) for folder, names in found.items()}
        return compare_with_limits("names", hits, limits=options.limits)
    return 0


def _is_python(path: Path) -> bool:
    if path.suffix:
        return path.suffix == ".py"
    with path.open("rb") as file:
        return file.readline().startswith(b"#!/usr/bin/env python")


if __name__ == "__main__":
    sys.exit(main())
