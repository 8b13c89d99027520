"""What a run gives, under names that stay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

if TYPE_CHECKING:  # names of types alone: the rooms' libraries take seconds to load
    from learn.alignment.summary import TrainingSummary
    from learn.content import ContentSummary
    from learn.data.splits import SplitSummary
    from learn.data.validation_summary import ValidationSummary
    from learn.data.versioning import DataVersion
    from learn.evaluation.gate import Decision
    from learn.monitoring.summary import DriftSummary
    from learn.serving.summary import ReleaseSummary


@dataclass(frozen=True)
class RunResult:
    """Everything that the steps of a run found, small enough to keep with the run.

    Attributes:
        run_id: Metaflow's.
        version: The data.
        validation: What was quarantined.
        split: The parts.
        content: The content vectors.
        training: The towers.
        metrics: As in ``metrics.json``.
        drift: The newest window against the training window.
        decision: The gate's.
        release: The bundle and the service.
    """

    run_id: str
    version: DataVersion
    validation: ValidationSummary
    split: SplitSummary
    content: ContentSummary
    training: TrainingSummary
    metrics: dict[str, Any]
    drift: DriftSummary
    decision: Decision
    release: ReleaseSummary

    def artifacts(self) -> dict[str, Any]:
        """Return the run's result as plain values, so that whoever reads it needs no code of ours."""
        bundle = _plain(self.release)
        return {
            "data_version": _plain(self.version),
            "validation": _plain(self.validation),
            "content": _plain(self.content),
            "metrics": self.metrics,
            "drift": _plain(self.drift),
            "decision": _plain(self.decision),
            "bundle": {name: bundle[name] for name in ("bundle", "version", "weights_sha256", "model_tag")},
            "bento": {name: bundle[name] for name in bundle if name not in ("bundle", "weights_sha256", "model_tag")},
        }

    def closing_words(self, page: Path) -> str:
        """Return the last lines of a run: what was found, where the report is, how to serve."""
        test = self.metrics["test"]
        own = test["towers"]["masked"]
        beside = ", ".join(
            f"{name} {test[name]['masked']['recall@10']:.4f}" for name in test if name not in ("towers", "blend")
        )
        validated = (self.validation.items, self.validation.interactions)
        quarantined = " and ".join(f"{table.quarantined:,} of {table.rows:,} {table.name}" for table in validated)
        same = self.release.parity_identical
        tied = f", {self.release.parity_tied} but for the order of equal scores" if self.release.parity_tied else ""
        verdict = "fit to serve" if self.decision.fit else "NOT fit to serve"
        return "\n".join(
            [
                f"Data       {self.version.version}; quarantined: {quarantined}",
                f"Content    {self.content.encoded:,} texts encoded, {self.content.reused:,} items known",
                f"Towers     epoch {self.training.chosen_epoch} of {len(self.training.curve)}, "
                f"weights {self.training.weights_sha256[:16]}",
                f"Test       Recall@10 {own['recall@10']:.4f}, NDCG@10 {own['ndcg@10']:.4f} (history masked)",
                f"Beside     Recall@10 {beside}",
                f"Drift      {self.drift.sentence}",
                f"Gate       {verdict}: {self.decision.reasons[0] if self.decision.reasons else 'no baseline beside'}",
                f"Parity     {same} of {self.release.parity_users} users answered as offline{tied}",
                f"Report     {page}",
                f"Serve      {self.release.command}",
            ]
        )


def _plain(summary: object) -> Any:
    return TypeAdapter(type(summary)).dump_python(summary, mode="json")
