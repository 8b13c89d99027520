"""The result of a run, under names that stay."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from learn.storage import atomic_files

if TYPE_CHECKING:
    from learn.content import ContentSummary
    from learn.data import DataVersion, SplitSummary, ValidationSummary
    from learn.evaluation import Decision
    from learn.model import TrainingSummary
    from learn.monitoring import DriftSummary
    from learn.registry import Promotion, ReleaseSummary


# The blend has every baseline's help, and production a line of its own.
_NOT_BESIDE = ("towers", "production", "blend")


@dataclass(frozen=True)
class AgainstProduction:
    """The towers minus the model in production, on test.

    Attributes:
        version: Version of the bundle in production.
        known_items: Items of the catalogue that it was trained on.
        caveat: Why its figures are not a fair measure, in a sentence; empty where they are.
        ndcg: ``mean``, ``low``, ``high`` and ``p_value`` of the difference in NDCG@10, history masked.
    """

    version: str
    known_items: int
    caveat: str
    ndcg: dict[str, float]

    @classmethod
    def from_metrics(cls, metrics: dict[str, Any]) -> AgainstProduction | None:
        """Read it out of what ``metrics.json`` holds; None if no model in production was evaluated."""
        record = metrics["production"]
        if record is None:
            return None
        return cls(**record, ndcg=metrics["differences"]["test"]["towers"]["production"]["masked"]["ndcg@10"])

    @property
    def sentence(self) -> str:
        """What the difference is, with its interval, and to which model."""
        mean, low, high = (self.ndcg[name] for name in ("mean", "low", "high"))
        gap = f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
        return f"NDCG@10 {gap} against the model in production, version {self.version} (history masked)."


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
        promotion: What was made of the gate's decision.
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
    promotion: Promotion

    def to_artifacts(self) -> dict[str, Any]:
        """Return the run's result as plain values, so that anyone who reads it needs no code of ours."""
        bundle = _to_plain(self.release)
        return {
            "data_version": _to_plain(self.version),
            "validation": _to_plain(self.validation),
            "content": _to_plain(self.content),
            "metrics": self.metrics,
            "drift": _to_plain(self.drift),
            "decision": self.to_decision_record(),
            "bundle": {name: bundle[name] for name in ("bundle", "version", "weights_sha256", "model_tag")},
            "bento": {name: bundle[name] for name in bundle if name not in ("bundle", "weights_sha256", "model_tag")},
        }

    def to_decision_record(self) -> dict[str, Any]:
        """Return the gate's decision and what was made of it, as plain values."""
        return {**_to_plain(self.decision), "promotion": _to_plain(self.promotion)}

    def write_decision(self, path: Path) -> None:
        """Write :meth:`to_decision_record` as JSON, completely or not at all.

        Raises:
            StorageError: The disk is full or not writable.
        """
        with atomic_files(path.parent, names=(path.name,)) as stage:
            text = json.dumps(self.to_decision_record(), indent=1)
            (stage / path.name).write_text(text + "\n", encoding="utf-8")

    def format_closing_lines(self, page: Path) -> str:
        """Return the last lines of a run: what was found, where the report is, how to serve."""
        test = self.metrics["test"]
        own = test["towers"]["masked"]
        beside = ", ".join(
            f"{name} {test[name]['masked']['recall@10']:.4f}" for name in test if name not in _NOT_BESIDE
        )
        production = AgainstProduction.from_metrics(self.metrics)
        against = [f"Production {production.sentence} {production.caveat}".rstrip()] if production else []
        validated = (self.validation.items, self.validation.interactions)
        quarantined = " and ".join(f"{table.quarantined:,} of {table.rows:,} {table.name}" for table in validated)
        same = self.release.parity_identical
        tied = f", {self.release.parity_tied} but for the order of equal scores" if self.release.parity_tied else ""
        begun = f", begun from bundle {self.training.parent}" if self.training.parent else ""
        verdict = "fit to serve" if self.decision.fit else "NOT fit to serve"
        return "\n".join(
            [
                f"Data       {self.version.version}; quarantined: {quarantined}",
                f"Content    {self.content.encoded:,} texts encoded, {self.content.reused:,} items known",
                f"Towers     epoch {self.training.chosen_epoch} of {self.training.epochs}, "
                f"weights {self.training.weights_sha256[:16]}{begun}",
                f"Test       Recall@10 {own['recall@10']:.4f}, NDCG@10 {own['ndcg@10']:.4f} (history masked)",
                f"Beside     Recall@10 {beside}",
                *against,
                f"Drift      {self.drift.sentence}",
                f"Gate       {verdict}: {self.decision.reasons[0] if self.decision.reasons else 'no baseline beside'}",
                f"Parity     {same} of {self.release.parity_users} users answered as offline{tied}",
                f"Report     {page}",
                f"Serve      {self.release.command}",
                *self._format_promotion(),
            ]
        )

    def _format_promotion(self) -> list[str]:
        if self.promotion.promoted:
            return [f"Champion   {self.promotion.said}", f"Roll back  {self.release.rollback_command}"]
        wish = [] if self.promotion.asked == "never" else [f"Champion   {self.promotion.said}"]
        return [*wish, f"Promote    {self.release.promote_command}"]


def _to_plain(summary: object) -> Any:
    return TypeAdapter(type(summary)).dump_python(summary, mode="json")
