"""What was judged and measured is kept, so that a run continues where it was stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness.provenance import ROOT
from learn.config import DriftSettings, MonitoringSettings
from learn.storage import atomic_files

_RULES = {"k", "fewest_answers", "retrain_effect", "alarm_effect", "retrain_unknown_share"}
_LIBRARIES = ("numpy", "scipy", "polars", "pandas", "scikit-learn", "evidently")

JUDGING = tuple(
    Path(folder, f"{name}.py")
    for folder, names in (
        ("benchmarks/monitoring", ("judges", "pool", "shifts", "rates")),
        (
            "learn/monitoring",
            (
                "drift_tests",
                "requests",
                "samples",
                "verdict",
            ),
        ),
    )
    for name in names
)
"""Code that a verdict on two windows depends on."""


def hash_code(files: Sequence[Path]) -> str:
    """Return a hash of source files (relative to the checkout), of libraries and of settings that verdicts depend
    on."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file}\n".encode() + (ROOT / file).read_bytes())
    rest = [
        [version(name) for name in _LIBRARIES],
        DriftSettings().model_dump(mode="json"),
        MonitoringSettings().model_dump(mode="json", include=_RULES),
    ]
    return hashlib.sha256(digest.digest() + json.dumps(rest, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class CellStore:
    """Records by what they were made of.

    Attributes:
        folder: Where they are, one JSON file each.
    """

    folder: Path

    def read(self, **made_of: str | int) -> dict[str, Any] | None:
        """Return the record of some inputs and code; None if there is none that can be read."""
        try:
            found: dict[str, Any] = json.loads((self.folder / _name(made_of)).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def write(self, record: dict[str, Any], **made_of: str | int) -> None:
        """Keep a record in place of the earlier one of the same inputs and code.

        Raises:
            StorageError: The disk is full or not writable.
        """
        name = _name(made_of)
        with atomic_files(self.folder, names=(name,)) as stage:
            (stage / name).write_text(json.dumps({"made_of": made_of} | record) + "\n", encoding="utf-8")


def _name(made_of: dict[str, str | int]) -> str:
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    return f"{key[:16]}.json"
