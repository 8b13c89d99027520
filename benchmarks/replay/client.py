"""A day's people at the service: they ask, take what they took, and the log is put on the shop's clock."""

from __future__ import annotations

import json
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.replay.shop import Visit
from learn.errors import ServingError
from learn.storage import write_atomic
from learn.traffic import FILE_PATTERN

K = 10
# A swap is a second or two; a machine that is busy with other things gets this long.
_WAIT_SECONDS = 300.0
_POLL_SECONDS = 0.2


def await_champion(client: httpx.Client, version: str) -> None:
    """Wait until the service answers with a model.

    Raises:
        ServingError: It does not, for minutes.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while _build_request(client, history=[])["model_version"] != version:
        if time.monotonic() > deadline:
            raise ServingError("The service does not follow the champion.", where=version, fix="see `service.log`")
        time.sleep(_POLL_SECONDS)


def request_lists(client: httpx.Client, histories: list[tuple[str, ...]]) -> list[list[str]]:
    """Return the lists after some histories, without leaving a trace in the day's log."""
    return [[item["item_id"] for item in _build_request(client, history=list(each))["items"]] for each in histories]


def simulate_day(client: httpx.Client, visits: list[Visit]) -> dict[str, datetime]:
    """Let everybody ask once, and tell what each took; return the moment of each answer by its id."""
    moments = {}
    for visit in visits:
        answer = _build_request(client, history=list(visit.before), user_id=visit.user)
        named = answer["recommendation_id"]
        moments[named] = visit.moment
        for item in answer["items"]:
            if item["item_id"] in visit.after:
                taken = {"recommendation_id": named, "item_id": item["item_id"], "event": "bought"}
                client.post("/feedback", json=taken | {"user_id": visit.user}).raise_for_status()
    return moments


def keep_day(raw: Path, log: Path, *, day: date, moments: dict[str, datetime]) -> Path:
    """Copy a day's records from the service's log into one file of the shop's, at the moments of the shop.

    Args:
        raw: Folder that the service writes to.
        log: Folder of the log on the shop's clock.
        day: Whose.
        moments: Of each answer by its id; records of other answers are left where they are.

    Raises:
        ServingError: Records are missing after a minute.
        StorageError: The disk is full or not writable.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    records = _read_records(raw, moments)
    while sum(record["kind"] == "answer" for record in records) < len(moments):
        if time.monotonic() > deadline:
            raise ServingError(f"Not all of {len(moments)} answers are logged.", where=raw, fix="see the service's log")
        time.sleep(_POLL_SECONDS)
        records = _read_records(raw, moments)
    moved = [record | {"time": moments[record["recommendation_id"]].isoformat()} for record in records]
    lines = [json.dumps(record) for record in sorted(moved, key=lambda record: str(record["time"]))]
    log.mkdir(parents=True, exist_ok=True)
    file = log / f"traffic-{day:%Y%m%d}.jsonl"
    write_atomic(file, "\n".join(lines) + "\n")
    return file


def _read_records(raw: Path, moments: dict[str, datetime]) -> list[dict[str, Any]]:
    records = []
    for file in sorted(raw.glob(FILE_PATTERN)):
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                record = json.loads(line)
                if record["recommendation_id"] in moments:
                    records.append(record)
    return records


def _build_request(client: httpx.Client, **asked: object) -> dict[str, Any]:
    answer = client.post("/recommend", json={"k": K} | asked).raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
