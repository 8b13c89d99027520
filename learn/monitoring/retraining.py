"""Whether a verdict may start a training: never two at once, not soon after a failure, not over known data.

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
    """What the next retraining must know of those before it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    failures: int = Field(default=0, ge=0)
    """Retrainings that failed one after the other; one that runs elsewhere counts until its model is there."""

    last_failed: datetime | None = None
    """When the last of them did, or was requested, in UTC."""

    asked: bool = False
    """Whether the last of them runs elsewhere, so that nobody here will see its end."""

    running_since: datetime | None = None
    """When one was started that has not ended; it has died if nobody holds the lock."""

    def record_failure(self, moment: datetime, *, asked: bool = False) -> RetrainState:
        """Return the state after one more failure, or one more training whose end will not be seen."""
        return RetrainState(failures=self.failures + 1, last_failed=moment, asked=asked)


@dataclass(frozen=True)
class Trained:
    """How a training ended.

    Attributes:
        run_id: Of the run; empty where it did not even begin.
        succeeded: Whether it came to its end; None if it was requested elsewhere, and nobody here will see its end.
        said: The result of it, in a sentence.
    """

    run_id: str
    succeeded: bool | None
    said: str


@dataclass(frozen=True)
class Retraining:
    """The result of a request for retraining.

    Attributes:
        action: What was done.
        said: Why, in a sentence.
        run_id: Of the train run; empty where there was none.
    """

    action: Action
    said: str
    run_id: str = ""


def compute_backoff(failures: int, settings: MonitoringSettings) -> timedelta:
    """Return how long after the last of some failures in a row nothing is started: doubled by each, up to a bound."""
    if failures == 0:
        return timedelta(0)
    # Beyond the bound the power is of no interest, and would leave what a number can hold.
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
    """Train, unless something speaks against it; a failed training is a result and no error.

    Args:
        folder: Of the lock and of the state; all that may retrain one model share it.
        settings: The back-off.
        known: Says which model was already made of the same data and settings; empty if there is none.
        train: Trains; asked at most once.
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
        # The lock is ours, so anyone who started it is gone: killed, or the machine went down.
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
        last = "was asked for, and its model is not there yet" if state.asked else f"failed{times}"
        return Retraining("skipped", f"The last one {last}; the next is tried from {_format_moment(until)} on.")
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
    """Read the state; an empty one if nothing was ever started.

    Raises:
        TrainingError: The file is no state.
    """
    try:
        return RetrainState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return RetrainState()
    except ValidationError as fault:
        raise TrainingError(
            "The state of the retrainings cannot be read.", where=path, fix="remove it: only the back-off is lost"
        ) from fault


def write_state(path: Path, state: RetrainState) -> None:
    """Replace the state as a whole, so that no kill leaves half of one."""
    write_atomic(path, state.model_dump_json(indent=1) + "\n")


def _format_moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
