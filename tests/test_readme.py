"""What the README and the documentation name exists: links, files, commands, options, settings, code."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest

from learn.config.settings import Settings
from learn.content.cli import content as content_command
from learn.data.cli import cli as data_command
from learn.data.sample.shop import main as sample_command
from learn.registry.cli import models as models_command
from learn.serving.cli import cli as serving_command

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^ {4}\S.*\n?(?:^ *\n(?=^ {4}))?)+", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_FLOWS = ("flows/train_flow.py", "flows/monitor_flow.py")
_FLOW_COMMANDS = {"run", "resume", "card", "package", "argo-workflows"}
# Options of other programs that are named on their own.
_FOREIGN_OPTIONS = {"--check", "--build-arg", "--datastore=s3", "--with", "--no-deps"}
# `validation.html` is a file, though `validation` is a section of the settings.
_ENDINGS = {"html", "json", "dvc", "safetensors"}


def spans(page: Path) -> list[str]:
    return _SPAN.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))


def blocks(page: Path) -> list[tuple[str, str]]:
    text = page.read_text(encoding="utf-8")
    indented = [("", block) for block in _INDENTED.findall(_FENCED.sub("", text))]
    return _FENCED.findall(text) + [(kind, re.sub(r"^ {4}", "", block, flags=re.MULTILINE)) for kind, block in indented]


def commands(page: Path, program: str) -> list[list[str]]:
    """Return the words after ``program`` of every command line of the page that calls it."""
    lines = [line for _, block in blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    named = [line for line in [*lines, *spans(page)] if program in line and "python" in line]
    return [shlex.split(line.partition(program)[2], comments=True) for line in named]


@cache
def flow_options(flow: str) -> set[str]:
    run = [sys.executable, flow, "--no-pylint", "--config", "settings", "configs/paper.toml", "run", "--help"]
    shown = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^\s+(--[a-z-]+)", shown, re.MULTILINE))


def options_of(command: click.Command) -> set[str]:
    own = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return own.union(*(options_of(each) for each in inner))


def headings(page: Path) -> set[str]:
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in headings(target), f"{page.name} links to {link}"


@every_page
def test_files_and_modules_that_are_named_exist(page: Path) -> None:
    for span in spans(page):
        if re.fullmatch(r"(learn|flows|docs|configs|scripts|tests|benchmarks)/[\w./-]+", span):
            assert (ROOT / span).exists(), f"{page.name} names {span}"
        if re.fullmatch(r"learn(\.\w+)+", span):
            assert stands_in_code(span), f"{page.name} names {span}"


@every_page
def test_commands_of_the_flow_know_their_options(page: Path) -> None:
    for flow, words in [(name, words) for name in _FLOWS for words in commands(page, name)]:
        while words and words[0] in {"--config", "--datastore=s3"}:
            assert words[0] != "--config" or words[1] in {"settings", "machines"}
            words = words[3 if words[0] == "--config" else 1 :]
        assert not words or words[0] in _FLOW_COMMANDS, f"{page.name}: {words}"
        unknown = {word for word in words if word.startswith("--")} - flow_options(flow) - {"--with"}
        assert not unknown, f"{page.name}: {unknown}"


@every_page
def test_commands_of_the_importers_know_their_options(page: Path) -> None:
    for program, command in (("-m learn.data ", data_command), ("-m learn.data.sample.shop", sample_command)):
        for words in commands(page, program):
            known = options_of(command)
            assert {word for word in words if word.startswith("--")} <= known, f"{page.name}: {words}"
            if isinstance(command, click.Group):
                importers = command.commands["import"]
                assert words[0] == "import", f"{page.name}: {words}"
                assert isinstance(importers, click.Group)
                assert words[1] in {*importers.commands, "--help", "…"}, f"{page.name}: {words}"


@every_page
def test_commands_around_models_and_vectors_know_their_options(page: Path) -> None:
    for words in commands(page, "-m learn.serving "):
        asked = serving_command.commands[words[0]]
        assert {word for word in words if word.startswith("--")} <= options_of(asked), f"{page.name}: {words}"
    rooms = {"models": models_command, "content": content_command}
    for _, block in blocks(page):
        for line in block.splitlines():
            if line.startswith("learn "):
                room, *words = shlex.split(line, comments=True)[1:]
                asked = rooms[room].commands[words[0]]
                assert {word for word in words if word.startswith("--")} <= options_of(asked), f"{page.name}: {line}"


@every_page
def test_options_named_in_the_text_exist(page: Path) -> None:
    own = (data_command, sample_command, serving_command, models_command, content_command)
    of_flows = (flow_options(flow) for flow in _FLOWS)
    known = {"--config"}.union(_FOREIGN_OPTIONS, *of_flows, *(options_of(command) for command in own))
    for span in spans(page):
        if span.startswith("--"):
            assert span.split()[0] in known, f"{page.name} names {span}"


@every_page
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    lines = [line for kind, block in blocks(page) if kind == "sh" for line in block.splitlines()]
    for line in [*lines, *spans(page)]:
        if line.startswith("make "):
            assert line.split()[1] in targets, f"{page.name} names {line}"


@every_page
def test_settings_that_are_named_exist(page: Path) -> None:
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    for span in spans(page):
        section, dot, name = re.sub(r" = .*", "", span).partition(".")
        fields = getattr(sections.get(section), "model_fields", None)
        if dot and fields is not None and name.isidentifier() and name not in _ENDINGS:
            assert name in fields, f"{page.name} names {span}"
        if re.fullmatch(r"\[\w+\]", span):
            assert span[1:-1] in sections, f"{page.name} names {span}"


@every_page
def test_settings_shown_are_read(page: Path) -> None:
    for kind, block in blocks(page):
        if kind == "toml" or block.lstrip().startswith("["):
            assert Settings.from_mapping(tomllib.loads(block)) != Settings()


@every_page
def test_python_shown_names_what_exists(page: Path) -> None:
    for kind, block in blocks(page):
        if kind != "python":
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("learn"):
                for alias in node.names:
                    assert stands_in_code(f"{node.module}.{alias.name}"), f"{page.name}: {ast.unparse(node)}"


def test_the_readme_names_every_step_of_the_flow() -> None:
    steps = re.findall(r"^    def (\w+)\(self", (ROOT / _FLOWS[0]).read_text(encoding="utf-8"), re.MULTILINE)
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [step for row in rows for step in _SPAN.findall(row)] == steps


def test_the_importers_answer_on_the_command_line() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "learn.data", "import", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "amazon" in shown
    assert "movielens" in shown


def stands_in_code(dotted: str) -> bool:
    """Whether a module, or a name in a module, exists; nothing is imported, since many rooms take seconds to load."""
    path = ROOT / Path(*dotted.split("."))
    if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
        return True
    name = path.name
    files = [path.parent.with_suffix(".py"), path.parent / "__init__.py", path.parent / "__init__.pyi"]
    text = "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    return bool(re.search(rf"^(?:async )?(?:def|class) {name}\b|^{name}\b.*=|\"{name}\"", text, re.MULTILINE))
