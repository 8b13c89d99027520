"""Where the public data sets lie that some slow tests read; they are no part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL = Path(os.environ.get("LEARN_REAL_DATA") or _BESIDE_THE_CHECKOUT)
"""Folder of the data sets, by the variable that the benchmarks read too; tests skip where it is absent."""
