"""A small whole run in its own folder: the sample's first users, a tiny encoder, two epochs."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from dvc.repo import Repo

from benchmarks.content.tiny_encoder import save_tiny_bert
from benchmarks.harness.provenance import ROOT
from learn.content import check_store
from learn.data import make_sample
from learn.model import hash_weights
from learn.registry import read_bundle

STEPS = (
    *("start", "validate", "histories", "plan", "encode", "gather", "share_training", "towers"),
    *("evaluate", "compare_windows", "package", "decide", "end"),
)
_USERS = 600
_SETTINGS = """
[content]
encoder = "{encoder}"
shards = 2
[training]
epochs = 2
[towers]
dimension = 32
cooccurrence_rank = 16
[evaluation]
bootstrap_samples = 100
baselines = ["popularity"]
"""
_REPORTS = ("index.html", "evaluation.html", "validation.html", "drift.html", "metrics.json")
_LEFT_OVER = re.compile(r"(^|/)\.unfinished-|\.unfinished$|\.tmp$|\.partial(/|$)|(^|/)learn-(bento|serve)-|/\.bundle\.")


@dataclass(frozen=True)
class Outcome:
    """What a run has left once it is through.

    Attributes:
        weights_sha256: Of the towers in the bundle.
        metrics_sha256: Of the bytes of ``metrics.json``.
        faults: What is half-written, damaged or left over, each in a line.
    """

    weights_sha256: str
    metrics_sha256: str
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A folder in which runs have every store for themselves."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables that keep every store, and whatever is temporary, inside the folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "DVC_", "GIT_"))}
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        return {
            **kept,
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(temporary),
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.folder),
            "METAFLOW_HOME": str(self.folder / "metaflow_home"),
            "BENTOML_HOME": str(self.folder / "bentoml"),
            "DVC_SITE_CACHE_DIR": str(self.folder / "dvc_site"),
        }

    def build_command(self, word: str) -> list[str]:
        """Return the words that start a run, or resume the last one."""
        flow = [sys.executable, str(ROOT / "flows" / "train_flow.py"), "--no-pylint"]
        if word == "resume":
            return [*flow, "resume"]
        return [*flow, "--config", "settings", str(self.folder / "settings.toml"), word, "--data", "data"]

    def read_outcome(self) -> Outcome:
        """Look through everything that the runs in this folder have left."""
        bundles = sorted(self.folder.glob(".learn/runs/*/bundle"))
        metrics = sorted(self.folder.glob("reports/*/metrics.json"))
        faults = [*self._list_left_over(), *self._list_damaged(bundles)]
        if len(bundles) != 1 or len(metrics) != 1:
            faults.append(f"{len(bundles)} bundles and {len(metrics)} metrics.json instead of one")
        return Outcome(
            hash_weights(bundles[-1]) if bundles else "",
            hashlib.sha256(metrics[-1].read_bytes()).hexdigest() if metrics else "",
            tuple(faults),
        )

    def _list_left_over(self) -> list[str]:
        names = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*"))
        return sorted(f"left over: {name}" for name in names if _LEFT_OVER.search(name))

    def _list_damaged(self, bundles: list[Path]) -> list[str]:
        faults = []
        for bundle in bundles:
            read_bundle(bundle)  # every file against its checksum
        for store in check_store(str(self.folder / ".learn" / "content")):
            faults += [f"damaged: {place}: {what}" for place, what in store.damaged]
        for report in sorted(self.folder.glob("reports/*")):
            for name in _REPORTS:
                faults += _list_half_written(report / name)
        return faults


def _list_half_written(file: Path) -> list[str]:
    if not file.is_file():
        return [f"missing: {file.name}"]
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".html":
        return [] if text.rstrip().endswith("</html>") else [f"half-written: {file.name}"]
    json.loads(text)
    return []


def create_repository(folder: Path) -> None:
    """Give a folder its own DVC repository: runs inside another checkout would write into that one's."""
    Repo.init(str(folder), no_scm=True).close()


def prepare(folder: Path) -> Place:
    """Write the data, the encoder and the settings of a small run."""
    make_sample(folder / "data")
    _keep_users(folder / "data" / "interactions.tsv.gz")
    encoder = save_tiny_bert(folder / "encoder")
    (folder / "settings.toml").write_text(_SETTINGS.format(encoder=encoder), encoding="utf-8")
    return Place(folder)


def _keep_users(table: Path) -> None:
    head, *rows = gzip.decompress(table.read_bytes()).decode().splitlines()
    users = sorted({row.split("\t", 1)[0] for row in rows})[:_USERS]
    kept = [row for row in rows if row.split("\t", 1)[0] in set(users)]
    table.write_bytes(gzip.compress("\n".join([head, *kept, ""]).encode(), mtime=0))
