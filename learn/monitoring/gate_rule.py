"""What the gate makes of a run's drift."""

from __future__ import annotations

from learn.config import GateSettings
from learn.evaluation.gate import Rule
from learn.monitoring.summary import DriftSummary


def drift_rule(summary: DriftSummary, *, settings: GateSettings) -> Rule:
    """Refuse what was trained on data of which something broke; drift that a new model is made for is none."""
    broken = sorted(
        (column for column in summary.columns if column.drifted and (column.effect or 0) >= settings.max_drift_effect),
        key=lambda column: -(column.effect or 0),
    )
    if broken:
        named = ", ".join(f"{column.name.replace('_', ' ')} ({column.effect:.2f})" for column in broken)
        said = (
            f"{summary.current_name[:1].upper()}{summary.current_name[1:]} looks broken rather than drifted, with an "
            f"effect of {settings.max_drift_effect:g} or more: {named}."
        )
        return Rule("drift", False, said)
    return Rule("drift", True, f"No column of {summary.current_name} has an effect of {settings.max_drift_effect:g}.")
