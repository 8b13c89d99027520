"""The page and the figures of the benchmark, put together from what each part found last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.harness.page import Part
from benchmarks.harness.provenance import describe_machine, list_versions, read_commit
from learn.errors import explain_storage_faults

_NAME = "content"


@dataclass(frozen=True)
class PartResult:
    """A part as it was measured.

    Attributes:
        part: What it found.
        commit: Of the code that it was measured with.
    """

    part: Part
    commit: str


def keep(name: str, part: Part, *, folder: Path) -> None:
    """Keep what a part found for the page.

    Raises:
        StorageError: The disk is full or not writable.
    """
    with explain_storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _name_file(folder, name).write_text(
            json.dumps(asdict(PartResult(part, read_commit())), indent=2) + "\n", encoding="utf-8"
        )


def write_page(names: Sequence[str], *, folder: Path, workspace: Path) -> Path:
    """Write ``content.md`` for people and ``content.json`` for machines; return the page.

    Raises:
        StorageError: The disk is full or not writable.
    """
    reader = TypeAdapter(PartResult)
    found = {
        name: reader.validate_json(_name_file(workspace, name).read_text(encoding="utf-8"))
        for name in names
        if _name_file(workspace, name).exists()
    }
    record = {
        "figures": {name: figure for kept in found.values() for name, figure in kept.part.figures.items()},
        "machine": describe_machine(),
        "versions": list_versions(),
        "commit": read_commit(),
        "commits_of_parts": {name: kept.commit for name, kept in found.items()},
        "seeds": [0],
    }
    page = folder / f"{_NAME}.md"
    with explain_storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        page.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        page.write_text(_format_page([kept.part for kept in found.values()]), encoding="utf-8")
    return page


def _format_page(parts: Sequence[Part]) -> str:
    about = describe_machine()
    sections = "\n\n".join(map(format_section, parts))
    return f"""# Content extraction

How fast texts become vectors, at what cost to the vectors, and what a second run, a changed catalogue or a killed pass
costs. Losing rows are kept.

{sections}

{about["processor"]}, {about["cores"]} cores, {about["memory_gb"]} GB; commit {read_commit()}.
"""


def format_section(part: Part) -> str:
    """Write a part as a section of a page."""
    lines = [f"## {part.name}", ""]
    if part.header:
        rule = tuple("---" for _ in part.header)
        lines += [f"| {' | '.join(cells)} |" for cells in (part.header, rule, *part.rows)]
        lines.append("")
    return "\n".join([*lines, *(f"- {note}" for note in part.notes)])


def _name_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"
