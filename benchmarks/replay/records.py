"""What the replay found: a record a day, and what was tried at its end. Each is kept as JSON, so that it can
continue."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from learn.storage import write_atomic


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class First(_Record):
    """The first training.

    Attributes:
        run_id: Of the train run.
        version: Of its model, the first champion.
        seconds: It took.
    """

    run_id: str
    version: str
    seconds: float


class Trained(_Record):
    """A training that the monitor started.

    Attributes:
        run_id: Of the train run; empty where it failed to begin.
        said: The result of it.
        champion: The champion after it.
    """

    run_id: str
    said: str
    champion: str


class Day(_Record):
    """One day of the shop.

    Attributes:
        day: Which.
        model: Version of the champion that answered.
        lists: Number of requested lists.
        taken: Items of them that were bought.
        hit_rate: Share of the lists with an item that was bought, with its 95 % interval.
        verdict: Of the monitor, in the evening.
        reasons: Its sentences.
        drift: Largest effect of a tested column.
        drifted: That column.
        unknown_share: Share of the histories' items that the model does not know.
        retraining: What was started; None: nothing.
        seconds: The whole day took.
    """

    day: date
    model: str
    lists: int
    taken: int
    hit_rate: tuple[float, float, float] | None
    verdict: Literal["ok", "watch", "retrain", "alarm"]
    reasons: tuple[str, ...]
    drift: float
    drifted: str
    unknown_share: float
    retraining: Trained | None
    seconds: float


class Refusal(_Record):
    """The broken challenger.

    Attributes:
        run_id: Of its train run.
        refused: Whether the gate refused it and the champion stayed.
        reasons: Of the rules that failed.
    """

    run_id: str
    refused: bool
    reasons: tuple[str, ...]


class WayBack(_Record):
    """The rollback.

    Attributes:
        from_version: The champion before it.
        to_version: The champion after it.
        users: Whose lists were compared.
        same: Of them, with exactly the list that they got while that model was the champion.
        changed: Of them, with another list under the champion that was rolled back.
    """

    from_version: str
    to_version: str
    users: int
    same: int
    changed: int


class Repeated(_Record):
    """The repetition of a training.

    Attributes:
        version: Of the model.
        same: Whether the weights' hash came out the same.
        said: By the command.
    """

    version: str
    same: bool
    said: str


class Lists(_Record):
    """What a model answered to the people whose lists are compared.

    Attributes:
        version: Of the model.
        lists: Item ids, one list a person.
    """

    version: str
    lists: list[list[str]]


class Replay(_Record):
    """All of it.

    Attributes:
        event: First day on which a fifth of the items goes by new numbers.
        first: The first training.
        days: In their order.
        refusal: None: not come to yet.
        way_back: None: not come to yet, or there was only one champion.
        repeated: None: not come to yet.
    """

    event: date
    first: First
    days: tuple[Day, ...]
    refusal: Refusal | None = None
    way_back: WayBack | None = None
    repeated: Repeated | None = None

    def collect_figures(self) -> dict[str, float]:
        """Return the figures by name; one that was not come to is left out."""
        found: dict[str, float] = {"replay_retrains": sum(day.retraining is not None for day in self.days)}
        if self.refusal is not None:
            found["replay_broken_challenger_refused"] = int(self.refusal.refused)
        if self.way_back is not None:
            found["replay_rollback_same_lists"] = self.way_back.same / self.way_back.users
        if self.repeated is not None:
            found["reproduce_same_weights"] = int(self.repeated.same)
        return found


Record = TypeVar("Record", bound=BaseModel)


def keep(record: Record, file: Path) -> Record:
    """Write a record atomically, and return it.

    Raises:
        StorageError: The disk is full or not writable.
    """
    write_atomic(file, record.model_dump_json(indent=1) + "\n")
    return record


def read_record(kind: type[Record], file: Path) -> Record | None:
    """Read a record; None if there is none."""
    return kind.model_validate_json(file.read_text(encoding="utf-8")) if file.is_file() else None
