"""The jobs of the benchmark: each fits one model, or one set of baselines, and measures it.

A job's key is a hash over everything its figures depend on, so a result is found again until something changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks.harness.provenance import ROOT, list_versions
from benchmarks.quality.cases import CASES
from benchmarks.quality.datasets import SOURCES, hash_data
from learn.config import Settings
from learn.evaluation import Masking
from learn.model import choose_recipe

Kind = Literal["baselines", "towers", "speed"]
SEEDS = (0, 1, 2)
SETS = ("scientific", "games")
"""Cases with published results, and bars for both protocols."""

COLD = ("scientific_held_out", "online_retail_unseen")
"""Cases that request only unseen items."""

PRECISIONS = ("bfloat16", "float32")
"""Precisions of the towers' training, each with its own row."""

PAPER_EPOCHS = 10
"""Epochs of the paper's configuration: its 200 would take a processor days."""

_CONFIGS = ROOT / "configs"
# Raised when a result's meaning changes, so that older ones are not read.
_FORMAT = 1
_READ = {
    "baselines": {"evaluation", "content"},
    "towers": {"towers", "training", "evaluation", "content"},
    "speed": {"towers", "training", "evaluation", "content"},
}


@dataclass(frozen=True)
class Job:
    """One model, or one set of baselines, on one case.

    Attributes:
        kind: What is fitted.
        case: A name in :data:`~benchmarks.quality.cases.CASES`.
        row: Name of the row it belongs to; the seeds of a row share it.
        seed: Of the model.
        settings: Those of the model, whole.
        label: The row's name for people, with what differs from the settings it is called after.
    """

    kind: Kind
    case: str
    row: str
    seed: int
    settings: Settings
    label: str

    @property
    def protocol(self) -> Masking:
        """Whether the history is masked in training, and so in the ranking by which the epoch is chosen."""
        return "masked" if self.settings.training.mask_seen else "unmasked"

    @property
    def name(self) -> str:
        """The job's name, by which it can be chosen."""
        return f"{self.case}/{self.row}/{self.protocol}/{self.seed}"

    def list_inputs(self, digest: str) -> dict[str, Any]:
        """Return everything its figures depend on.

        Args:
            digest: Hash of the data set's files.
        """
        return {
            "format": _FORMAT,
            "kind": self.kind,
            "case": CASES[self.case].list_inputs(),
            "seed": self.seed,
            "settings": self.settings.model_dump(
                mode="json",
                include=_READ[self.kind],
                exclude={"training": {"reuse"}, "content": {"threads", "shards", "store", "part_seconds"}},
            ),
            "data": digest,
            "versions": list_versions(),
        } | ({} if self.kind == "baselines" else {"recipe": choose_recipe(self.settings.towers)})

    def compute_key(self, digest: str) -> str:
        """Return the hash of :meth:`compute_inputs`."""
        return hashlib.sha256(json.dumps(self.list_inputs(digest), sort_keys=True).encode()).hexdigest()[:24]

    def to_dict(self) -> dict[str, Any]:
        """Return the job as plain values."""
        return {
            "kind": self.kind,
            "case": self.case,
            "row": self.row,
            "seed": self.seed,
            "settings": self.settings.model_dump(mode="json"),
            "label": self.label,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """Take back what :meth:`to_dict` gave."""
        return cls(**(dict(values) | {"settings": Settings.from_mapping(values["settings"])}))


def compute_digests(jobs: Sequence[Job], *, data: Path) -> dict[str, str]:
    """Return the hash of each case's files, by case.

    Raises:
        DataError: A data set is not there.
    """
    sources = {CASES[job.case].source for job in jobs}
    found = {source: hash_data(SOURCES[source], data=data) for source in sources}
    return {job.case: found[CASES[job.case].source] for job in jobs}


def plan(*, seeds: Sequence[int] = SEEDS, overrides: Mapping[str, object] | None = None) -> tuple[Job, ...]:
    """Lay out every job of the benchmark, in order.

    Args:
        seeds: Of the rows that are means over seeds; the first is that of the other rows.
        overrides: Settings put into every job, names as in :meth:`learn.config.Settings.override`: for a try.

    Raises:
        SettingsError: A settings file or an override is wrong.
    """
    first, default, unmasked = seeds[0], Settings(), _read_configured("unmasked")
    jobs = [_plan_job("baselines", case, "baselines", default, 0) for case in (*SETS, "online_retail", *COLD)]
    for case in SETS:
        jobs += [
            _plan_job("towers", case, "towers", settings, seed) for settings in (default, unmasked) for seed in seeds
        ]
    jobs += [_plan_job("towers", case, "towers", default, seed) for case in COLD for seed in seeds]
    # Half of what people buy there they have bought before: its table with nothing masked is the one that counts.
    jobs += [_plan_job("towers", "online_retail", "towers", settings, first) for settings in (default, unmasked)]
    jobs.append(_plan_other_softmax(default, first))
    jobs += [_plan_arithmetic(precision, default, first) for precision in PRECISIONS]
    sasrec = _read_configured("sasrec")
    protocols = (sasrec, sasrec.override(training__mask_seen=False))
    label = "SASRec (IDs alone)"
    jobs += [
        _plan_job("towers", case, "sasrec", settings, first, label=label) for case in SETS for settings in protocols
    ]
    paper = _read_configured("paper").override(training__epochs=PAPER_EPOCHS)
    jobs.append(_plan_job("towers", "scientific", "paper", paper, first, label=f"paper, {PAPER_EPOCHS} epochs at most"))
    # RecBole masks nothing, so neither do we.
    jobs.append(_plan_job("speed", "scientific", "speed", unmasked, first))
    return tuple(_override_job(job, overrides or {}) for job in jobs)


def _plan_other_softmax(default: Settings, seed: int) -> Job:
    # The towers' own row is the one of the two, this row is the other.
    loss = "sampled_softmax" if default.training.loss == "full_softmax" else "full_softmax"
    settings = default.override(training__loss=loss)
    return _plan_job("towers", "games", f"towers_{loss}", settings, seed, label=f"towers, {loss.replace('_', ' ')}")


def _plan_arithmetic(precision: str, default: Settings, seed: int) -> Job:
    # Both by name: what `auto` takes depends on the machine, and a kept result may be another machine's.
    settings = default.override(training__precision=precision)
    return _plan_job("towers", "scientific", f"towers_{precision}", settings, seed, label=f"towers, {precision}")


def _plan_job(kind: Kind, case: str, row: str, settings: Settings, seed: int, *, label: str = "") -> Job:
    return Job(kind, case, row, seed, settings, label or row)


def _read_configured(name: str) -> Settings:
    path = _CONFIGS / f"{name}.toml"
    return Settings.from_toml(path.read_text(encoding="utf-8"), where=f"configs/{path.name}")


def _override_job(job: Job, overrides: Mapping[str, object]) -> Job:
    return replace(job, settings=job.settings.override(**overrides)) if overrides else job
