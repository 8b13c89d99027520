"""``kill -9`` in the middle of a pass, then again: what is encoded twice, and whether the store is the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from benchmarks.content.one_pass import ROOT, build_command, run_pass
from benchmarks.content.tiny_encoder import save_tiny_bert, write_titles
from benchmarks.harness.page import Part
from learn.content import ContentStore

ITEMS = 10_000
PART_ITEMS = 1_000
# In the middle of the fifth part.
_KILLED_AT = 4_500


def measure(*, data: Path, workspace: Path) -> Part:  # noqa: ARG001 - titles are synthetic
    """Kill one pass, finish it by another, compare with an undisturbed one; the data is synthetic."""
    shutil.rmtree(workspace, ignore_errors=True)
    encoder = str(save_tiny_bert(workspace / "encoder"))
    items = write_titles(workspace / "items.parquet", ITEMS)
    calm, _ = run_pass(
        build_command(items, workspace / "calm", workspace / "calm_out", encoder=encoder, part_items=PART_ITEMS)
    )
    words = build_command(
        items, workspace / "killed", workspace / "killed_out", encoder=encoder, part_items=PART_ITEMS, count=True
    )
    before = _kill_pass(words)
    kept = len(_store(workspace / "killed"))
    after, _ = run_pass(words)
    same = _is_same_store(workspace)
    twice = before + after.encoded - ITEMS
    return Part(
        name="A pass that is killed",
        figures={
            "kill_items_encoded_twice": float(twice),
            "kill_part_items": float(PART_ITEMS),
            "kill_store_identical": float(same),
        },
        header=("Pass", "Texts encoded", "In the store afterwards"),
        rows=(
            ("undisturbed", f"{calm.encoded:,}", f"{len(_store(workspace / 'calm')):,}"),
            ("killed", f"{before:,}", f"{kept:,}"),
            ("again", f"{after.encoded:,}", f"{len(_store(workspace / 'killed')):,}"),
        ),
        notes=(
            f"{ITEMS:,} made-up titles, a tiny encoder, parts of {PART_ITEMS:,}, SIGKILL after {_KILLED_AT:,} texts. "
            f"{twice:,} texts were encoded twice; keys, vectors and the gathered file are "
            f"{'the same bytes as' if same else 'NOT the same as'} those of the undisturbed pass.",
        ),
    )


def _kill_pass(words: list[str]) -> int:
    """Texts that a pass had encoded when it was killed."""
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    encoded = 0
    for line in process.stdout or ():
        encoded = int(line.split()[1]) if line.startswith("encoded ") else encoded
        if encoded >= _KILLED_AT:
            process.kill()
    process.wait()
    return encoded


def _store(root: Path) -> ContentStore:
    return ContentStore(next(folder for folder in root.iterdir() if folder.is_dir()))


def _is_same_store(workspace: Path) -> bool:
    calm, killed = _store(workspace / "calm"), _store(workspace / "killed")
    keys = calm.read_keys()
    files = [(workspace / name / "vectors.npy").read_bytes() for name in ("calm_out", "killed_out")]
    return (
        np.array_equal(keys, killed.read_keys())
        and np.array_equal(calm.read_vectors(keys), killed.read_vectors(keys))
        and files[0] == files[1]
    )
