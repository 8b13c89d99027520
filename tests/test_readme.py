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

from learn.cli import learn
from learn.config.settings import Settings

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


@cache
def options_of(command: click.Command) -> set[str]:
    own = {name for parameter in command.params for name in parameter.opts} | {"-h", "--help"}
    if not isinstance(command, click.Group):
        return own
    context = click.Context(command)
    inner = [command.get_command(context, name) for name in command.list_commands(context)]
    return own.union(*(options_of(each) for each in inner if each is not None))


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


def find_command(words: list[str]) -> click.Command:
    """Return the command that words of ``learn`` lead to; the words end with it, or its own arguments follow."""
    command: click.Command = learn
    for word in words:
        if not isinstance(command, click.Group):
            break
        if word.startswith("-") or word == "…":
            continue
        found = command.get_command(click.Context(command), word)
        # The name of a model is before the command: `learn models --name shop list`.
        if found is not None:
            command = found
    return command


@every_page
def test_commands_of_learn_know_their_words_and_options(page: Path) -> None:
    lines = [line for _, block in blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *spans(page)]:
        if not re.match(r"learn [a-z]+", line):
            continue
        words = shlex.split(line, comments=True)[1:]
        words = words[: words.index("--")] if "--" in words else words
        command = find_command(words)
        assert command is not learn, f"{page.name}: {line}"
        unknown = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} - options_of(learn)
        assert not unknown, f"{page.name}: {line}"


@every_page
def test_options_named_in_the_text_exist(page: Path) -> None:
    known = {"--config"}.union(_FOREIGN_OPTIONS, options_of(learn), *(flow_options(flow) for flow in _FLOWS))
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


OLD_SPELLINGS = {
    "learn.data": "learn data",
    "learn.data.sample": "learn data sample",
    "learn.evaluation": "learn evaluate",
    "learn.serving": "learn export",
    "flows.fetch": "learn runs fetch",
}


@pytest.mark.parametrize("old", OLD_SPELLINGS)
def test_an_old_spelling_names_the_new_one(old: str) -> None:
    done = subprocess.run([sys.executable, "-m", old], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, f"`python -m {old}` is now `{OLD_SPELLINGS[old]}`.")
    words = OLD_SPELLINGS[old].split()[1:]
    assert find_command(words).name == words[-1]


def stands_in_code(dotted: str) -> bool:
    """Whether a module, or a name in a module, exists; nothing is imported, since many rooms take seconds to load."""
    path = ROOT / Path(*dotted.split("."))
    if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
        return True
    name = path.name
    files = [path.parent.with_suffix(".py"), path.parent / "__init__.py", path.parent / "__init__.pyi"]
    text = "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    return bool(re.search(rf"^(?:async )?(?:def|class) {name}\b|^{name}\b.*=|\"{name}\"", text, re.MULTILINE))
