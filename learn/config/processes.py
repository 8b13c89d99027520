"""Several processes at one step's work."""

from __future__ import annotations

from pydantic import Field

from learn.section import Section


class ProcessSettings(Section):
    """How many processes train the towers, and how they wait for each other."""

    training: int = Field(default=1, ge=1, le=1_024)
    """Processes that share each training batch: one, because on one machine a process takes all cores already. On a
    cluster each has a machine of its own, with the memory and GPU of the kind ``towers``."""

    answer_seconds: int = Field(default=1_800, ge=10)
    """How long the processes wait for each other. A process that ends is noticed at once; this is for machines that
    vanish without a word. The others wait as long while the first one measures on validation, chooses channel weights
    and writes, so it must be longer than that: half an hour is torch's own choice."""
