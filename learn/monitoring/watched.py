"""What the monitor found, and telling it: small records that are read without loading Evidently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from learn.config import Settings
from learn.monitoring.delivery import Delivery, deliver
from learn.monitoring.verdict import LEVELS, Findings, Verdict


@dataclass(frozen=True)
class Watched:
    """What the monitor found.

    Attributes:
        findings: All of it.
        verdict: What it calls for.
        report: The page, one HTML file.
        verdict_file: The verdict and the findings as JSON.
    """

    findings: Findings
    verdict: Verdict
    report: Path
    verdict_file: Path


def verdict_message(watched: Watched, *, run_id: str, whole: bool = True) -> dict[str, Any]:
    """Return the verdict for a file or a webhook: plain JSON values.

    Args:
        watched: What was found.
        run_id: Of the run that found it.
        whole: With every column and rate; False: the verdict, its reasons and the traffic alone.
    """
    found: dict[str, Any] = TypeAdapter(Findings).dump_python(watched.findings, mode="json")
    said: dict[str, Any] = TypeAdapter(Verdict).dump_python(watched.verdict, mode="json")
    traffic = found.pop("traffic")
    return {
        "verdict": said["level"],
        "exit_code": watched.verdict.exit_code,
        "sentence": watched.verdict.sentence,
        "run_id": run_id,
        "reasons": said["reasons"],
        "traffic": traffic,
        "report": str(watched.report),
    } | ({"findings": found} if whole else {})


def tell(watched: Watched, *, run_id: str, settings: Settings) -> Delivery:
    """Send the verdict to the webhook, where there is one and the verdict is grave enough, and what waited before.

    Raises:
        SettingsError: The webhook's address is none.
        StorageError: The outbox cannot be written.
    """
    rules = settings.monitoring
    grave = LEVELS.index(watched.verdict.level) >= LEVELS.index(rules.webhook_from)
    return deliver(
        verdict_message(watched, run_id=run_id, whole=False) if grave else None,
        name=f"{datetime.now(tz=UTC):%Y%m%dT%H%M%S}-{run_id}",
        outbox=settings.workspace.absolute() / "webhook",
        settings=rules,
    )
