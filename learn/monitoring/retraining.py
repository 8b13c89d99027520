"""Decide whether a verdict may start a training: never two at once, soon after a failure, or on known data.

The caller brings the function that starts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from learn.config import MonitoringSettings
from learn.errors import TrainingError, explain_storage_faults
from learn.storage import write_atomic

STATE, LOCK = "state.json", "running.lock"

Action = Literal["not_wanted", "skipped", "failed", "asked", "trained"]


class RetrainState(BaseModel):
    """The state that the next retraining needs from earlier ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    failures: int = Field(default=0, ge=0)
    """Number of failed retrainings in a row; one that runs elsewhere counts until its model is there."""

    last_failed: datetime | None = None
    """When the last of them failed, or was requested, in UTC."""

    asked: bool = False
    """Whether the last of them runs elsewhere, so that its end cannot be seen here."""

    running_since: datetime | None = None
    """Start of one that has not ended; it has died if the lock is free."""

    def record_failure(self, moment: datetime, *, asked: bool = False) -> RetrainState:
        """Return the state after another failure, or after another training whose end cannot be seen."""
        return RetrainState(failures=self.failures + 1, last_failed=moment, asked=asked)


@dataclass(frozen=True)
class Trained:
    """How a training ended.

    Attributes:
        run_id: Id of the run; empty if it did not begin.
        succeeded: Whether it finished; None if it runs elsewhere, so that its end cannot be seen here.
        said: Its result, in a sentence.
    """

    run_id: str
    succeeded: bool | None
    said: str


@dataclass(frozen=True)
class Retraining:
    """The result of a request for retraining.

    Attributes:
        action: What was done.
        said: The reason, in a sentence.
        run_id: Id of the train run; empty if there was none.
    """

    action: Action
    said: str
    run_id: str = ""


def compute_backoff(failures: int, settings: MonitoringSettings) -> timedelta:
    """Return how long to wait after the last of some failures in a row: doubled by each, up to a bound."""
    if failures == 0:
        return timedelta(0)
    # Above the bound the power is not needed, and could overflow.
    doubled = settings.retrain_backoff_hours * 2.0 ** min(failures - 1, 64)
    return timedelta(hours=min(doubled, settings.retrain_backoff_most_hours))


def retrain(
    folder: Path,
    *,
    settings: MonitoringSettings,
    known: Callable[[], str],
    train: Callable[[], Trained],
    now: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
) -> Retraining:
    """Train, unless there is a reason not to; a failed training is a result, not an error.

    Args:
        folder: Folder of the lock and the state; everything that may retrain a model shares it.
        settings: The back-off.
        known: Returns the model that was already made from the same data and settings; empty if there is none.
        train: Trains; called at most once.
        now: The clock.

    Raises:
        TrainingError: The state cannot be read.
        StorageError: The disk is full or not writable.
    """
    with explain_storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        try:
            with lock:
                return _retrain_exclusively(folder / STATE, settings=settings, known=known, train=train, now=now)
        except Timeout:
            return Retraining("skipped", "Another retraining is running.")


def _retrain_exclusively(
    path: Path,
    *,
    settings: MonitoringSettings,
    known: Callable[[], str],
    train: Callable[[], Trained],
    now: Callable[[], datetime],
) -> Retraining:
    state = read_state(path)
    if state.running_since is not None:
        # This process has the lock, so the one that started it was killed, or the machine went down.
        state = state.record_failure(state.running_since)
        write_state(path, state)
    reason = known()
    if reason:
        write_state(path, RetrainState())
        return Retraining("skipped", reason)
    if state.last_failed is not None and now() < (
        until := state.last_failed + compute_backoff(state.failures, settings)
    ):
        times = "" if state.failures == 1 else f" ({state.failures} in a row)"
        last = "was requested, and its model is not there yet" if state.asked else f"failed{times}"
        return Retraining(
            "skipped", f"The last retraining {last}; the next one may start from {_format_moment(until)} on."
        )
    write_state(path, state.model_copy(update={"running_since": now()}))
    try:
        done = train()
    except BaseException:
        write_state(path, state.record_failure(now()))
        raise
    write_state(path, RetrainState() if done.succeeded else state.record_failure(now(), asked=done.succeeded is None))
    ended: dict[bool | None, Action] = {True: "trained", False: "failed", None: "asked"}
    return Retraining(ended[done.succeeded], done.said, done.run_id)


def read_state(path: Path) -> RetrainState:
    """Read the state; it is empty if nothing was ever started.

    Raises:
        TrainingError: The file cannot be read as a state.
    """
    try:
        return RetrainState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return RetrainState()
    except ValidationError as fault:
        raise TrainingError(
            "The state of the retrainings cannot be read.",
            where=path,
            fix="remove this file: only the waiting time after failures is lost",
        ) from fault


def write_state(path: Path, state: RetrainState) -> None:
    """Replace the state atomically."""
    write_atomic(path, state.model_dump_json(indent=1) + "\n")


def _format_moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
