"""The verdict: the findings against rules that can be set, with a reason for every level.

``ok`` and ``watch`` leave everything as it is. ``retrain`` asks for a new model, ``alarm`` for a person: something
looks broken, and a model trained on it would learn the break.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from learn.config import MonitoringSettings, Settings
from learn.monitoring.delivery import Delivery, deliver
from learn.monitoring.feedback import Comparison, LiveFeedback
from learn.monitoring.summary import ColumnDrift, find_part

Level = Literal["ok", "watch", "retrain", "alarm"]
LEVELS: tuple[Level, ...] = ("ok", "watch", "retrain", "alarm")
EXIT_CODES: dict[Level, int] = {"ok": 0, "watch": 0, "retrain": 3, "alarm": 4}
"""1 and 2 keep their usual meanings: the command failed, or was called wrongly."""


@dataclass(frozen=True)
class Traffic:
    """The traffic that was compared.

    Attributes:
        name: What people call it.
        kind: A service's log, or a table of interactions.
        model_version: Version of the model whose traffic it is.
        first: When it begins; None if there is no traffic, or timestamps are not times.
        last: When it ends.
        requests: Answers in the log, or interactions in the window.
        compared: Requests drawn for the comparison, one a user.
        unknown_share: Share of the traffic's items that the model does not know.
        lines: Lines of the log; 0 for a table.
        damaged: Lines that could not be read as records.
        damaged_examples: The first of them: file, line, start of the line.
    """

    name: str
    kind: Literal["log", "table"]
    model_version: str
    first: datetime | None
    last: datetime | None
    requests: int
    compared: int
    unknown_share: float
    lines: int = 0
    damaged: int = 0
    damaged_examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """All findings, before they are judged.

    Attributes:
        traffic: The compared traffic.
        columns: Every column compared with the reference profile.
        feedback: What people did with the answers; None if there is no feedback.
    """

    traffic: Traffic
    columns: tuple[ColumnDrift, ...]
    feedback: LiveFeedback | None


@dataclass(frozen=True)
class Reason:
    """One reason of a verdict.

    Attributes:
        level: The level of this reason.
        rule: Its name.
        said: The reason, in a sentence.
        value: The measured value.
        limit: The setting that it exceeds, if there is one.
    """

    level: Level
    rule: str
    said: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Verdict:
    """The verdict on a window of traffic.

    Attributes:
        level: The highest of its reasons.
        reasons: The reasons, the most serious first.
    """

    level: Level
    reasons: tuple[Reason, ...]

    @property
    def exit_code(self) -> int:
        """The exit status of the command."""
        return EXIT_CODES[self.level]

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        weighty = [reason.said for reason in self.reasons if reason.level == self.level]
        return f"{self.level.upper()}. {' '.join(weighty)}"


def decide(findings: Findings, rules: MonitoringSettings) -> Verdict:
    """Judge the findings; the same findings and rules always give the same verdict."""
    traffic = findings.traffic
    if not traffic.requests:
        silent = Reason("alarm", "silent", "There is no traffic at all in this window.", 0, rules.fewest_answers)
        return Verdict("alarm", (silent, *_log_reasons(traffic, rules)))
    reasons = [*_log_reasons(traffic, rules), *_judge_feedback(findings.feedback, rules)]
    if traffic.requests < rules.fewest_answers:
        said = f"{traffic.requests:,} requests are too few to judge; {rules.fewest_answers:,} are needed."
        reasons.append(Reason("watch", "too_few", said, traffic.requests, rules.fewest_answers))
    else:
        reasons += [*_judge_unknown(traffic, rules), *_judge_drift(findings.columns, rules)]
    ordered = sorted(reasons, key=lambda reason: (-LEVELS.index(reason.level), -(reason.value or 0)))
    if not ordered:
        ordered = [Reason("ok", "same", "The traffic is as it was in training.")]
    return Verdict(ordered[0].level, tuple(ordered))


def _log_reasons(traffic: Traffic, rules: MonitoringSettings) -> Iterator[Reason]:
    share = traffic.damaged / max(1, traffic.lines)
    if not traffic.damaged:
        return
    level: Level = "alarm" if share >= rules.alarm_damaged_share else "watch"
    said = f"{traffic.damaged:,} of {traffic.lines:,} lines of the log are damaged."
    yield Reason(level, "damaged_lines", said, share, rules.alarm_damaged_share)


def _judge_unknown(traffic: Traffic, rules: MonitoringSettings) -> Iterator[Reason]:
    if traffic.unknown_share >= rules.retrain_unknown_share:
        said = f"{traffic.unknown_share:.1%} of the items in the traffic are unknown to the model."
        yield Reason("retrain", "unknown_items", said, traffic.unknown_share, rules.retrain_unknown_share)


def _judge_drift(columns: tuple[ColumnDrift, ...], rules: MonitoringSettings) -> Iterator[Reason]:
    for column in columns:
        if not column.drifted or column.effect is None:
            continue
        level, limit = _choose_drift_level(column, column.effect, rules)
        said = (
            f"{find_part(column.kind).capitalize()} drift: {column.name.replace('_', ' ')}, effect {column.effect:.2f}."
        )
        yield Reason(level, f"{find_part(column.kind)}_drift", said, column.effect, limit)
    if not any(column.status == "tested" for column in columns):
        yield Reason("watch", "nothing_compared", "No column could be compared with the reference profile.")


def _choose_drift_level(column: ColumnDrift, effect: float, rules: MonitoringSettings) -> tuple[Level, float]:
    # For unknown items a separate rule on their share decides: most long histories have one of the few that exist.
    if column.kind == "unknown":
        return "watch", rules.retrain_effect
    if effect >= rules.alarm_effect:
        return "alarm", rules.alarm_effect
    return ("retrain" if effect >= rules.retrain_effect else "watch"), rules.retrain_effect


def _judge_feedback(feedback: LiveFeedback | None, rules: MonitoringSettings) -> Iterator[Reason]:
    if feedback is None:
        return
    recent = feedback.recent
    if recent is not None and recent.p_adjusted <= rules.feedback_significance and recent.change.value < 0:
        fall = -recent.change.value / recent.before.value
        level: Level = "watch"
        if fall >= rules.retrain_quality_fall:
            level = "alarm" if fall >= rules.alarm_quality_fall else "retrain"
        said = (
            f"The live hit rate fell by {fall:.0%} in the newest {recent.days} days, from {recent.before.value:.4f} "
            f"to {recent.newest.value:.4f}."
        )
        yield Reason(level, "live_quality", said, fall, rules.retrain_quality_fall)
    for comparison in feedback.comparisons:
        yield from _judge_comparison(comparison, rules)


def _judge_comparison(found: Comparison, rules: MonitoringSettings) -> Iterator[Reason]:
    if found.ratio_p_value is not None and found.ratio_p_value <= rules.ratio_significance:
        said = (
            f"{found.observed_share:.1%} of the people saw challenger {found.challenger} instead of "
            f"{found.planned_share or 0:.1%}: the split is broken, and the comparison is void."
        )
        yield Reason("alarm", "sample_ratio", said, found.observed_share, found.planned_share)
        return
    if found.p_adjusted > rules.feedback_significance:
        return
    worse = found.hit_rate.value < 0
    said = (
        f"Challenger {found.challenger} has a {'lower' if worse else 'higher'} hit rate than champion "
        f"{found.champion}: {found.hit_rate.value:+.4f} ({found.hit_rate.low:+.4f} to {found.hit_rate.high:+.4f})."
    )
    # A better challenger is no fault of the traffic: it is reported, and the gate or a person promotes it.
    yield Reason("alarm" if worse else "ok", "challenger", said, abs(found.hit_rate.value))


@dataclass(frozen=True)
class MonitorResult:
    """The result of the monitor.

    Attributes:
        findings: All findings.
        verdict: The verdict on them.
        report: The page, one HTML file.
        verdict_file: The verdict and the findings as JSON.
    """

    findings: Findings
    verdict: Verdict
    report: Path
    verdict_file: Path


def format_verdict(watched: MonitorResult, *, run_id: str, whole: bool = True) -> dict[str, Any]:
    """Return the verdict for a file or a webhook: plain JSON values.

    Args:
        watched: The result of the monitor.
        run_id: Id of its run.
        whole: With every column and rate; False: only the verdict, its reasons and the traffic.
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


def notify(watched: MonitorResult, *, run_id: str, settings: Settings) -> Delivery:
    """Send the verdict to the webhook, if there is one and the verdict is serious enough, and all waiting messages.

    Raises:
        SettingsError: The webhook is not a web address.
        StorageError: The outbox cannot be written.
    """
    rules = settings.monitoring
    grave = LEVELS.index(watched.verdict.level) >= LEVELS.index(rules.webhook_from)
    return deliver(
        format_verdict(watched, run_id=run_id, whole=False) if grave else None,
        name=f"{datetime.now(tz=UTC):%Y%m%dT%H%M%S}-{run_id}",
        outbox=settings.workspace.absolute() / "webhook",
        settings=rules,
    )
