"""The page of the counts: a table before and after, and the figures as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.harness.provenance import describe_machine, list_versions, shorten_commit
from benchmarks.house.counts import House, Sizes

PAGE, FIGURES = "house.md", "house.json"
# Figure, its label, and its goal.
_ROWS = (
    ("learn_files", "Files of learn", ""),
    ("learn_lines", "Lines of learn", "fewer"),
    ("learn_median_lines", "Lines of the median file of learn", "more"),
    ("learn_files_under_60", "Files of learn under 60 lines", "16 or fewer"),
    ("modules_with_one_importer", "Modules of learn with at most one importer outside the tests", ""),
    ("imports_between_rooms", "Imports of a room of learn from outside of it", ""),
    ("imports_past_a_face", "Of these, past the room's `__init__`", "0"),
    ("learn_imports_past_a_face", "Of these, within learn", "0"),
    ("functions", "Functions of learn, flows and benchmarks", ""),
    ("functions_not_verbs", "Of these, not named by a verb or a predicate", ""),
    ("functions_not_verbs_percent", "The same in percent", "under 2"),
    ("learn_functions_not_verbs", "Functions of learn not named by a verb or a predicate", ""),
    ("tests_functions_not_verbs", "Helpers of the tests not named by a verb or a predicate", ""),
    ("public_names", "Public names of `import learn`", "about 15"),
    ("library_example_lines", "Lines of the README's Python example", "5"),
    ("flows_files", "Files of flows", ""),
    ("flows_lines", "Lines of flows", ""),
    ("flows_median_lines", "Lines of the median file of flows", ""),
    ("flows_files_under_60", "Files of flows under 60 lines", ""),
    ("benchmarks_files", "Files of benchmarks", ""),
    ("benchmarks_lines", "Lines of benchmarks", "fewer"),
    ("benchmarks_median_lines", "Lines of the median file of benchmarks", ""),
    ("benchmarks_files_under_60", "Files of benchmarks under 60 lines", ""),
    ("tests_files", "Files of tests", ""),
    ("tests_lines", "Lines of tests", "fewer"),
)
_HEAD = """# The code in numbers

Written by `make bench-house` from the tracked Python files of two commits, {before} and {after}.

- An import is a statement, also inside a function or under `TYPE_CHECKING`. It counts if it reaches into a room, which
  is a folder of `learn`, from outside of it: from another room, a file next to the rooms, a flow or a benchmark. It is
  past the room's `__init__` if it names a module inside the folder.
- A module's importers are the modules outside the tests that import it, or import a name that its room's `__init__` has
  from it. `__init__` and `__main__` are not counted.
- `scripts/check_names.py` decides whether a function is named by a verb or a predicate. Both commits are counted by the
  present word list. Properties, fixtures, commands and constructors may be nouns and are not counted.
"""


def write_page(folder: Path, *, before: House, before_commit: str, after: House, after_commit: str) -> Path:
    """Write the page and the figures.

    Args:
        folder: Where to write; earlier files are replaced.
        before: Counts of the earlier commit.
        before_commit: Its hash.
        after: Counts of the later commit.
        after_commit: Its hash, with ``+changes`` if files differ from it.

    Returns:
        Path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "figures": after.figures,
        "before": {"figures": before.figures, "commit": before_commit},
        "machine": describe_machine(),
        "versions": list_versions(),
        "commit": after_commit,
        # Nothing is drawn at random.
        "seeds": [],
    }
    (folder / FIGURES).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    first, last = (f"`{shorten_commit(commit)}`" for commit in (before_commit, after_commit))
    parts = [
        _HEAD.format(before=first, after=last),
        format_figures(before.figures, after.figures),
        "## Rooms of learn\n",
        format_rooms(before.rooms, after.rooms),
    ]
    (folder / PAGE).write_text("\n".join(parts), encoding="utf-8")
    return folder / PAGE


def format_figures(before: dict[str, float], after: dict[str, float]) -> str:
    """Return the table of the figures."""
    lines = ["| | before | after | goal |", "|---|---|---|---|"]
    for name, label, goal in _ROWS:
        lines.append(f"| {label} | {before[name]:,g} | {after[name]:,g} | {goal} |".replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def format_rooms(before: dict[str, Sizes], after: dict[str, Sizes]) -> str:
    """Return the table of the rooms: those of the later commit, and then those that only the earlier one has."""
    lines = [
        "| room | files, before | lines | median | under 60 | files, after | lines | median | under 60 |",
        "|---" * 9 + "|",
    ]
    for room in [*after, *(room for room in before if room not in after)]:
        cells = (_format_sizes(rooms.get(room)) for rooms in (before, after))
        lines.append(f"| {'outside of a room' if room == 'files' else f'`{room}`'} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _format_sizes(sizes: Sizes | None) -> str:
    if sizes is None:
        return " | ".join(["–"] * 4)
    return f"{sizes.files} | {sizes.lines:,} | {sizes.median_lines:g} | {sizes.files_under_60}"
