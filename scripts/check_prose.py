"""Check that prose is plain and spelled right: .venv/bin/python scripts/check_prose.py [--list [PATH ...]].

codespell reads every tracked text: pages, docstrings, comments, messages, templates. Its own dictionary finds typing
errors; `vocabulary/prose.txt` finds words and phrases that a stranger must read twice, and says what to write instead.
What codespell leaves out, and words it takes for errors by mistake, are in `pyproject.toml`. It reads line by line, so
a phrase that is broken over two lines passes.

`vocabulary/limits.toml` says how many hits each folder may still have; the exit status is 1 above that.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from ratchet import LIMITS, ROOT, VOCABULARY, compare_with_limits, is_below, list_files, read_lines

PHRASES = VOCABULARY / "prose.txt"
HIT = re.compile(r"(?:\./)?(?P<path>[^:]+):\d+: .+ ==> ")


def compile_words(phrases: list[str]) -> str:
    """Return the pattern of what codespell looks up: the phrases, longest first, and every single word."""
    longest_first = sorted((phrase for phrase in phrases if " " in phrase), key=len, reverse=True)
    return rf"(?i:{'|'.join(map(re.escape, longest_first))})(?![\w-])|[\w\-'’]+"


def find_hits(root: Path) -> list[str]:
    """Return codespell's lines, `PATH:LINE: WORD ==> INSTEAD`, for the tracked files of a tree.

    Raises:
        RuntimeError: codespell could not run.
    """
    words = compile_words([line.partition("->")[0].lower() for line in read_lines(PHRASES)])
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), "--regex", words]
    dictionaries = ["--dictionary", "-", "--dictionary", str(PHRASES)]
    done = subprocess.run(
        [*command, *dictionaries, "--", *list_files(root)], cwd=root, capture_output=True, text=True, check=False
    )
    # 65 says that there are hits.
    if done.returncode not in {0, 65} or done.stderr:
        raise RuntimeError(f"codespell failed: {done.stderr}")
    return [line for line in done.stdout.splitlines() if HIT.match(line)]


def main() -> int:
    """Check the prose below the root, and return 1 if a folder has more hits than its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", nargs="*", metavar="PATH", help="list the hits by file: all, or below these paths")
    parser.add_argument("--root", type=Path, default=ROOT, help="check this tree (default: the checkout)")
    parser.add_argument("--limits", type=Path, default=LIMITS, help="hits allowed (%(default)s)")
    options = parser.parse_args()
    hits = [(match["path"], line) for line in find_hits(options.root) if (match := HIT.match(line))]
    if options.list is not None:
        sys.stdout.writelines(f"{line}\n" for path, line in hits if is_below(path, options.list))
        return 0
    counts = Counter(path.partition("/")[0] for path, _ in hits)
    return compare_with_limits("prose", counts, limits=options.limits)


if __name__ == "__main__":
    sys.exit(main())
